import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { type LanczosOptions, lanczos } from '../../src/curvature/lanczos.js';
import type { LinearOperator } from '../../src/curvature/linear-operator.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { Scope } from '../../src/dispose.js';
import { backends } from '../support/backends.js';
import { DenseSymmetric, withEigenvalues } from '../support/dense-operator.js';
import { expectClose } from '../support/numbers.js';

const scope = new Scope();
afterAll(() => scope[Symbol.dispose]());
const space = scope.own(new VectorSpace(scope.own(new Float64Backend())));
const space32 = scope.own(new VectorSpace(scope.own(new Float32Backend())));

async function ends(on: VectorSpace, eigenvalues: readonly number[], options: LanczosOptions, seed = 1) {
  using operator = new DenseSymmetric(on, withEigenvalues(eigenvalues, seed));
  using result = await lanczos(operator, options);
  const residuals = await residualsOf(operator, result.largest.values, result.largest.vectors);
  return { ...result, residuals };
}

/** |A x - lambda x| of each pair, by another product. */
async function residualsOf(
  operator: LinearOperator,
  values: readonly number[],
  vectors: { read(): Promise<ArrayLike<number>> } | null,
) {
  if (vectors === null) return [];
  const [n] = operator.shape;
  const rows = Array.from(await vectors.read());
  const residuals: number[] = [];
  for (const [i, value] of values.entries()) {
    const x = rows.slice(i * n, (i + 1) * n);
    const y = await operator.matvec(x);
    residuals.push(Math.hypot(...x.map((each, j) => y[j]! - value * each)));
    expect(Math.hypot(...x)).toBeCloseTo(1, 5);
  }
  return residuals;
}

const descending = (values: readonly number[]) => [...values].sort((a, b) => b - a);
const ascending = (values: readonly number[]) => [...values].sort((a, b) => a - b);

describe('lanczos', () => {
  test('finds both ends of any small spectrum, in float64', async () => {
    const tenths = fc.integer({ min: -50, max: 50 }).map((i) => i / 10);
    const spectrum = fc.array(tenths, { minLength: 1, maxLength: 13 });
    await fc.assert(
      fc.asyncProperty(spectrum, fc.nat(99), async (eigenvalues, seed) => {
        const n = eigenvalues.length;
        const largest = 1 + (seed % n);
        const options = { largest, smallest: n - largest, seed };
        const found = await ends(space, eigenvalues, options, seed);
        const scale = Math.max(...eigenvalues.map(Math.abs)) || 1;
        expectClose(found.largest.values, descending(eigenvalues).slice(0, largest), 1e-11, 'largest', scale);
        expectClose(
          found.smallest.values,
          ascending(eigenvalues).slice(0, n - largest),
          1e-11,
          'smallest',
          scale,
        );
      }),
      { numRuns: 30 },
    );
  });

  test.each([
    ['every eigenvalue twice', [3, 3, 1, 1, -2, -2], 3],
    ['one eigenvalue only', [2, 2, 2, 2], 3],
    ['the zero matrix', [0, 0, 0], 2],
    ['rank 1', [5, 0, 0, 0, 0], 3],
  ])('finds eigenvalues as often as they occur: %s', async (_, eigenvalues, largest) => {
    for (const each of [space, space32]) {
      const found = await ends(each, eigenvalues, { largest, tolerance: 1e-6 });
      expectClose(found.largest.values, descending(eigenvalues).slice(0, largest), 2e-6, 'largest', 5);
    }
  });

  test.each(Object.keys(backends))('stops when its errors are within the tolerance: %s', async (name) => {
    using backend = await backends[name]!();
    using own = new VectorSpace(backend);
    const eigenvalues = Array.from({ length: 120 }, (_, i) => (i < 4 ? 10 / (i + 1) : -1 + i / 60));
    const found = await ends(own, eigenvalues, { largest: 4, smallest: 1, tolerance: 1e-4 });
    expect(found.converged).toBe(true);
    expect(found.steps).toBeLessThan(60);
    expectClose(found.largest.values, [10, 5, 10 / 3, 2.5], 3e-6);
    found.largest.errors.forEach((error, i) => {
      expect(error).toBeLessThanOrEqual(1.01e-3);
      // The estimate is the true residual, up to the rounding of a product.
      expect(found.residuals[i]!).toBeLessThanOrEqual(error + 2e-5);
    });
    expectClose(found.smallest.values, [-1 + 4 / 60], found.smallest.errors[0]!, 'smallest', 1);
  });

  test.each([
    ['the zero matrix', new Array<number>(40).fill(0), 2],
    ['the identity', new Array<number>(40).fill(1), 3],
    ['rank 2', [4, 4, ...new Array<number>(38).fill(0)], 4],
  ])('needs few steps where the Krylov space is soon invariant: %s', async (_, eigenvalues, largest) => {
    const found = await ends(space, eigenvalues, { largest });
    expectClose(found.largest.values, descending(eigenvalues).slice(0, largest), 1e-11, 'largest', 5);
    expect(found.converged).toBe(true);
    expect(found.steps).toBeLessThan(9);
  });

  test('says so when it stops before its errors are within the tolerance', async () => {
    const eigenvalues = Array.from({ length: 60 }, (_, i) => 1 + i / 60);
    const { converged, steps, largest } = await ends(space, eigenvalues, { largest: 3, maxSteps: 8 });
    expect({ converged, steps }).toEqual({ converged: false, steps: 8 });
    largest.values.forEach((value, i) => {
      const distance = Math.min(...eigenvalues.map((each) => Math.abs(each - value)));
      expect(distance).toBeLessThanOrEqual(largest.errors[i]!);
    });
  });

  test('draws the same numbers from the same seed', async () => {
    const eigenvalues = Array.from({ length: 40 }, (_, i) => i * i);
    const once = await ends(space32, eigenvalues, { largest: 2, seed: 5 });
    const again = await ends(space32, eigenvalues, { largest: 2, seed: 5 });
    expect(again.largest.values).toEqual(once.largest.values);
  });
});

describe('what cannot be done is refused', () => {
  const attempt = (options: LanczosOptions) => ends(space, [1, 2, 3], options);

  test.each<[string, LanczosOptions]>([
    ['nothing', {}],
    ['more than there are', { largest: 2, smallest: 2 }],
    ['a part of one', { largest: 1.5 }],
    ['fewer steps than eigenvalues', { largest: 2, maxSteps: 1 }],
    ['no tolerance', { largest: 1, tolerance: 0 }],
    ['a seed that is none', { largest: 1, seed: -1 }],
  ])('%s', async (_, options) => {
    await expect(attempt(options)).rejects.toMatchObject({ code: 'OPTION' });
  });

  test('products that are not finite', async () => {
    await expect(ends(space, [1, Number.NaN, 3], { largest: 1 })).rejects.toMatchObject({ code: 'DIVERGED' });
  });

  test('a basis that does not fit, with the numbers', async () => {
    class Small extends Float64Backend {
      override readonly capacity = { buffer: 8 * 40 * 20, total: 8 * 40 * 20 };
    }
    using small = new VectorSpace(new Small());
    const eigenvalues = Array.from({ length: 40 }, (_, i) => 1 + i / 40);
    await expect(ends(small, eigenvalues, { largest: 10, tolerance: 1e-12 })).rejects.toMatchObject({
      code: 'MEMORY',
      message: 'a basis of 21 vectors of 40 numbers takes 6720 bytes; a buffer here holds 6400',
    });
  });
});
