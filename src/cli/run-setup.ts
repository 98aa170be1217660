/** What `train` is about to do: a new run, or one that goes on. */
import { resolve } from 'node:path';
import { KronogradError } from '../errors.js';
import type { Checkpoint } from '../train/checkpoint.js';
import { type LoadedCheckpoint, loadCheckpoint } from '../train/checkpoint-node.js';
import { overlayConfig, resolveTrainConfig } from '../train/config.js';
import { trainedModel } from '../train/weights.js';
import { DEFAULT_OUT, DEFAULT_PRESET, loadTrainingSetup, type TrainingSetup } from './presets.js';
import { readTextFile } from './text-file.js';
import { configOf, optionName, type TrainOptions } from './train-options.js';

export interface RunSetup extends TrainingSetup {
  /** Where a resumed run goes on. */
  readonly resumed: LoadedCheckpoint | undefined;
}

/**
 * A resumed run keeps its configuration and its text, with the options given now laid over it; when a preset or a
 * configuration is given again, that is what the run is to go on with.
 * @throws KronogradError as `loadTrainingSetup` and `loadCheckpoint` do
 */
export async function setUpRun(
  presetOrFile: string | undefined,
  options: TrainOptions,
  machine: { readonly gpu: boolean },
): Promise<RunSetup> {
  if (presetOrFile !== undefined || options.resume !== true) {
    const setup = await loadTrainingSetup(presetOrFile ?? DEFAULT_PRESET, options, machine);
    const resumed = options.resume === true ? await loadCheckpoint(setup.config.out) : undefined;
    return { ...setup, resumed };
  }
  const resumed = await loadCheckpoint(options.out ?? DEFAULT_OUT);
  const saved = trainedModel(resumed.checkpoint, resumed.folder).config;
  const changes = { out: DEFAULT_OUT, ...configOf(options) };
  const config = resolveTrainConfig(overlayConfig({ ...saved }, changes), optionName(options));
  const textFile = options.text ?? savedTextFile(resumed.checkpoint, resumed.folder);
  return { config, text: await readTextFile(textFile), textFile, resumed };
}

/** A checkpoint that also says where its text is. */
export const withTextFile = (checkpoint: Checkpoint, textFile: string): Checkpoint => ({
  ...checkpoint,
  config: { ...checkpoint.config, textFile: resolve(textFile) },
});

/** Where the text of a checkpoint is. @throws KronogradError OPTION when the checkpoint does not say. */
export function savedTextFile({ config: { textFile } }: Checkpoint, where: string): string {
  if (typeof textFile === 'string') return textFile;
  throw new KronogradError('OPTION', 'the checkpoint does not say which file its text came from', {
    where,
    fix: 'give the text with --text FILE',
  });
}
