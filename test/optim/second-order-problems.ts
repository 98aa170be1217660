/** Small problems for optimizers of second order. */
import type { Backend } from '../../src/backend/backend.js';
import type { CurvatureBatch } from '../../src/curvature/batch-products.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { CounterRandom } from '../../src/data/random.js';
import { SequenceStream } from '../../src/data/sequences.js';
import { addingProblem } from '../../src/data/tasks.js';
import { Scope } from '../../src/dispose.js';
import { FeedForwardModel } from '../../src/model/feedforward-model.js';
import type { Model } from '../../src/model/model.js';
import { SequenceModel } from '../../src/model/sequence-model.js';

export interface SmallProblem extends Disposable {
  readonly space: VectorSpace;
  readonly model: Model;
  readonly theta: ReturnType<VectorSpace['vector']>;
  readonly batch: CurvatureBatch;
}

function onBackend(backend: Backend, model: Model, batch: CurvatureBatch): SmallProblem {
  const scope = new Scope();
  const space = scope.own(new VectorSpace(backend));
  const theta = scope.own(space.vector(model.parameters.size));
  theta.write(model.parameters.initial(new CounterRandom(1)));
  return { space, model, theta, batch, [Symbol.dispose]: () => scope[Symbol.dispose]() };
}

/** n features and a bias, linear, without noise: the least loss is 0, at `solution`. */
export function leastSquares(backend: Backend, n = 6) {
  const random = new CounterRandom(3);
  const samples = 4 * n;
  const solution = Float64Array.from({ length: n + 1 }, () => random.normal());
  // Features of different sizes: a condition number of some hundreds.
  const inputs = Float64Array.from({ length: samples * n }, (_, i) => random.normal() * (1 + 3 * (i % n)));
  const targets = Float64Array.from({ length: samples }, (_, row) =>
    solution.slice(0, n).reduce((sum, w, j) => sum + w * inputs[row * n + j]!, solution[n]!),
  );
  const model = new FeedForwardModel({
    ...{ steps: 1, features: n, hidden: [], activation: 'tanh', outputs: 1, perStep: false },
    loss: 'half-squared-error',
  });
  const weight = new Float64Array(samples).fill(1 / samples);
  const batch = { parts: { inputs, targets, weight }, steps: 1, samples, weight: 1 };
  return { ...onBackend(backend, model, batch), solution };
}

/** The adding problem, short enough for any optimizer. */
export function shortAdding(backend: Backend, cell = 'rnn', samples = 32): SmallProblem {
  const steps = 10;
  const stream = new SequenceStream(addingProblem({ seed: 5, steps }), { batch: samples });
  const { inputs, targets, weight } = stream.at(0);
  const model = new SequenceModel({
    ...{ cell, features: 2, hidden: 8, layers: 1, outputs: 1, perStep: false },
    loss: 'mean-squared-error',
  });
  return onBackend(backend, model, { parts: { inputs, targets, weight }, steps, samples, weight: 1 });
}
