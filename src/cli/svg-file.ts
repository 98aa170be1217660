import { writeFile } from 'node:fs/promises';
import { KronogradError } from '../errors.js';

/** Writes a plot. @throws KronogradError STORAGE when it cannot be written */
export async function writeSvg(path: string, svg: string): Promise<void> {
  try {
    await writeFile(path, svg);
  } catch (cause) {
    throw new KronogradError(
      'STORAGE',
      `the plot cannot be written (${(cause as NodeJS.ErrnoException).code})`,
      {
        where: path,
        fix: 'name a file in a folder that exists and that you can write to',
        cause,
      },
    );
  }
}
