import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { cells } from '../../src/cells/index.js';
import { gaussNewtonBlock, hessianBlock } from '../../src/curvature/blocks.js';
import { toDense } from '../../src/curvature/dense.js';
import { kroneckerBlock } from '../../src/curvature/kronecker.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { FeedForwardModel } from '../../src/model/feedforward-model.js';
import { LanguageModel } from '../../src/model/language-model.js';
import type { Model } from '../../src/model/model.js';
import { randomProblem, smallSequenceModel } from '../support/curvature-problems.js';
import { expectClose } from '../support/numbers.js';

const space = new VectorSpace(new Float64Backend());
afterAll(() => space[Symbol.dispose]());

/** Matrices that are multiplied in one place: all but the papers' layer norm, windows and blocks of heads. */
const weightsOf = ({ parameters: { specs } }: Model) =>
  specs.filter((s) => s.shape.length === 2 && s.name !== 'embedding.weight').map((s) => s.name);

const isRecurrent = (weight: string) =>
  /weight_h[hr]|(?<!attention-rnn)\.U_|attention-rnn\.W_|\.W_[rs]|W_R_|weight_co|weight_c[if]|Ws_|Wv_|qdr/.test(
    weight,
  );

async function expectStructure(model: Model, sizes: { steps: number; samples: number; seed?: number }) {
  const problem = randomProblem(space.backend, model, sizes);
  using _theta = problem.theta;
  for (const weight of weightsOf(model)) {
    using block = hessianBlock(space, problem, weight);
    using structured = kroneckerBlock(space, problem, weight);
    const exact = (await toDense(block)).flat();
    expectClose((await toDense(structured)).flat(), exact, 1e-11, `${weight}, Hessian`);
    using gaussNewton = gaussNewtonBlock(space, problem, weight);
    using sum = kroneckerBlock(space, problem, weight, 'gauss-newton');
    expectClose(
      (await toDense(sum)).flat(),
      (await toDense(gaussNewton)).flat(),
      1e-11,
      `${weight}, Gauss-Newton`,
    );
    if (isRecurrent(weight)) continue;
    using pure = kroneckerBlock(space, problem, weight, 'hessian-sum');
    expectClose((await toDense(pure)).flat(), exact, 1e-11, `${weight}, the sum alone`);
  }
}

const plain = Object.keys(cells).filter((c) => !/layer-norm|multi-head|layernorm/.test(c));

describe('the structured product is the block', () => {
  test.each(plain)('of every weight of %s', async (cell) => {
    await expectStructure(smallSequenceModel(cell, {}, 'softmax-cross-entropy'), { steps: 3, samples: 2 });
  });

  test('with masks, in both directions of time', async () => {
    const model = smallSequenceModel('lstm', {
      bidirectional: true,
      masked: true,
      perStep: false,
      hidden: 2,
    });
    await expectStructure(model, { steps: 3, samples: 3 });
  });

  test('of one-hot inputs', async () => {
    const model = new LanguageModel({
      cell: 'lstm',
      vocabulary: 3,
      hidden: 2,
      layers: 1,
      embedding: 'one-hot',
    });
    await expectStructure(model, { steps: 3, samples: 2 });
  });

  test('of attention, whose keys are states', async () => {
    const model = smallSequenceModel('naumov-rnn', { attention: true }, 'softmax-cross-entropy');
    await expectStructure(model, { steps: 3, samples: 2 });
  });

  test.each([
    ['tanh', 'half-squared-error'],
    ['sigmoid', 'softmax-cross-entropy'],
    ['softplus', 'sigmoid-cross-entropy'],
    ['relu', 'half-squared-error'],
  ] as const)('of a feed-forward network with %s and %s', async (activation, loss) => {
    const model = new FeedForwardModel({
      ...{ steps: 2, features: 2, hidden: [3, 4], outputs: 2 },
      ...{ activation, loss, perStep: false },
    });
    await expectStructure(model, { steps: 2, samples: 3 });
  });

  test('of any number of steps, samples and units', async () => {
    const sizes = fc.record({
      steps: fc.integer({ min: 1, max: 4 }),
      samples: fc.integer({ min: 1, max: 3 }),
      seed: fc.integer({ min: 1, max: 1000 }),
      hidden: fc.constantFrom(1, 2, 3, 5),
      features: fc.constantFrom(1, 3),
      layers: fc.constantFrom(1, 2),
      cell: fc.constantFrom('rnn', 'gru', 'naumov-rnn'),
    });
    await fc.assert(
      fc.asyncProperty(sizes, async ({ cell, hidden, features, layers, ...batch }) => {
        await expectStructure(smallSequenceModel(cell, { hidden, features, layers }), batch);
      }),
      { numRuns: 8 },
    );
  });
});

test('the sum alone misses M + M of recurrent weights', async () => {
  const problem = randomProblem(space.backend, smallSequenceModel('rnn'), { steps: 3, samples: 1 });
  using _theta = problem.theta;
  using block = hessianBlock(space, problem, 'rnn.weight_hh_l0');
  using sum = kroneckerBlock(space, problem, 'rnn.weight_hh_l0', 'hessian-sum');
  const [exact, part] = [(await toDense(block)).flat(), (await toDense(sum)).flat()];
  expect(Math.max(...exact.map((x, i) => Math.abs(x - part[i]!)))).toBeGreaterThan(1e-3);
});

test.each(['layer-norm-lstm', 'multi-head-lstm'])(
  'weights of %s that are no plain matrices are refused',
  async (cell) => {
    const model = smallSequenceModel(cell, { hidden: 4 });
    const problem = randomProblem(space.backend, model, { steps: 2, samples: 1 });
    using _theta = problem.theta;
    const { name, shape } = model.parameters.specs.find((s) => /hh|heads|blocks/.test(s.name))!;
    using block = kroneckerBlock(space, problem, name);
    const vector = new Float64Array(shape.reduce((a, b) => a * b));
    await expect(block.matvec(vector)).rejects.toMatchObject({ code: 'OPTION', where: name });
  },
);
