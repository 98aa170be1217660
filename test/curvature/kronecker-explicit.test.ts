import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { toDense } from '../../src/curvature/dense.js';
import { kroneckerBlock } from '../../src/curvature/kronecker.js';
import { ExplicitKronecker } from '../../src/curvature/kronecker-explicit.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { FeedForwardModel } from '../../src/model/feedforward-model.js';
import { LanguageModel } from '../../src/model/language-model.js';
import type { Model } from '../../src/model/model.js';
import { randomBatch, randomProblem, smallSequenceModel } from '../support/curvature-problems.js';
import { expectClose } from '../support/numbers.js';

const space = new VectorSpace(new Float64Backend());
afterAll(() => space[Symbol.dispose]());

/** Products, matrix, diagonal and trace against the products that never form C. */
async function expectAgreement(
  model: Model,
  weight: string,
  sizes: { steps: number; samples: number; seed?: number },
) {
  const { steps, samples, seed = 1 } = sizes;
  const batches = [
    { ...randomBatch(model, sizes), weight: 0.25 },
    { ...randomBatch(model, { steps, samples: samples + 1, seed: seed + 1 }), weight: 0.75 },
  ];
  const problem = randomProblem(space.backend, model, sizes, batches);
  using _theta = problem.theta;
  for (const part of ['hessian-sum', 'gauss-newton'] as const) {
    using implicit = kroneckerBlock(space, problem, weight, part);
    using explicit = await ExplicitKronecker.create(space, problem, weight, part);
    const expected = await toDense(implicit);
    const diagonal = expected.map((row, i) => row[i]!);
    const trace = diagonal.reduce((a, b) => a + b);
    const scale = Math.max(...expected.flat().map(Math.abs));
    expectClose((await toDense(explicit)).flat(), expected.flat(), 1e-12, 'products', scale);
    expectClose((await explicit.dense()).flat(), expected.flat(), 1e-12, 'matrix', scale);
    expectClose(await explicit.diagonal(), diagonal, 1e-12, 'diagonal', scale);
    expectClose([await explicit.trace()], [trace], 1e-12, 'trace', scale);
    const one = Float64Array.from(diagonal, (_, i) => Math.sin(i));
    expectClose(await explicit.matvec(one), await implicit.matvec(one), 1e-12, 'one product');
  }
}

describe('explicit C', () => {
  test('of layers of any sizes', async () => {
    const sizes = fc.record({
      steps: fc.integer({ min: 1, max: 5 }),
      samples: fc.integer({ min: 1, max: 3 }),
      seed: fc.integer({ min: 1, max: 1000 }),
      hidden: fc.constantFrom(1, 2, 3, 5),
      features: fc.constantFrom(1, 2, 7),
      cell: fc.constantFrom('rnn', 'gru', 'lstm'),
      weight: fc.constantFrom('weight_ih_l0', 'weight_hh_l0'),
    });
    await fc.assert(
      fc.asyncProperty(sizes, async ({ cell, weight, hidden, features, ...batch }) => {
        const model = smallSequenceModel(cell, { hidden, features }, 'sigmoid-cross-entropy');
        await expectAgreement(model, `${cell}.${weight}`, batch);
      }),
      { numRuns: 10 },
    );
  });

  test('of the head, of a feed-forward layer, of one-hot inputs', async () => {
    await expectAgreement(smallSequenceModel('gru', {}, 'softmax-cross-entropy'), 'head.weight', {
      steps: 3,
      samples: 2,
    });
    const network = new FeedForwardModel({
      ...{ steps: 1, features: 3, hidden: [4, 3], outputs: 2, perStep: false },
      ...{ activation: 'tanh', loss: 'softmax-cross-entropy' },
    });
    await expectAgreement(network, 'layers.1.weight', { steps: 1, samples: 3 });
    const text = new LanguageModel({
      cell: 'rnn',
      vocabulary: 3,
      hidden: 2,
      layers: 1,
      embedding: 'one-hot',
    });
    await expectAgreement(text, 'rnn.weight_ih_l0', { steps: 4, samples: 2 });
  });

  test('made in several passes', async () => {
    const model = smallSequenceModel('rnn', { hidden: 46, features: 1, outputs: 1 });
    const problem = randomProblem(space.backend, model, { steps: 8, samples: 1 });
    using _theta = problem.theta;
    using explicit = await ExplicitKronecker.create(space, problem, 'rnn.weight_ih_l0');
    expect(explicit.factors[0]!.slabs.length).toBeGreaterThan(1);
    using implicit = kroneckerBlock(space, problem, 'rnn.weight_ih_l0');
    const expected = await toDense(implicit);
    expectClose((await explicit.dense()).flat(), expected.flat(), 1e-12, 'matrix');
    const diagonal = expected.map((row, i) => row[i]!);
    expectClose(await explicit.diagonal(), diagonal, 1e-12, 'diagonal');
    expectClose([await explicit.trace()], [diagonal.reduce((a, b) => a + b)], 1e-12, 'trace');
    expectClose(await explicit.matvec(diagonal), await implicit.matvec(diagonal), 1e-12, 'product');
  });

  test('with M + M added is the block of a recurrent weight', async () => {
    const problem = randomProblem(space.backend, smallSequenceModel('rnn'), { steps: 3, samples: 2 });
    using _theta = problem.theta;
    const weight = 'rnn.weight_hh_l0';
    using explicit = await ExplicitKronecker.create(space, problem, weight);
    using terms = kroneckerBlock(space, problem, weight, 'recurrent-terms');
    using block = kroneckerBlock(space, problem, weight);
    expectClose((await toDense(explicit.add(terms))).flat(), (await toDense(block)).flat(), 1e-12);
  });

  test('is of the theta it was made at until it is told', async () => {
    const problem = randomProblem(space.backend, smallSequenceModel('gru'), { steps: 2, samples: 2 });
    using theta = problem.theta;
    using explicit = await ExplicitKronecker.create(space, problem, 'gru.weight_ih_l0');
    using implicit = kroneckerBlock(space, problem, 'gru.weight_ih_l0', 'hessian-sum');
    const before = (await explicit.dense()).flat();
    theta.write((await theta.read()).map((x) => x / 2));
    expect((await explicit.dense()).flat()).toEqual(before);
    await explicit.update();
    expectClose((await explicit.dense()).flat(), (await toDense(implicit)).flat(), 1e-12);
  });

  test('refuses what does not fit, with the numbers and the alternative', async () => {
    class SmallBackend extends Float64Backend {
      override readonly capacity = { buffer: 2 ** 20, total: 2 ** 20 };
    }
    using small = new VectorSpace(new SmallBackend());
    const problem = randomProblem(small.backend, smallSequenceModel('rnn', { hidden: 32 }), {
      steps: 16,
      samples: 2,
    });
    using _theta = problem.theta;
    await expect(ExplicitKronecker.create(small, problem, 'rnn.weight_ih_l0')).rejects.toMatchObject({
      code: 'MEMORY',
      message: expect.stringContaining('2 samples x (16 steps x 32 units)^2 numbers, 4 MiB in all'),
      fix: expect.stringContaining('kroneckerBlock'),
    });
  });
});
