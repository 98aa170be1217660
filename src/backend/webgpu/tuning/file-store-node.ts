/** What a tuner found out, in a file of the user's cache folder. Not for browsers. */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TuningStore } from './store.js';

const FORMAT = 'kronograd-tuning';
const VERSION = 1;

/** Of the platform's folder for what may be deleted at any time. */
export function defaultTuningPath(
  platform: NodeJS.Platform = process.platform,
  env: NodeJS.ProcessEnv = process.env,
): string {
  const home = homedir();
  const standard =
    platform === 'darwin'
      ? join(home, 'Library', 'Caches')
      : platform === 'win32'
        ? (env.LOCALAPPDATA ?? join(home, 'AppData', 'Local'))
        : join(home, '.cache');
  return join(env.XDG_CACHE_HOME || standard, 'kronograd', 'tuning.json');
}

export interface TuningFileOptions {
  readonly path?: string | undefined;
  /** Told when the file cannot be used as it is, or cannot be written, once each; by default a warning of the process. */
  readonly warn?: ((message: string) => void) | undefined;
}

export class TuningFile implements TuningStore {
  readonly path: string;
  readonly #warn: (message: string) => void;
  readonly #entries: Map<string, string>;
  #written: Promise<void> = Promise.resolve();
  #isWritable = true;

  private constructor(path: string, entries: Map<string, string>, warn: (message: string) => void) {
    this.path = path;
    this.#entries = entries;
    this.#warn = warn;
  }

  /** Never rejects: a file that is damaged, or not of this version, counts as empty and is replaced by the first `set`. */
  static async open({
    path = defaultTuningPath(),
    warn = (message) => process.emitWarning(message),
  }: TuningFileOptions = {}): Promise<TuningFile> {
    const read = await readEntries(path);
    if (typeof read !== 'string') return new TuningFile(path, read, warn);
    warn(`the tuning cache ${path} ${read}: it is rebuilt`);
    return new TuningFile(path, new Map(), warn);
  }

  /** Entries, of all adapters. */
  get size(): number {
    return this.#entries.size;
  }

  async get(key: string): Promise<string | undefined> {
    return this.#entries.get(key);
  }

  /** Resolves when it is on disk, or cannot be: then it is known as long as the process lives. */
  set(key: string, value: string): Promise<void> {
    this.#entries.set(key, value);
    this.#written = this.#written.then(() => this.#write());
    return this.#written;
  }

  /** Beside what other processes have written since; there whole or not at all. */
  async #write(): Promise<void> {
    if (!this.#isWritable) return;
    const temporary = `${this.path}.${process.pid}.tmp`;
    try {
      await mkdir(dirname(this.path), { recursive: true });
      const others = await readEntries(this.path);
      const entries = new Map([...(typeof others === 'string' ? [] : others), ...this.#entries]);
      const content = { format: FORMAT, version: VERSION, entries: Object.fromEntries(entries) };
      await writeFile(temporary, `${JSON.stringify(content, null, 1)}\n`);
      await rename(temporary, this.path);
    } catch (error) {
      this.#isWritable = false;
      await rm(temporary, { force: true }).catch(() => {});
      this.#warn(
        `the tuning cache ${this.path} cannot be written (${(error as Error).message}): what is measured is known to this process only`,
      );
    }
  }
}

/** Its entries, none where there is no file; else what is wrong with it. */
async function readEntries(path: string): Promise<Map<string, string> | string> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? new Map() : `cannot be read (${message})`;
  }
  let content: { format?: unknown; version?: unknown; entries?: unknown } | null;
  try {
    content = JSON.parse(text);
  } catch {
    return 'is damaged';
  }
  if (content?.format !== FORMAT) return 'is not one';
  if (content.version !== VERSION) return `is of version ${content.version}, not ${VERSION}`;
  const entries = Object.entries(content.entries ?? {});
  return entries.every(([, value]) => typeof value === 'string') ? new Map(entries) : 'is damaged';
}
