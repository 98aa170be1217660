import * as nodeFileSystem from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { KronogradError } from '../errors.js';
import {
  CHECKPOINT_FILES,
  type Checkpoint,
  type CheckpointFiles,
  decodeCheckpoint,
  encodeCheckpoint,
} from './checkpoint.js';

/**
 * Checkpoints on disk. A run's folder holds one folder per checkpoint:
 *
 *     runs/moby-dick/
 *       last-000011-step-00005500/   the previous one, kept in case the newest is damaged
 *       last-000012-step-00006000/   the newest
 *       best-000009-step-00005000/   the best on the validation text
 *
 * A checkpoint is written into a hidden temporary folder, flushed to the disk, and then renamed: it is there
 * whole or not at all. Old ones are removed only after the new one is in place. So at whatever instant the
 * process dies, the newest complete checkpoint is one that was there before or the one being saved. The first
 * number counts the saves into this folder and decides what is newest; the step cannot, since a new run may
 * begin in an old run's folder.
 */

/** `last` follows the training; `best` is the one with the lowest validation loss. */
export type CheckpointKind = 'last' | 'best';

/** How many of each kind are kept. */
const KEPT: Readonly<Record<CheckpointKind, number>> = { last: 2, best: 1 };

const TEMPORARY = '.tmp-';

/** What this module needs of `node:fs/promises`, so that a test can make the disk fail. */
export type FileSystem = Pick<
  typeof nodeFileSystem,
  'mkdir' | 'open' | 'readFile' | 'readdir' | 'rename' | 'rm'
>;

export interface SaveOptions {
  readonly kind?: CheckpointKind;
  readonly fileSystem?: FileSystem;
}

export interface LoadOptions {
  /** Which kind to take from a run's folder. */
  readonly kind?: CheckpointKind;
}

export interface LoadedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** The folder it was read from. */
  readonly folder: string;
  /** What to tell the user: a newer checkpoint was damaged, and why. */
  readonly warning?: string;
}

/**
 * Saves a checkpoint into a run's folder, which is made if it is not there, and returns the new checkpoint's
 * folder. Throws STORAGE when the disk refuses; the checkpoints saved before are then as they were. One
 * process may save into a folder at a time.
 */
export async function saveCheckpoint(
  runFolder: string,
  checkpoint: Checkpoint,
  { kind = 'last', fileSystem = nodeFileSystem }: SaveOptions = {},
): Promise<string> {
  const files = await encodeCheckpoint(checkpoint);
  const temporary = join(runFolder, `${TEMPORARY}${process.pid}`);
  try {
    await fileSystem.mkdir(runFolder, { recursive: true });
    await removeTemporaries(runFolder, fileSystem);
    const existing = await listCheckpoints(runFolder, kind, fileSystem);
    const folder = join(
      runFolder,
      folderName(kind, (existing[0]?.serial ?? 0) + 1, checkpoint.position.step),
    );
    await writeDurably(temporary, files, fileSystem);
    await fileSystem.rename(temporary, folder);
    await flushFolder(runFolder, fileSystem);
    await prune(existing.slice(KEPT[kind] - 1), fileSystem);
    return folder;
  } catch (error) {
    // Gives a full disk its space back. When even this fails, the error that matters is the first one.
    await fileSystem.rm(temporary, { recursive: true, force: true }).catch(() => {});
    throw storageError(error, runFolder);
  }
}

/**
 * Loads a checkpoint: the newest good one of a run's folder, or the one in a checkpoint's own folder.
 * Throws STORAGE when there is none, CHECKPOINT when none that is there is good.
 */
export async function loadCheckpoint(
  path: string,
  { kind = 'last' }: LoadOptions = {},
): Promise<LoadedCheckpoint> {
  const entries = await readFolder(path);
  if (CHECKPOINT_FILES.some((file) => entries.includes(file))) {
    return { checkpoint: await readCheckpoint(path), folder: path };
  }
  const candidates = await listCheckpoints(path, kind, nodeFileSystem);
  const failures: unknown[] = [];
  for (const { folder } of candidates) {
    try {
      const checkpoint = await readCheckpoint(folder);
      const [failure] = failures;
      return failure instanceof KronogradError
        ? { checkpoint, folder, warning: fallbackWarning(failure, folder) }
        : { checkpoint, folder };
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
  throw new KronogradError('STORAGE', 'there is no checkpoint in this folder', {
    where: path,
    fix: 'give a folder that `train` has saved into',
  });
}

interface StoredCheckpoint {
  readonly folder: string;
  readonly serial: number;
}

function folderName(kind: CheckpointKind, serial: number, step: number): string {
  return `${kind}-${String(serial).padStart(6, '0')}-step-${String(step).padStart(8, '0')}`;
}

/** The checkpoints of one kind in a run's folder, newest first. */
async function listCheckpoints(
  runFolder: string,
  kind: CheckpointKind,
  fileSystem: FileSystem,
): Promise<StoredCheckpoint[]> {
  const found: StoredCheckpoint[] = [];
  for (const name of await fileSystem.readdir(runFolder)) {
    const [, foundKind, serial] = /^(last|best)-(\d+)-step-\d+$/.exec(name) ?? [];
    if (foundKind === kind) found.push({ folder: join(runFolder, name), serial: Number(serial) });
  }
  return found.sort((a, b) => b.serial - a.serial);
}

/** Removes what a killed process left half-written. */
async function removeTemporaries(runFolder: string, fileSystem: FileSystem): Promise<void> {
  for (const name of await fileSystem.readdir(runFolder)) {
    if (name.startsWith(TEMPORARY))
      await fileSystem.rm(join(runFolder, name), { recursive: true, force: true });
  }
}

/** Writes the files into a new folder; when it returns, they are on the disk and not only in its cache. */
async function writeDurably(folder: string, files: CheckpointFiles, fileSystem: FileSystem): Promise<void> {
  await fileSystem.mkdir(folder);
  for (const name of CHECKPOINT_FILES) {
    const file = await fileSystem.open(join(folder, name), 'wx');
    try {
      await file.writeFile(files[name]);
      await file.sync();
    } finally {
      await file.close();
    }
  }
  await flushFolder(folder, fileSystem);
}

/** Makes a folder's entries durable: without it a rename may be lost with the power. */
async function flushFolder(folder: string, fileSystem: FileSystem): Promise<void> {
  if (process.platform === 'win32') return; // there a folder cannot be opened, and renames are journaled
  const handle = await fileSystem.open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Removes old checkpoints. The new one is safe by now, so what cannot be removed is left to the next save.
 */
async function prune(old: readonly StoredCheckpoint[], fileSystem: FileSystem): Promise<void> {
  for (const { folder } of old) await fileSystem.rm(folder, { recursive: true, force: true }).catch(() => {});
}

async function readCheckpoint(folder: string): Promise<Checkpoint> {
  const entries = await Promise.all(
    CHECKPOINT_FILES.map(async (name) => [name, await readCheckpointFile(join(folder, name))] as const),
  );
  return decodeCheckpoint(Object.fromEntries(entries) as unknown as CheckpointFiles, folder);
}

async function readCheckpointFile(path: string): Promise<Uint8Array> {
  try {
    return await nodeFileSystem.readFile(path);
  } catch (cause) {
    const what =
      errorCode(cause) === 'ENOENT' ? 'a file is missing' : `a file cannot be read (${errorCode(cause)})`;
    throw new KronogradError('CHECKPOINT', `the checkpoint is damaged: ${what}`, {
      where: path,
      fix: 'use the previous checkpoint or another copy',
      cause,
    });
  }
}

async function readFolder(path: string): Promise<string[]> {
  try {
    return await nodeFileSystem.readdir(path);
  } catch (cause) {
    const code = errorCode(cause);
    const what =
      code === 'ENOENT'
        ? 'there is no such folder'
        : code === 'ENOTDIR'
          ? 'a checkpoint is a folder, and this is a file'
          : `the folder cannot be read (${code})`;
    throw new KronogradError('STORAGE', what, {
      where: path,
      fix: `give a folder that \`train\` has saved into${code === 'ENOTDIR' ? `, such as ${dirname(path)}` : ''}`,
      cause,
    });
  }
}

function fallbackWarning(failure: KronogradError, folder: string): string {
  return `${failure.message} (${failure.where}); using the one before it, ${basename(folder)}`;
}

/**
 * A failure of the disk, in words. Errors that say more already, or are no failure of the disk, stay as they
 * are.
 */
function storageError(cause: unknown, where: string): unknown {
  const code = errorCode(cause);
  if (cause instanceof KronogradError || code === undefined) return cause;
  const [what, fix] = explanation(code);
  return new KronogradError('STORAGE', `the checkpoint was not saved: ${what}`, {
    where,
    fix: `${fix}; the checkpoints saved before are unharmed`,
    cause,
  });
}

function explanation(code: string): [what: string, fix: string] {
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return ['the disk is full', 'free some space, or save elsewhere with --out'];
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return ['the folder is not writable', 'change its permissions, or save elsewhere with --out'];
    case 'ENOTDIR':
    case 'EEXIST':
      return ['a part of this path is a file, not a folder', 'choose another folder with --out'];
    default:
      return [`the disk reports ${code}`, 'check the disk, or save elsewhere with --out'];
  }
}

/** The operating system's code of an error, such as ENOSPC; Node's own codes (ERR_...) are none. */
function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : undefined;
}
