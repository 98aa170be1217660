import { readFile } from 'node:fs/promises';
import { decodeText } from '../data/text.js';
import { KronogradError } from '../errors.js';

/** The text of a file. @throws KronogradError STORAGE when it cannot be read, TEXT when it is no text. */
export async function readTextFile(path: string): Promise<string> {
  return decodeText(await readBytes(path), path);
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const what =
      code === 'ENOENT'
        ? 'there is no such file'
        : code === 'EISDIR'
          ? 'this is a folder, not a file'
          : `the file cannot be read (${code})`;
    throw new KronogradError('STORAGE', what, {
      where: path,
      fix: 'give the path of a file you can read',
      cause,
    });
  }
}
