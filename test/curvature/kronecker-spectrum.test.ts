import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { gaussNewtonBlock, hessianBlock } from '../../src/curvature/blocks.js';
import { eigenvaluesOf, toDense } from '../../src/curvature/dense.js';
import { ExplicitKronecker } from '../../src/curvature/kronecker-explicit.js';
import { kroneckerBounds } from '../../src/curvature/kronecker-spectrum.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { FeedForwardModel } from '../../src/model/feedforward-model.js';
import type { Model } from '../../src/model/model.js';
import { randomProblem, smallSequenceModel } from '../support/curvature-problems.js';
import { expectClose } from '../support/numbers.js';

const space = new VectorSpace(new Float64Backend());
afterAll(() => space[Symbol.dispose]());

interface Sizes {
  readonly steps: number;
  readonly samples: number;
  readonly seed: number;
}

/** The eigenvalues of a weight's block of H or of G, dense, and the same operator with C at hand. */
async function both(model: Model, weight: string, sizes: Sizes, part: 'hessian-sum' | 'gauss-newton') {
  const problem = randomProblem(space.backend, model, sizes);
  using _theta = problem.theta;
  using block = (part === 'hessian-sum' ? hessianBlock : gaussNewtonBlock)(space, problem, weight);
  const dense = eigenvaluesOf(await toDense(block));
  using explicit = await ExplicitKronecker.create(space, problem, weight, part);
  return { dense, ours: await explicit.eigenvalues(), samples: await explicit.samples() };
}

const activations = fc.constantFrom('tanh', 'sigmoid', 'softplus', 'relu');
const losses = fc.constantFrom('half-squared-error', 'softmax-cross-entropy', 'sigmoid-cross-entropy');
const seeds = fc.integer({ min: 1, max: 10_000 });

describe('eigenvalues from C', () => {
  test('are those of a feed-forward layer, for any mini-batch', async () => {
    const nets = fc.record({
      activation: activations,
      loss: losses,
      seed: seeds,
      n: fc.constantFrom(1, 2, 5, 7),
      m: fc.constantFrom(1, 2, 3),
      samples: fc.constantFrom(1, 2, 3, 6),
      layer: fc.constantFrom(0, 1),
    });
    await fc.assert(
      fc.asyncProperty(nets, async ({ activation, loss, seed, n, m, samples, layer }) => {
        const hidden = layer === 0 ? [m, 2] : [n, m];
        const model = new FeedForwardModel({
          steps: 1,
          features: n,
          hidden,
          outputs: 2,
          perStep: false,
          activation,
          loss,
        });
        for (const part of ['hessian-sum', 'gauss-newton'] as const) {
          const { dense, ours } = await both(
            model,
            `layers.${layer}.weight`,
            { steps: 1, samples, seed },
            part,
          );
          // Two eigen-solvers in float64: the worst of some 300 nets was 1.3e-12.
          expectClose(ours, dense, 1e-11);
        }
      }),
      { numRuns: 15 },
    );
  });

  test('are |z|^2 lambda_i(A) and zeros for one sample: Naumov, (46)', async () => {
    const model = new FeedForwardModel({
      steps: 1,
      features: 4,
      hidden: [3],
      outputs: 2,
      perStep: false,
      activation: 'tanh',
      loss: 'softmax-cross-entropy',
    });
    const { dense, samples } = await both(
      model,
      'layers.0.weight',
      { steps: 1, samples: 1, seed: 3 },
      'hessian-sum',
    );
    const [{ C, seen }] = samples as [(typeof samples)[number]];
    const closed = [
      ...eigenvaluesOf(C).map((x) => x * Math.hypot(...seen[0]!) ** 2),
      ...new Array<number>(9).fill(0),
    ];
    expectClose(
      closed.sort((a, b) => a - b),
      dense,
      1e-9,
    );
  });

  test('are those of H_W of recurrent layers, over the pairs of samples and steps', async () => {
    const nets = fc.record({
      cell: fc.constantFrom('naumov-rnn', 'rnn-relu', 'gru'),
      steps: fc.constantFrom(1, 2, 3),
      samples: fc.constantFrom(1, 2),
      n: fc.constantFrom(1, 3, 8),
      seed: seeds,
    });
    await fc.assert(
      fc.asyncProperty(nets, async ({ cell, n, ...sizes }) => {
        const model = smallSequenceModel(cell, { features: n, hidden: 2 });
        const weight = model.parameters.specs[0]!.name;
        const { dense, ours } = await both(model, weight, sizes, 'hessian-sum');
        expectClose(ours, dense, 1e-11);
      }),
      { numRuns: 10 },
    );
  });

  test('are those of G_U too, whose block is the sum', async () => {
    const model = smallSequenceModel('naumov-rnn', { hidden: 5 });
    const { dense, ours } = await both(
      model,
      'naumov-rnn.U_l0',
      { steps: 2, samples: 2, seed: 5 },
      'gauss-newton',
    );
    expect(dense[0]).toBeGreaterThan(-1e-12);
    expectClose(ours, dense, 1e-11);
  });
});

/** What maps x: the bounds are of H_W, and not of recurrent weights. */
const INPUT_WEIGHTS = { 'naumov-rnn': 'W', 'rnn-relu': 'weight_ih', 'pal-rnn': 'W_I', lstm: 'weight_ih' };

describe('bounds from C', () => {
  test('hold for H_W of any cell, activation and layer; for one step they are the eigenvalues', async () => {
    const nets = fc.record({
      cell: fc.constantFrom('naumov-rnn', 'rnn-relu', 'pal-rnn', 'lstm'),
      layers: fc.constantFrom(1, 2),
      steps: fc.constantFrom(1, 2, 3, 5),
      n: fc.constantFrom(1, 2, 3),
      hidden: fc.constantFrom(1, 2, 3),
      loss: losses,
      seed: seeds,
    });
    await fc.assert(
      fc.asyncProperty(nets, async ({ cell, layers, n, hidden, loss, steps, seed }) => {
        const model = smallSequenceModel(cell, { features: n, hidden, layers }, loss);
        const weight = `${cell}.${INPUT_WEIGHTS[cell]}_l0`;
        const { dense, samples } = await both(model, weight, { steps, samples: 1, seed }, 'hessian-sum');
        const { lower, upper } = kroneckerBounds(samples[0]!);
        expect(lower.length).toBe(dense.length);
        const rounding = 1e-11 * Math.max(...dense.map(Math.abs));
        dense.forEach((value, i) => {
          expect(value).toBeGreaterThanOrEqual(lower[i]! - rounding);
          expect(value).toBeLessThanOrEqual(upper[i]! + rounding);
        });
        if (steps === 1) expectClose(lower, upper, 1e-11);
      }),
      { numRuns: 20 },
    );
  });
});
