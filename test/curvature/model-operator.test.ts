import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { cells } from '../../src/cells/index.js';
import { eigenvaluesOf, toDense } from '../../src/curvature/dense.js';
import { fisherOperator } from '../../src/curvature/fisher.js';
import { kfacOperator } from '../../src/curvature/kfac.js';
import { lanczos } from '../../src/curvature/lanczos.js';
import {
  type CurvatureProblem,
  gaussNewtonOperator,
  hessianOperator,
} from '../../src/curvature/model-operator.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { CounterRandom } from '../../src/data/random.js';
import { Scope } from '../../src/dispose.js';
import { LOSSES, type LossName } from '../../src/model/losses.js';
import { backends } from '../support/backends.js';
import { randomProblem, smallSequenceModel } from '../support/curvature-problems.js';
import { dot, expectClose } from '../support/numbers.js';

const scope = new Scope();
afterAll(() => scope[Symbol.dispose]());
const space = scope.own(new VectorSpace(scope.own(new Float64Backend())));
const space32 = scope.own(new VectorSpace(scope.own(new Float32Backend())));

const OPERATORS = { Hessian: hessianOperator, 'Gauss-Newton': gaussNewtonOperator, Fisher: fisherOperator };

const models = fc.record({
  cell: fc.constantFrom(...Object.keys(cells)),
  loss: fc.constantFrom(...(Object.keys(LOSSES) as LossName[])),
  masked: fc.boolean(),
  perStep: fc.boolean(),
  steps: fc.constantFrom(1, 2, 3, 5),
  samples: fc.constantFrom(1, 2, 3),
  seed: fc.nat(1000),
});
type Drawn = typeof models extends fc.Arbitrary<infer T> ? T : never;

function problemOf({ cell, loss, masked, perStep, steps, samples, seed }: Drawn): CurvatureProblem {
  const hidden = cell === 'multi-head-lstm' ? 4 : 3;
  const model = smallSequenceModel(cell, { masked, perStep, hidden }, loss);
  return randomProblem(space.backend, model, { steps, samples, seed });
}

const vector = (seed: number, size: number) => {
  const random = new CounterRandom(seed, 11);
  return Float64Array.from({ length: size }, () => random.normal());
};

describe.each(Object.entries(OPERATORS))('the %s matrix of any model', (_, make) => {
  test('is symmetric and linear, for one vector and for many', async () => {
    await fc.assert(
      fc.asyncProperty(models, async (drawn) => {
        using operator = make(space, problemOf(drawn));
        const [n] = operator.shape;
        const [u, v] = [vector(drawn.seed, n), vector(drawn.seed + 1, n)];
        const [au, av, sum] = (await operator.matmat([u, v, u.map((x, i) => 2 * x - 3 * v[i]!)])) as [
          Float64Array,
          Float64Array,
          Float64Array,
        ];
        const size = Math.sqrt(Math.max(dot(au, au) * dot(v, v), dot(av, av) * dot(u, u)));
        expectClose([dot(v, au)], [dot(u, av)], 1e-11, 'symmetry', size);
        expectClose(
          sum,
          au.map((x, i) => 2 * x - 3 * av[i]!),
          1e-11,
          'linearity',
        );
        expectClose(await operator.matvec(u), au, 1e-12, 'one by one');
      }),
      { numRuns: 12 },
    );
  });
});

test.each(['Gauss-Newton', 'Fisher'] as const)('the %s matrix has no negative eigenvalue', async (name) => {
  await fc.assert(
    fc.asyncProperty(models, async (drawn) => {
      using operator = OPERATORS[name](space, problemOf(drawn));
      const eigenvalues = eigenvaluesOf(await toDense(operator));
      expect(eigenvalues[0]!).toBeGreaterThan(-1e-12 * eigenvalues.at(-1)!);
    }),
    { numRuns: 5 },
  );
});

describe('Lanczos on the matrices of small models has the eigenvalues of the dense ones', () => {
  const model = smallSequenceModel('lstm', { masked: true }, 'softmax-cross-entropy');
  const sizes = { steps: 3, samples: 6, seed: 6 };
  const exact = async (make: typeof hessianOperator) => {
    using operator = make(space, randomProblem(space.backend, model, sizes));
    return eigenvaluesOf(await toDense(operator));
  };

  test.each(Object.keys(OPERATORS) as (keyof typeof OPERATORS)[])(
    '%s, in float64 and float32',
    async (name) => {
      const make = OPERATORS[name];
      // The others are singular: many eigenvalues are 0.
      const smallest = name === 'Hessian' ? 3 : 0;
      const eigenvalues = await exact(make);
      const scale = Math.max(...eigenvalues.map(Math.abs));
      for (const [on, tolerance] of [
        [space, 1e-9],
        [space32, 2e-6],
      ] as const) {
        using operator = make(on, randomProblem(on.backend, model, sizes));
        using found = await lanczos(operator, { largest: 5, smallest, tolerance: 1e-6 });
        expectClose(found.largest.values, eigenvalues.slice(-5).reverse(), tolerance, 'largest', scale);
        expectClose(found.smallest.values, eigenvalues.slice(0, smallest), tolerance, 'smallest', scale);
      }
    },
  );

  test('Hessian, on WebGPU', async () => {
    using backend = await backends.WebGPU!();
    using on = new VectorSpace(backend);
    const own = smallSequenceModel('rnn');
    const short = { steps: 2, samples: 2 };
    using operator = hessianOperator(on, randomProblem(backend, own, short));
    using found = await lanczos(operator, { largest: 3, smallest: 1, tolerance: 1e-5 });
    using oracle = hessianOperator(space, randomProblem(space.backend, own, short));
    const eigenvalues = eigenvaluesOf(await toDense(oracle));
    expectClose(found.largest.values, eigenvalues.slice(-3).reverse(), 1e-5);
    expectClose(found.smallest.values, eigenvalues.slice(0, 1), 1e-5, 'smallest', eigenvalues.at(-1)!);
  });
});

describe('what does not fit is refused', () => {
  const model = smallSequenceModel('rnn');
  const problem = randomProblem(space.backend, model, { steps: 2, samples: 2 });

  test.each(Object.entries(OPERATORS))('%s', async (_, make) => {
    using operator = make(space, problem);
    const [n] = operator.shape;
    await expect(operator.matvec(vector(1, n + 1))).rejects.toMatchObject({ code: 'SHAPE' });
    await expect(operator.matmat([vector(1, n), vector(1, n - 1)])).rejects.toMatchObject({ code: 'SHAPE' });
    expect(() => make(space, { ...problem, batches: [] })).toThrow(expect.objectContaining({ code: 'DATA' }));
    const [batch] = problem.batches;
    const short = { ...batch!, parts: { ...batch!.parts, inputs: new Float64Array(3) } };
    const misfit = () => make(space, { ...problem, batches: [short] });
    expect(misfit).toThrow(expect.objectContaining({ code: 'SHAPE' }));
    using theta = space.vector(n + 1);
    expect(() => make(space, { ...problem, theta })).toThrow(expect.objectContaining({ code: 'SHAPE' }));
  });

  test('a loss that is not finite, when products, eigenvalues or factors are asked for', async () => {
    using theta = space.vector(model.parameters.size);
    const { size } = model.parameters;
    theta.write(new Float64Array(size).fill(Number.NaN));
    using operator = hessianOperator(space, { ...problem, theta });
    const diverged = expect.objectContaining({ code: 'DIVERGED' });
    await expect(operator.matvec(vector(1, size))).rejects.toThrow(diverged);
    await expect(operator.matmat([vector(1, size)])).rejects.toThrow(diverged);
    await expect(lanczos(operator, { largest: 1 })).rejects.toThrow(diverged);
    await expect(kfacOperator(space, { ...problem, theta })).rejects.toThrow(diverged);
  });
});
