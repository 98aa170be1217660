/** A language model and its parameters, in and out of checkpoints. */
import { Vocabulary } from '../data/text.js';
import { KronogradError } from '../errors.js';
import type { Tensor, TensorMap } from '../interop/safetensors.js';
import { LanguageModel } from '../model/language-model.js';
import type { Model } from '../model/model.js';
import { type Shape, sameShape } from '../program/program.js';
import type { Checkpoint } from './checkpoint.js';
import { CONFIG_KEYS, resolveTrainConfig, type TrainConfig } from './config.js';
import { recurrentOptions } from './run-config.js';

/** Parameters, flat as `LanguageModel.parameters` lays them out. */
export type FlatParameters = Float32Array | Float64Array;

export interface TrainedModel {
  readonly model: LanguageModel;
  readonly theta: FlatParameters;
  readonly vocabulary: Vocabulary;
  readonly config: TrainConfig;
}

/** The model that a configuration describes. @throws KronogradError OPTION */
export function languageModel(config: TrainConfig, vocabulary: Vocabulary): LanguageModel {
  const { embedding } = config;
  return new LanguageModel({ ...recurrentOptions(config), embedding, vocabulary: vocabulary.size });
}

/** Numbers as a tensor for a file, in the precision they have. */
export const tensorOf = (shape: Shape, data: Float32Array | Float64Array): Tensor =>
  data instanceof Float32Array ? { dtype: 'F32', shape, data } : { dtype: 'F64', shape, data };

/** The parameters of a model by PyTorch's names. */
export function namedWeights(model: Model, theta: FlatParameters): TensorMap {
  const { specs } = model.parameters;
  return new Map(
    specs.map(({ name, shape }) => [name, tensorOf(shape, model.parameters.part(theta, name).slice())]),
  );
}

/**
 * The model that a checkpoint holds. `where` names the checkpoint in errors.
 * @throws KronogradError CHECKPOINT when configuration, vocabulary and weights do not make a model.
 */
export function trainedModel(checkpoint: Checkpoint, where: string): TrainedModel {
  try {
    if (checkpoint.vocabulary.length === 0)
      throw new KronogradError('CHECKPOINT', 'the checkpoint is of a model of sequences, not of text', {
        where,
        fix: 'give the checkpoint of a language model',
      });
    const vocabulary = Vocabulary.fromJSON(checkpoint.vocabulary, where);
    const config = savedConfig(checkpoint);
    const model = languageModel(config, vocabulary);
    return { model, theta: flatWeights(model, checkpoint.weights, where), vocabulary, config };
  } catch (cause) {
    if (!(cause instanceof KronogradError) || cause.code === 'CHECKPOINT') throw cause;
    const what = `the checkpoint does not hold a model of this version: ${cause.message}`;
    throw new KronogradError('CHECKPOINT', what, {
      where,
      fix: 'use the release of kronograd that wrote it, or train anew',
      cause,
    });
  }
}

/** The configuration a checkpoint was trained with. @throws KronogradError OPTION */
function savedConfig({ config }: Checkpoint): TrainConfig {
  return resolveTrainConfig(Object.fromEntries(CONFIG_KEYS.map((key) => [key, config[key]])));
}

/** All weights in one vector. @throws KronogradError CHECKPOINT for a missing or ill-shaped one. */
export function flatWeights(model: Model, weights: TensorMap, where: string): FlatParameters {
  const theta = new Float64Array(model.parameters.size);
  for (const { name, shape } of model.parameters.specs)
    model.parameters.part(theta, name).set(requireTensor(weights, name, shape, where));
  return theta;
}

/** The numbers of one tensor of a checkpoint. @throws KronogradError CHECKPOINT */
export function requireTensor(tensors: TensorMap, name: string, shape: Shape, where: string): FlatParameters {
  const tensor = tensors.get(name);
  if (tensor !== undefined && tensor.dtype !== 'I32' && sameShape(tensor.shape, shape)) return tensor.data;
  const found = tensor === undefined ? 'missing' : `${tensor.dtype} [${tensor.shape.join(', ')}]`;
  throw new KronogradError(
    'CHECKPOINT',
    `the checkpoint is of another model: "${name}" should be a float tensor [${shape.join(', ')}] and is ${found}`,
    { where, fix: 'use a checkpoint of this model, or train anew' },
  );
}
