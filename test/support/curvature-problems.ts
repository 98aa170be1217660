/** Small problems for curvature: a model at a random point, with random batches. */
import type { Backend } from '../../src/backend/backend.js';
import type { CurvatureBatch, CurvatureProblem } from '../../src/curvature/model-operator.js';
import { CounterRandom } from '../../src/data/random.js';
import type { LossName } from '../../src/model/losses.js';
import type { Model } from '../../src/model/model.js';
import { SequenceModel, type SequenceModelConfig } from '../../src/model/sequence-model.js';
import { float, sizeOf } from '../../src/program/program.js';

export interface ProblemSizes {
  readonly steps: number;
  readonly samples: number;
  readonly seed?: number;
  /** Classes below which integers are drawn. */
  readonly classes?: number;
}

/** A batch of normal numbers and random classes; masks are of ones for a random number of steps, one or more. */
export function randomBatch(
  model: Model,
  { steps, samples, seed = 1, classes = 2 }: ProblemSizes,
): CurvatureBatch {
  const random = new CounterRandom(seed, 7);
  const parts = Object.fromEntries(
    Object.entries(model.batchTypes(steps, samples)).map(([name, { dtype, shape }]) => {
      const size = sizeOf(shape);
      if (dtype === 'int')
        return [name, Int32Array.from({ length: size }, () => Math.floor(random.uniform() * classes))];
      if (name === 'mask') {
        const lengths = Array.from({ length: samples }, () => 1 + Math.floor(random.uniform() * steps));
        return [
          name,
          Float64Array.from({ length: size }, (_, i) =>
            Math.floor(i / samples) < lengths[i % samples]! ? 1 : 0,
          ),
        ];
      }
      if (name === 'weight') return [name, Float64Array.from({ length: size }, () => 0.2 + random.uniform())];
      return [name, Float64Array.from({ length: size }, () => random.normal())];
    }),
  );
  const state = Object.fromEntries(
    Object.entries(model.stateShapes(samples)).map(([name, shape]) => [
      name,
      Float64Array.from({ length: sizeOf(shape) }, () => 0.5 * random.normal()),
    ]),
  );
  return { parts, steps, samples, state, weight: 1 };
}

/** theta is normal with deviation 1/2, so that gates are in their bends. The caller disposes of it. */
export function randomProblem(
  backend: Backend,
  model: Model,
  sizes: ProblemSizes,
  batches: readonly CurvatureBatch[] = [randomBatch(model, sizes)],
): CurvatureProblem {
  const random = new CounterRandom(sizes.seed ?? 1, 3);
  const theta = backend.tensor(float(model.parameters.size));
  theta.write(Float64Array.from({ length: model.parameters.size }, () => 0.5 * random.normal()));
  return { model, theta, batches };
}

export const smallSequenceModel = (
  cell: string,
  given: Partial<SequenceModelConfig> = {},
  loss: LossName = 'half-squared-error',
): SequenceModel =>
  new SequenceModel({ cell, features: 2, hidden: 3, layers: 1, outputs: 2, perStep: true, loss, ...given });
