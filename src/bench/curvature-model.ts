/** What curvature is benchmarked on: a model and a batch of a workload. */
import { cells } from '../cells/index.js';
import type { CurvatureBatch } from '../curvature/batch-products.js';
import { CounterRandom } from '../data/random.js';
import { FeedForwardModel } from '../model/feedforward-model.js';
import { LanguageModel } from '../model/language-model.js';
import type { Model } from '../model/model.js';
import { requireChoice } from '../ranges.js';
import { referenceBatch } from './reference.js';
import { tokensOf, type Workload } from './workload.js';

/** Beside the names of cells: a feed-forward network of as many tokens, layers and units. */
const FNN = 'fnn';

export interface CurvatureModel {
  readonly model: Model;
  readonly batch: CurvatureBatch;
  /** The first parameters, [model.parameters.size]. */
  readonly theta: Float64Array;
}

/** @throws KronogradError OPTION */
export const requireModel = (name: string): string =>
  requireChoice(name, '--cell', [...Object.keys(cells), FNN]);

/** @throws KronogradError OPTION for an unknown cell */
export function curvatureModel(name: string, workload: Workload): CurvatureModel {
  const made = name === FNN ? feedForward(workload) : recurrent(name, workload);
  return { ...made, theta: made.model.parameters.initial(new CounterRandom(1)) };
}

/** The loss of a training step, from a state of zeros. */
function recurrent(cell: string, workload: Workload) {
  const { vocabulary, hidden, layers, unroll: steps, batch: samples } = workload;
  const model = new LanguageModel({ cell, vocabulary, hidden, layers, embedding: 'one-hot' });
  return { model, batch: { parts: { ...referenceBatch(workload) }, steps, samples, weight: 1 } };
}

/** Every token of the batch by itself: r T samples of dense features. */
function feedForward(workload: Workload) {
  const { vocabulary, hidden, layers } = workload;
  const samples = tokensOf(workload);
  const model = new FeedForwardModel({
    ...{ steps: 1, features: vocabulary, hidden: new Array<number>(layers).fill(hidden), activation: 'tanh' },
    ...{ outputs: vocabulary, perStep: false, loss: 'softmax-cross-entropy' },
  });
  const random = new CounterRandom(2);
  const parts = {
    inputs: Float32Array.from({ length: samples * vocabulary }, () => random.normal()),
    targets: referenceBatch(workload).targets,
    weight: new Float32Array(samples).fill(1 / samples),
  };
  return { model, batch: { parts, steps: 1, samples, weight: 1 } };
}
