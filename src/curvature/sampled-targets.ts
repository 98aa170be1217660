/** Targets drawn from what a model predicts: what the true Fisher matrix is an expectation over. */
import { programTensors } from '../backend/program-tensors.js';
import { CounterRandom } from '../data/random.js';
import { Scope } from '../dispose.js';
import type { LossName } from '../model/losses.js';
import type { Model } from '../model/model.js';
import { Builder } from '../program/builder.js';
import { float } from '../program/program.js';
import { requireInteger } from '../ranges.js';
import { batchForward, type CurvatureBatch, type CurvatureProblem, writeBatch } from './batch-products.js';
import { notFinite } from './checks.js';
import { SEED } from './random-vectors.js';
import type { VectorSpace } from './vector-space.js';

/** The stream of the seed that targets are drawn from. */
const STREAM = 128;

type Draw = (row: ArrayLike<number>, random: CounterRandom) => number[];

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
/** Squared errors are negative log-likelihoods of Gaussians: of variance 1, or c / 2 for the mean over c outputs. */
const gaussian = (deviation: (outputs: number) => number): Draw => {
  return (row, random) => Array.from(row, (x) => x + deviation(row.length) * random.normal());
};

const DRAWS: Readonly<Record<LossName, Draw>> = {
  'softmax-cross-entropy': (row, random) => [category(row, random)],
  'sigmoid-cross-entropy': (row, random) => Array.from(row, (x) => (random.uniform() < sigmoid(x) ? 1 : 0)),
  'half-squared-error': gaussian(() => 1),
  'mean-squared-error': gaussian((outputs) => Math.sqrt(outputs / 2)),
};

/**
 * The problem with targets drawn from the model's own predictive distribution at theta: categories for softmax, coins for
 * sigmoid cross-entropy, Gaussians for squared errors. Each batch comes `draws` times, with a share of its weight; the
 * error of a Fisher matrix on them goes with 1 / sqrt(draws). The targets stay when theta moves: draw anew then.
 * @throws KronogradError OPTION, DIVERGED when a prediction is not finite, and what the backend throws
 */
export async function sampledTargets(
  space: VectorSpace,
  problem: CurvatureProblem,
  { seed = 0, draws = 1 }: { readonly seed?: number; readonly draws?: number } = {},
): Promise<CurvatureProblem> {
  const random = new CounterRandom(requireInteger(seed, 'seed', SEED), STREAM);
  requireInteger(draws, 'draws', { min: 1 });
  const batches: CurvatureBatch[] = [];
  for (const batch of problem.batches) {
    const { numbers, outputs, name } = await predict(space, problem, batch);
    for (let draw = 0; draw < draws; draw++) {
      const targets: number[] = [];
      for (let row = 0; row < numbers.length; row += outputs)
        targets.push(...DRAWS[name](numbers.subarray(row, row + outputs), random));
      const parts = { ...batch.parts, targets: Float64Array.from(targets) };
      batches.push({ ...batch, parts, weight: batch.weight / draws });
    }
  }
  return { ...problem, batches };
}

/** All rows of the prediction, of `outputs` numbers each, and the name of the loss that they go into. */
async function predict(space: VectorSpace, { model, theta }: CurvatureProblem, batch: CurvatureBatch) {
  using scope = new Scope();
  const { program, outputs, name } = predictionProgram(model, batch);
  const executable = scope.own(await space.backend.compile(program));
  const tensors = programTensors(space.backend, program, scope, ['theta']);
  writeBatch(model, batch, tensors);
  executable.run({ ...tensors, theta });
  const numbers = await tensors.prediction!.read();
  if (!numbers.every(Number.isFinite))
    throw notFinite('a prediction, which targets are to be drawn from, is', 'sampled targets');
  return { numbers, outputs, name };
}

function predictionProgram(model: Model, sizes: CurvatureBatch) {
  const on = new Builder();
  const theta = on.input('theta', float(model.parameters.size));
  const { prediction, head } = batchForward(on, model, theta, sizes);
  return { program: on.build({ prediction }), outputs: prediction.type.shape.at(-1)!, name: head.name };
}

/** A class by the probabilities softmax(logits). */
function category(logits: ArrayLike<number>, random: CounterRandom): number {
  const values = Array.from(logits);
  const largest = Math.max(...values);
  const weights = values.map((x) => Math.exp(x - largest));
  let left = random.uniform() * weights.reduce((sum, x) => sum + x, 0);
  const found = weights.findIndex((weight) => (left -= weight) < 0);
  // Rounding may leave a little behind the last class.
  return found < 0 ? weights.length - 1 : found;
}
