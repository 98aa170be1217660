/** From a checkpoint, the model and the batches that `curvature` and `diagnose` look at. */
import type { CurvatureBatch } from '../curvature/batch-products.js';
import { TextStream } from '../data/batches.js';
import { Standardiser } from '../data/standardise.js';
import { KronogradError } from '../errors.js';
import type { Model } from '../model/model.js';
import type { LoadedCheckpoint } from '../train/checkpoint-node.js';
import { requireContinuation } from '../train/continuation.js';
import { firstBatches } from '../train/curvature-batches.js';
import { evaluationSizes } from '../train/evaluator.js';
import { SequenceData } from '../train/sequence-data.js';
import { prepareText, TextData } from '../train/text-data.js';
import type { ConfigOf, TrainingData } from '../train/training-data.js';
import { type FlatParameters, flatWeights, trainedModel } from '../train/weights.js';
import { otherCsv } from './problems.js';
import { savedTextFile } from './run-setup.js';
import { type SavedSequences, savedSequences } from './sequence-setup.js';
import { readTextFile } from './text-file.js';

export interface DataOptions {
  readonly text?: string;
  readonly csv?: string;
  readonly batches: number;
  /** What to take otherwise than in the run; sequences have the steps that they have. */
  readonly changes?: {
    readonly batch?: number | undefined;
    readonly unroll?: number | undefined;
  };
}

export interface CheckpointProblem {
  readonly model: Model;
  readonly theta: FlatParameters;
  readonly batches: readonly CurvatureBatch[];
  /** What the batches are of. */
  readonly source: string;
}

/**
 * Batches of the training part of what a checkpoint was trained on, or of another text or series.
 * @throws KronogradError OPTION for options that do not go with the checkpoint, CHECKPOINT, TEXT or DATA when the data
 * is not what the model takes, STORAGE when it cannot be read
 */
export async function checkpointProblem(
  loaded: LoadedCheckpoint,
  options: DataOptions,
): Promise<CheckpointProblem> {
  const sequences = await savedSequences(loaded);
  return sequences === null ? ofText(loaded, options) : ofSequences(sequences, options);
}

async function ofText(loaded: LoadedCheckpoint, options: DataOptions): Promise<CheckpointProblem> {
  const { checkpoint, folder } = loaded;
  if (options.csv !== undefined) throw notFor('--csv', folder, 'text');
  const { vocabulary, config: saved } = trainedModel(checkpoint, folder);
  const config = changed(saved, options);
  if (options.text === undefined) {
    const file = savedTextFile(checkpoint, folder);
    const text = await readTextFile(file);
    requireContinuation(checkpoint, saved, await prepareText(text, saved), folder);
    return problemOf(loaded, await prepareText(text, config), config, options, file);
  }
  const ids = vocabulary.encode(await readTextFile(options.text), options.text);
  // What is asked for is not made smaller to fit.
  const sizes = options.changes ? config : evaluationSizes(ids.length, config);
  const stream = new TextStream(ids, sizes);
  const data = new TextData(vocabulary, ids, stream, new Int32Array(0), stream.batchesPerEpoch, '');
  return problemOf(loaded, data, { ...config, ...sizes }, options, options.text);
}

async function ofSequences(
  { config: saved, spec, problem, resumed }: SavedSequences,
  options: DataOptions,
): Promise<CheckpointProblem> {
  const config = changed(saved, options);
  const { checkpoint, folder } = resumed;
  if (options.text !== undefined) throw notFor('--text', folder, 'sequences');
  if (options.csv === undefined) {
    requireContinuation(checkpoint, saved, new SequenceData(problem.sets, saved), folder);
    const data = new SequenceData(problem.sets, config);
    return problemOf(resumed, data, config, options, 'file' in spec ? spec.file : spec.kind);
  }
  if (!('file' in spec)) throw notFor('--csv', folder, spec.kind);
  const standardiser = Standardiser.fromJSON(checkpoint.config.standardisation, folder);
  const { sets } = await otherCsv(options.csv, spec, standardiser);
  return problemOf(resumed, new SequenceData(sets, config), config, options, options.csv);
}

function problemOf<Data extends TrainingData>(
  { checkpoint, folder }: LoadedCheckpoint,
  data: Data,
  config: ConfigOf<Data>,
  { batches }: DataOptions,
  source: string,
): CheckpointProblem {
  // Limited derivatives would be no derivatives of the loss.
  const model = data.model({ ...config, clipAccumulations: 0 });
  const theta = flatWeights(model, checkpoint.weights, folder);
  return { model, theta, batches: firstBatches(data, config, batches), source };
}

/** The changes that the configuration has a key for, laid over it. */
const changed = <Config extends object>(config: Config, { changes = {} }: DataOptions): Config => ({
  ...config,
  ...Object.fromEntries(
    Object.entries(changes).filter(([key, value]) => key in config && value !== undefined),
  ),
});

const notFor = (option: string, folder: string, kind: string) =>
  new KronogradError('OPTION', `${option} does not go with a model of ${kind}`, {
    where: option,
    fix: `leave it out: ${folder} is a model of ${kind}`,
  });
