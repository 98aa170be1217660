/** K-FAC against dense Gauss-Newton matrices where it is exact, and against its own formulas where it is not. */
import { inverse, Matrix } from 'ml-matrix';
import { afterAll, describe, expect, test } from 'vitest';
import type { Backend, Capacity } from '../../src/backend/backend.js';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { cells } from '../../src/cells/index.js';
import { toDense } from '../../src/curvature/dense.js';
import { type KfacOperator, kfacOperator } from '../../src/curvature/kfac.js';
import { type CurvatureProblem, gaussNewtonOperator } from '../../src/curvature/model-operator.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { FeedForwardModel, type FeedForwardModelConfig } from '../../src/model/feedforward-model.js';
import { LanguageModel } from '../../src/model/language-model.js';
import { halfSquaredError, type LossName } from '../../src/model/losses.js';
import type { Model } from '../../src/model/model.js';
import { linearSpecs, Parameters } from '../../src/model/parameters.js';
import { Objective } from '../../src/optim/objective.js';
import { float } from '../../src/program/program.js';
import {
  type ProblemSizes,
  randomBatch,
  randomProblem,
  smallSequenceModel,
} from '../support/curvature-problems.js';

const space = new VectorSpace(new Float64Backend());
afterAll(() => space[Symbol.dispose]());

const LOSSES: LossName[] = ['half-squared-error', 'softmax-cross-entropy', 'sigmoid-cross-entropy'];

const network = (given: Partial<FeedForwardModelConfig> = {}) =>
  new FeedForwardModel({
    ...{ steps: 1, features: 3, hidden: [4, 3], activation: 'tanh', outputs: 2, perStep: false },
    loss: 'half-squared-error',
    ...given,
  });

/** A problem with one batch, the rows of which weigh `weight` each, where they have weights. */
function evenProblem(model: Model, sizes: ProblemSizes, weight = 0.7): CurvatureProblem {
  const batch = randomBatch(model, sizes);
  const parts = { ...batch.parts };
  if (parts.weight) parts.weight = parts.weight.map(() => weight);
  return randomProblem(space.backend, model, sizes, [{ ...batch, parts }]);
}

/** Which block each parameter is in; -1 for none. */
function blockOf({ blocks, shape: [size] }: KfacOperator): Int32Array {
  const of = new Int32Array(size).fill(-1);
  blocks.forEach(({ parts, left }, i) => {
    for (const { offset, columns } of parts) of.fill(i, offset, offset + left[0]! * columns);
  });
  return of;
}

/** The largest element of a - b within blocks, as a share of the largest of b there. Outside a is to be zero. */
async function errorWithinBlocks(
  kfac: KfacOperator,
  of: readonly number[][],
  only?: string,
): Promise<number> {
  const block = blockOf(kfac);
  const dense = await toDense(kfac);
  const wanted = only === undefined ? -1 : kfac.blocks.findIndex(({ parts }) => parts[0]!.parameter === only);
  let [error, largest] = [0, 0];
  dense.forEach((row, i) => {
    row.forEach((x, j) => {
      if (block[i] !== block[j]) expect(x).toBe(0);
      else if (wanted < 0 || block[i] === wanted) {
        error = Math.max(error, Math.abs(x - of[i]![j]!));
        largest = Math.max(largest, Math.abs(of[i]![j]!));
      }
    });
  });
  expect(largest).toBeGreaterThan(1e-3);
  return error / largest;
}

async function errorOfExactFactors(problem: CurvatureProblem, only?: string, time?: 'expand' | 'reduce') {
  using kfac = await kfacOperator(space, problem, { source: 'exact', ...(time && { time }) });
  using gaussNewton = gaussNewtonOperator(space, problem);
  return await errorWithinBlocks(kfac, await toDense(gaussNewton), only);
}

describe('the blocks of the Gauss-Newton matrix, exactly', () => {
  test.each(LOSSES)('of any network for one vector: feed-forward, %s', async (loss) => {
    const problem = evenProblem(network({ loss }), { steps: 1, samples: 1 });
    expect(await errorOfExactFactors(problem)).toBeLessThan(1e-12);
  });

  test.each(Object.keys(cells))(
    'of any network for one vector: a step of %s, with an embedding',
    async (cell) => {
      const model = new LanguageModel({ cell, vocabulary: 3, hidden: 4, layers: 1, embedding: 2 });
      const problem = randomProblem(space.backend, model, { steps: 1, samples: 1, seed: 5 });
      expect(await errorOfExactFactors(problem)).toBeLessThan(1e-11);
    },
  );

  test('of one-hot inputs and all layers of a GRU for one vector', async () => {
    const model = new LanguageModel({
      cell: 'gru',
      vocabulary: 3,
      hidden: 4,
      layers: 2,
      embedding: 'one-hot',
    });
    const problem = randomProblem(space.backend, model, { steps: 1, samples: 1 });
    expect(await errorOfExactFactors(problem)).toBeLessThan(1e-12);
  });

  test('of a linear model under squared error: the whole matrix', async () => {
    const problem = evenProblem(network({ hidden: [] }), { steps: 1, samples: 5 });
    using kfac = await kfacOperator(space, problem, { source: 'exact' });
    expect(kfac.blocks).toHaveLength(1);
    expect(await errorOfExactFactors(problem)).toBeLessThan(1e-12);
  });

  test('of a deep linear network under squared error, for many samples', async () => {
    const problem = evenProblem(network({ activation: 'identity' }), { steps: 1, samples: 6 });
    expect(await errorOfExactFactors(problem)).toBeLessThan(1e-12);
  });

  test('of a readout at every step of an LSTM under squared error, with expand', async () => {
    const problem = evenProblem(smallSequenceModel('lstm'), { steps: 4, samples: 3 });
    expect(await errorOfExactFactors(problem, 'head.weight')).toBeLessThan(1e-12);
    expect(await errorOfExactFactors(problem)).toBeGreaterThan(0.01);
  });

  test('of a linear map averaged over the steps, with reduce, where expand is not exact', async () => {
    const problem = evenProblem(meanOfSteps, { steps: 4, samples: 3 });
    expect(await errorOfExactFactors(problem, undefined, 'reduce')).toBeLessThan(1e-12);
    expect(await errorOfExactFactors(problem, undefined, 'expand')).toBeGreaterThan(0.1);
  });
});

/** The mean over the steps of W x + b. */
const meanOfSteps: Model = {
  parameters: new Parameters(linearSpecs('map', 3, 2)),
  stateShapes: () => ({}),
  batchTypes: (T, r) => ({ inputs: float(T, r, 3), targets: float(r, 2), weight: float(r) }),
  forward(on, { theta, batch }) {
    const view = (name: string) => this.parameters.view(on, theta, name);
    const y = on.add(on.linear(batch.inputs!, view('map.weight')), view('map.bias'));
    const prediction = on.mul(on.sum(y, [0]), on.constant(1 / batch.inputs!.type.shape[0]!));
    const head = { output: prediction, targets: batch.targets!, weight: batch.weight! };
    const loss = halfSquaredError(on, prediction, head.targets, head.weight);
    return { prediction, loss, head: { name: 'half-squared-error', ...head }, state: {} };
  },
};

describe('what flows back', () => {
  test('sampled signs of a single output are exact', async () => {
    const problem = evenProblem(smallSequenceModel('lstm', { outputs: 1, perStep: false }), {
      ...{ steps: 3, samples: 4 },
    });
    using exact = await kfacOperator(space, problem, { source: 'exact' });
    using sampled = await kfacOperator(space, problem, { source: 'sampled', draws: 2, seed: 3 });
    expect(await errorWithinBlocks(sampled, await toDense(exact))).toBeLessThan(1e-12);
  });

  test.each(['expand', 'reduce'] as const)('sampled tends to exact, %s', async (time) => {
    const model = smallSequenceModel('gru', {}, 'softmax-cross-entropy');
    const problem = evenProblem(model, { steps: 3, samples: 4 });
    using exact = await kfacOperator(space, problem, { source: 'exact', time });
    using sampled = await kfacOperator(space, problem, { source: 'sampled', time, draws: 400 });
    expect(await errorWithinBlocks(sampled, await toDense(exact))).toBeLessThan(0.1);
  });

  test('empirical, for one vector: the outer product of the gradient with itself', async () => {
    const model = network({ loss: 'sigmoid-cross-entropy' });
    const problem = evenProblem(model, { steps: 1, samples: 1 }, 1);
    using kfac = await kfacOperator(space, problem, { source: 'empirical' });
    const g = await lossGradient(problem);
    const outer = Array.from(g, (x) => Array.from(g, (y) => x * y));
    expect(await errorWithinBlocks(kfac, outer)).toBeLessThan(1e-12);
  });
});

async function lossGradient({ model, theta, batches: [batch] }: CurvatureProblem): Promise<Float64Array> {
  using g = space.vector(model.parameters.size);
  using objective = new Objective(space, model, theta);
  await objective.gradient(batch!, g);
  return (await g.read()) as Float64Array;
}

test('two batches of half the weight are one of both', async () => {
  const model = smallSequenceModel('lstm', {}, 'softmax-cross-entropy');
  const [a, b] = [1, 2].map((seed) => randomBatch(model, { steps: 3, samples: 2, seed }));
  const beside = Object.fromEntries(
    Object.entries(a!.parts).map(([name, x]) => {
      const y = b!.parts[name]!;
      const perStep = x.length / 3;
      const rows = [0, 1, 2].flatMap((t) => [
        ...x.subarray(t * perStep, (t + 1) * perStep),
        ...y.subarray(t * perStep, (t + 1) * perStep),
      ]);
      return [name, name === 'targets' ? Int32Array.from(rows) : Float64Array.from(rows)];
    }),
  );
  const halves = [a!, b!].map((batch) => ({ ...batch, weight: 0.5 }));
  const both = { ...a!, parts: beside, samples: 4, weight: 0.5 };
  const two = randomProblem(space.backend, model, { steps: 3, samples: 2 }, halves);
  using apart = await kfacOperator(space, two, { source: 'exact' });
  using together = await kfacOperator(space, { ...two, batches: [both] }, { source: 'exact' });
  expect(await errorWithinBlocks(apart, await toDense(together))).toBeLessThan(1e-12);
});

describe('the damped inverse', () => {
  test.each([1e-3, 0.1, 10])('is that of the damped factors, damping %d', async (damping) => {
    const model = new LanguageModel({ cell: 'lstm', vocabulary: 3, hidden: 3, layers: 1, embedding: 2 });
    const problem = randomProblem(space.backend, model, { steps: 3, samples: 2 });
    using kfac = await kfacOperator(space, problem, { source: 'exact' });
    using inverted = await kfac.inverse(damping);
    for (const [i, { left, right }] of kfac.factors.entries()) {
      const [l, r] = [await square(left), await square(right)];
      const pi = Math.sqrt(r.trace() / r.rows / (l.trace() / l.rows));
      const expected = [
        inverse(Matrix.add(l, Matrix.eye(l.rows).mul(Math.sqrt(damping) / pi))),
        inverse(Matrix.add(r, Matrix.eye(r.rows).mul(Math.sqrt(damping) * pi))),
      ];
      const actual = [await square(inverted.factors[i]!.left), await square(inverted.factors[i]!.right)];
      actual.forEach((a, side) => {
        const error = Matrix.sub(a, expected[side]!).norm() / expected[side]!.norm();
        expect(error).toBeLessThan(1e-10);
      });
    }
  });

  test('undoes the damped matrix: of many vectors at once', async () => {
    const problem = evenProblem(network(), { steps: 1, samples: 7 });
    using kfac = await kfacOperator(space, problem, { source: 'exact' });
    // Of a single factor with a mean of its own the damping is that of the whole matrix, and a large one all there is.
    using inverted = await kfac.inverse(1e6);
    const vectors = [1, 2, 3].map((k) =>
      Float64Array.from({ length: kfac.shape[0] }, (_, i) => Math.sin(k * i)),
    );
    const products = await inverted.matmat(vectors);
    products.forEach((product, k) => {
      product.forEach((x, i) => expect(x * 1e6).toBeCloseTo(vectors[k]![i]!, 2));
    });
  });

  test('of a factor of zero is that of the damping', async () => {
    // From a state of zero, with weights that nothing has flowed through.
    const model = smallSequenceModel('rnn', { perStep: false });
    const problem = evenProblem(model, { steps: 1, samples: 2 }, 0);
    using kfac = await kfacOperator(space, problem, { source: 'exact' });
    using inverted = await kfac.inverse(0.25);
    const ones = new Float64Array(kfac.shape[0]).fill(1);
    const product = await inverted.matvec(ones);
    expect(product.every((x) => Number.isFinite(x))).toBe(true);
    expect(Math.max(...product)).toBeLessThanOrEqual(4 * (1 + 1e-9));
  });
});

async function square(factor: { read(): Promise<ArrayLike<number>>; type: { shape: readonly number[] } }) {
  const numbers = Array.from(await factor.read());
  const [n, columns] = factor.type.shape;
  if (columns === undefined) return Matrix.diag(numbers);
  return new Matrix(Array.from({ length: n! }, (_, i) => numbers.slice(i * n!, (i + 1) * n!)));
}

test('float32 gives the same products', async () => {
  using single = new VectorSpace(new Float32Backend());
  const model = new LanguageModel({ cell: 'lstm', vocabulary: 3, hidden: 5, layers: 1, embedding: 2 });
  const products = await Promise.all(
    [space, single].map(async (on) => {
      const problem = randomProblem(on.backend, model, { steps: 4, samples: 3 });
      using kfac = await kfacOperator(on, problem, { seed: 4 });
      using inverted = await kfac.inverse(1e-2);
      const v = Float64Array.from({ length: model.parameters.size }, (_, i) => Math.sin(i));
      return { product: await kfac.matvec(v), solved: await inverted.matvec(v) };
    }),
  );
  for (const key of ['product', 'solved'] as const) {
    const [exact, rounded] = products.map((p) => Array.from(p[key]));
    const largest = Math.max(...exact!.map(Math.abs));
    const error = Math.max(...exact!.map((x, i) => Math.abs(x - rounded![i]!)));
    expect(error / largest).toBeLessThan(1e-4);
  }
});

describe('bad input', () => {
  const problem = evenProblem(network(), { steps: 1, samples: 2 });

  test.each([0, -1, Number.NaN])('damping %d', async (damping) => {
    using kfac = await kfacOperator(space, problem);
    await expect(kfac.inverse(damping)).rejects.toMatchObject({ code: 'OPTION', where: 'damping' });
  });

  test('draws', async () => {
    await expect(kfacOperator(space, problem, { draws: 0 })).rejects.toMatchObject({ code: 'OPTION' });
  });

  test('no batches', async () => {
    await expect(kfacOperator(space, { ...problem, batches: [] })).rejects.toMatchObject({ code: 'DATA' });
  });

  test('too little memory for factors: with the numbers, and what needs none', async () => {
    const small: Capacity = { buffer: 100, total: 100 };
    const backend = Object.create(space.backend, { capacity: { value: small } }) as Backend;
    using tight = new VectorSpace(backend);
    await expect(kfacOperator(tight, problem)).rejects.toMatchObject({
      code: 'MEMORY',
      fix: expect.stringContaining('gaussNewtonOperator'),
    });
  });

  test('a model that does not take its parameters from theta one by one', async () => {
    const squared: Model = {
      ...meanOfSteps,
      forward: (on, { theta, ...rest }) => meanOfSteps.forward(on, { theta: on.mul(theta, theta), ...rest }),
    };
    const given = evenProblem(squared, { steps: 2, samples: 2 });
    await expect(kfacOperator(space, given)).rejects.toMatchObject({ code: 'PROGRAM', where: 'theta' });
  });
});
