import { afterAll, describe, expect, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { kroneckerBlock } from '../../src/curvature/kronecker.js';
import { ExplicitKronecker } from '../../src/curvature/kronecker-explicit.js';
import { kroneckerCosts, kroneckerSumFor } from '../../src/curvature/kronecker-rule.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { FeedForwardModel } from '../../src/model/feedforward-model.js';
import { randomProblem, smallSequenceModel } from '../support/curvature-problems.js';
import { expectClose } from '../support/numbers.js';

const space = new VectorSpace(new Float64Backend());
afterAll(() => space[Symbol.dispose]());

describe('the flops of equal widths are the formulas', () => {
  test('of math.md 2.4 for feed-forward layers', () => {
    const [m, l, r] = [5, 4, 3];
    const model = new FeedForwardModel({
      ...{ steps: 1, features: m, hidden: new Array(l - 1).fill(m), outputs: m, perStep: false },
      ...{ activation: 'tanh', loss: 'half-squared-error' },
    });
    const problem = randomProblem(space.backend, model, { steps: 1, samples: r });
    using _theta = problem.theta;
    for (let k = 1; k <= l; k++) {
      const costs = kroneckerCosts(space, problem, `layers.${k - 1}.weight`);
      const above = l - k;
      expect(costs.implicit.each).toBe(r * m * m * (4 + 4 * above));
      expect(costs.explicit.each).toBe(r * m * m * 6);
      expect(costs.explicit.once - costs.implicit.once).toBe(4 * above * r * m ** 3);
      expect(costs.bytes).toBe(8 * r * m * m);
      // q > 2 m (l - k) / (2 (l - k) - 1), for which the papers' all-layer rule q > 2m / (l - 2) is the mean.
      expect(costs.breakEven).toBeCloseTo(
        above === 0 ? Number.POSITIVE_INFINITY : (4 * above * m) / (4 * above - 2),
        9,
      );
    }
  });

  test('of math.md 3.4 for recurrent ones, and a head of c outputs', () => {
    const [m, l, r, T, c] = [4, 2, 2, 3, 2];
    const model = smallSequenceModel('naumov-rnn', { features: m, hidden: m, layers: l, outputs: c });
    const problem = randomProblem(space.backend, model, { steps: T, samples: r });
    using _theta = problem.theta;
    for (const weight of ['W', 'U'])
      for (let k = 1; k <= l; k++) {
        const costs = kroneckerCosts(space, problem, `naumov-rnn.${weight}_l${k - 1}`);
        const head = 4 * r * T * m * c;
        expect(costs.implicit.each).toBe(r * T * m * m * (8 + 8 * (l - k)) + head);
        expect(costs.explicit.each).toBe(r * T * m * m * (4 + 2 * T));
        expect(costs.explicit.once - costs.implicit.once).toBe(
          T * m * (r * T * m * m * (4 + 8 * (l - k)) + head),
        );
        expect(costs.bytes).toBe(8 * r * (T * m) ** 2);
      }
  });
});

describe('the rule', () => {
  const [m, r] = [6, 2];
  const deep = new FeedForwardModel({
    ...{ steps: 1, features: m, hidden: [m, m, m], outputs: m, perStep: false },
    ...{ activation: 'sigmoid', loss: 'softmax-cross-entropy' },
  });

  test('stores C from the break-even on, and both ways give the same', async () => {
    const problem = randomProblem(space.backend, deep, { steps: 1, samples: r, classes: m });
    using _theta = problem.theta;
    const weight = 'layers.0.weight';
    const { breakEven } = kroneckerCosts(space, problem, weight);
    expect(breakEven).toBeGreaterThan(1);
    const few = await kroneckerSumFor(space, problem, weight, { vectors: Math.floor(breakEven) });
    const many = await kroneckerSumFor(space, problem, weight, { vectors: Math.floor(breakEven) + 1 });
    using operators = {
      few,
      many,
      [Symbol.dispose]: () => [few, many].forEach((o) => o.operator[Symbol.dispose]()),
    };
    expect([operators.few.explicit, operators.many.explicit]).toEqual([false, true]);
    const v = Float64Array.from({ length: m * m }, (_, i) => Math.cos(i));
    expectClose(await many.operator.matvec(v), await few.operator.matvec(v), 1e-12);
  });

  test('refuses what is no weight', async () => {
    const problem = randomProblem(space.backend, deep, { steps: 1, samples: 1, classes: m });
    using _theta = problem.theta;
    for (const name of ['layers.9.weight', 'layers.0.bias']) {
      const chosen = kroneckerSumFor(space, problem, name, { vectors: 1 });
      await expect(chosen).rejects.toMatchObject({ code: 'OPTION' });
    }
  });

  test('never stores C of a long sequence, nor what does not fit', async () => {
    const long = randomProblem(space.backend, smallSequenceModel('rnn'), { steps: 8, samples: 1 });
    using _theta = long.theta;
    expect(kroneckerCosts(space, long, 'rnn.weight_ih_l0').breakEven).toBe(Number.POSITIVE_INFINITY);

    class SmallBackend extends Float64Backend {
      override readonly capacity = { buffer: 100, total: 100 };
    }
    using small = new VectorSpace(new SmallBackend());
    const problem = randomProblem(small.backend, deep, { steps: 1, samples: r, classes: m });
    using _other = problem.theta;
    const chosen = await kroneckerSumFor(small, problem, 'layers.0.weight', { vectors: 1e6 });
    using operator = chosen.operator;
    expect(chosen.explicit).toBe(false);
    expect(operator).toBeInstanceOf(kroneckerBlock(small, problem, 'layers.0.weight').constructor);
    expect(operator).not.toBeInstanceOf(ExplicitKronecker);
  });
});
