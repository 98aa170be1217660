/** The file that `train` takes instead of a preset: what to learn from, and any part of a configuration. */
import { dirname, resolve } from 'node:path';
import { KronogradError } from '../errors.js';
import { isRecord } from '../interop/json.js';
import { refused, requireText } from '../ranges.js';
import { readTextFile } from './text-file.js';
import { DATA_KEYS, type TrainOptions } from './train-options.js';

export interface ConfigFile {
  /** A preset that the file changes. */
  readonly preset: string | undefined;
  /** What to learn from, as the options of the same names say it. */
  readonly data: Pick<TrainOptions, (typeof DATA_KEYS)[number]>;
  /** Keys of a configuration, not validated yet. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The name of a key in errors. */
  readonly where: (key: string) => string;
}

export const isConfigFile = (presetOrFile: string | undefined): presetOrFile is string =>
  presetOrFile?.endsWith('.json') ?? false;

/**
 * Files that it names are relative to itself.
 * @throws KronogradError STORAGE or TEXT when it cannot be read, OPTION when it is no JSON object, or names no files,
 * columns and presets where it should
 */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  const value = parseJson(await readTextFile(path), path);
  if (!isRecord(value)) throw notAConfig('it is not a JSON object', path);
  const where = (key: string) => `${path}: ${key}`;
  const { preset, ...rest } = value;
  const isData = (key: string) => (DATA_KEYS as readonly string[]).includes(key);
  const data = Object.fromEntries(Object.entries(rest).filter(([key]) => isData(key)));
  const config = Object.fromEntries(Object.entries(rest).filter(([key]) => !isData(key)));
  for (const key of ['text', 'csv', 'target']) if (key in data) requireText(data[key], where(key));
  for (const key of ['text', 'csv']) if (key in data) data[key] = resolve(dirname(path), data[key] as string);
  if ('features' in data) data.features = columnsOf(data.features, where('features'));
  return {
    preset: preset === undefined ? undefined : requireText(preset, where('preset')),
    data,
    config,
    where,
  };
}

/** Columns as the option has them, with commas between. */
function columnsOf(value: unknown, where: string): string {
  const columns = Array.isArray(value) ? value : [value];
  if (columns.length === 0) throw refused(value, where, 'the name of a column, or a list of them');
  return columns.map((column) => requireText(column, where)).join(',');
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw notAConfig((cause as Error).message, path, cause);
  }
}

function notAConfig(what: string, where: string, cause?: unknown): KronogradError {
  return new KronogradError('OPTION', `this is not a configuration: ${what}`, {
    where,
    fix: 'give a JSON object such as {"hidden": 256, "text": "book.txt"}',
    cause,
  });
}
