import fc from 'fast-check';
import { Matrix, solve } from 'ml-matrix';
import { afterAll, describe, expect, test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { ConjugateGradient, type ConjugateGradientOptions } from '../../src/curvature/conjugate-gradient.js';
import { Diagonal } from '../../src/curvature/diagonal.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { CounterRandom } from '../../src/data/random.js';
import { DenseSymmetric } from '../support/dense-operator.js';

const float64 = new VectorSpace(new Float64Backend());
const float32 = new VectorSpace(new Float32Backend());
afterAll(() => {
  for (const space of [float64, float32]) {
    space[Symbol.dispose]();
    space.backend[Symbol.dispose]();
  }
});

/** B'B + I for a random B [n, n], and a random vector. */
function system(n: number, seed: number) {
  const random = new CounterRandom(seed);
  const B = new Matrix(Array.from({ length: n }, () => Array.from({ length: n }, () => random.normal())));
  const A = Matrix.add(B.transpose().mmul(B), Matrix.eye(n));
  return { A, b: Array.from({ length: n }, () => random.normal()) };
}

const dense = (A: Matrix, b: readonly number[]) => solve(A, Matrix.columnVector([...b])).to1DArray();

/** What is left of a solution, with copies of what belongs to the solver. */
async function solved(
  space: VectorSpace,
  A: Matrix,
  b: readonly number[],
  options: ConjugateGradientOptions = {},
  from: readonly number[] = b.map(() => 0),
) {
  const n = b.length;
  using operator = new DenseSymmetric(space, A.to2DArray());
  using solver = new ConjugateGradient(space, n);
  using right = space.vector(n);
  using x = space.vector(n);
  right.write(b);
  x.write(from);
  const result = await solver.solve(operator, right, x, options);
  const iterates = await Promise.all(
    result.iterates.map(async ({ iteration, phi, x }) => ({ iteration, phi, x: [...(await x.read())] })),
  );
  const direction = result.direction && [...(await result.direction.read())];
  return { ...result, iterates, direction, x: [...(await x.read())] };
}

const largestError = (x: readonly number[], y: readonly number[]) =>
  Math.max(...x.map((each, i) => Math.abs(each - y[i]!)));

const dot = (u: readonly number[], v: readonly number[]) => u.reduce((sum, each, i) => sum + each * v[i]!, 0);

const phi = (A: Matrix, b: readonly number[], x: readonly number[]) =>
  dot(A.mmul(Matrix.columnVector([...x])).to1DArray(), x) / 2 - dot(b, x);

describe('a solution is that of a dense solver', () => {
  test('for random sizes, shifts and starting points', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(1, 2, 5, 17, 32),
        fc.integer({ min: 0, max: 1000 }),
        fc.constantFrom(0, 0.5, 30),
        fc.boolean(),
        async (n, seed, shift, warm) => {
          const { A, b } = system(n, seed);
          const options = { shift, maxIterations: 4 * n };
          const result = await solved(float64, A, b, options, warm ? [...b].reverse() : undefined);
          expect(result.stop).toBe('residual');
          const expected = dense(Matrix.add(A, Matrix.eye(n).mul(shift)), b);
          expect(largestError(result.x, expected)).toBeLessThan(1e-8);
          expect(result.iterations).toBeLessThanOrEqual(2 * n);
        },
      ),
      { numRuns: 40 },
    );
  });

  test('in float32, as far as float32 goes', async () => {
    const { A, b } = system(20, 3);
    const result = await solved(float32, A, b, { maxIterations: 200, tolerance: 1e-5 });
    expect(result.stop).toBe('residual');
    expect(largestError(result.x, dense(A, b))).toBeLessThan(1e-3);
  });

  test('with a preconditioner, at once when that is the inverse', async () => {
    const d = [1, 10, 100, 1000, 1e4];
    const b = [1, 2, 3, 4, 5];
    const A = Matrix.diag(d);
    const plain = await solved(float64, A, b, { maxIterations: 20 });
    expect(plain.iterations).toBeGreaterThanOrEqual(5);
    using inverse = float64.vector(5);
    inverse.write(d.map((each) => 1 / each));
    const helped = await solved(float64, A, b, { preconditioner: new Diagonal(float64, inverse) });
    expect(helped.iterations).toBe(1);
    expect(largestError(helped.x, dense(A, b))).toBeLessThan(1e-12);
  });

  test('of nothing to do in no iterations', async () => {
    const { A, b } = system(4, 1);
    expect((await solved(float64, A, [0, 0, 0, 0])).iterations).toBe(0);
    expect((await solved(float64, A, b, { tolerance: 1e-8 }, dense(A, b))).iterations).toBe(0);
  });
});

describe('phi and the residual', () => {
  test('are those of the iterates, and phi falls', async () => {
    const { A, b } = system(12, 5);
    const from = b.map((each) => -2 * each);
    const { iterates, residual, x } = await solved(
      float64,
      A,
      b,
      { keepEvery: 1.0001, maxIterations: 6 },
      from,
    );
    expect(iterates.map(({ iteration }) => iteration)).toEqual([1, 2, 3, 4, 5, 6]);
    for (const each of iterates) expect(each.phi).toBeCloseTo(phi(A, b, each.x), 9);
    const phis = iterates.map((each) => each.phi);
    expect(phis).toEqual([...phis].sort((a, b) => b - a));
    expect(iterates.at(-1)!.x).toEqual(x);
    const r = A.mmul(Matrix.columnVector(x))
      .to1DArray()
      .map((each, i) => b[i]! - each);
    expect(residual).toBeCloseTo(Math.sqrt(dot(r, r)), 9);
  });

  test('kept iterates are spaced by a power, the last among them', async () => {
    const { A, b } = system(30, 6);
    const { iterates } = await solved(float64, A, b, { keepEvery: 1.5, maxIterations: 20 });
    expect(iterates.map(({ iteration }) => iteration)).toEqual([1, 2, 3, 5, 8, 12, 18, 20]);
  });
});

test('stops when progress in phi has become slow, by the rule of Martens', async () => {
  const { A, b } = system(64, 8);
  const epsilon = 5e-4;
  const { stop, iterations } = await solved(float64, A, b, { progress: epsilon });
  expect(stop).toBe('progress');
  const { iterates } = await solved(float64, A, b, { keepEvery: 1.0001, maxIterations: iterations });
  const phis = [0, ...iterates.map((each) => each.phi)];
  const slowAt = (i: number) => {
    const k = Math.max(10, Math.ceil(i / 10));
    return i > k && (phis[i]! - phis[i - k]!) / phis[i]! < k * epsilon;
  };
  expect(phis.findIndex((_, i) => slowAt(i))).toBe(iterations);
});

describe('an indefinite operator', () => {
  const A = Matrix.diag([2, 1, -1]);

  test('is reported', async () => {
    await expect(solved(float64, A, [1, 1, 1])).rejects.toMatchObject({ code: 'INDEFINITE' });
  });

  test('gives its direction when it is to, and leaves x where the curvature was still positive', async () => {
    const b = [1, 1, 0.1];
    const { stop, direction, x, residual } = await solved(float64, A, b, { negativeCurvature: 'stop' });
    expect(stop).toBe('negative curvature');
    const Ap = A.mmul(Matrix.columnVector(direction!)).to1DArray();
    expect(dot(direction!, Ap)).toBeLessThan(0);
    const r = A.mmul(Matrix.columnVector(x))
      .to1DArray()
      .map((each, i) => b[i]! - each);
    expect(residual).toBeCloseTo(Math.sqrt(dot(r, r)), 12);
  });

  test('is definite with a shift', async () => {
    const { x } = await solved(float64, A, [3, 2, 1], { shift: 2 });
    expect(largestError(x, [3 / 4, 2 / 3, 1])).toBeLessThan(1e-12);
  });
});

describe('what cannot be solved is refused', () => {
  test('an operator of another size', async () => {
    using operator = new DenseSymmetric(float64, [
      [1, 0],
      [0, 1],
    ]);
    using solver = new ConjugateGradient(float64, 3);
    using b = float64.vector(3);
    using x = float64.vector(3);
    await expect(solver.solve(operator, b, x)).rejects.toMatchObject({ code: 'SHAPE' });
  });

  test('a solution in the place of the right-hand side', async () => {
    using operator = new DenseSymmetric(float64, [[2]]);
    using solver = new ConjugateGradient(float64, 1);
    using b = float64.vector(1);
    await expect(solver.solve(operator, b, b)).rejects.toMatchObject({ code: 'OPTION' });
  });

  test('numbers that are not finite', async () => {
    await expect(solved(float64, Matrix.eye(2), [Number.NaN, 1])).rejects.toMatchObject({ code: 'DIVERGED' });
  });

  test('options out of range', async () => {
    const { A, b } = system(2, 1);
    await expect(solved(float64, A, b, { maxIterations: 0 })).rejects.toMatchObject({ code: 'OPTION' });
    await expect(solved(float64, A, b, { keepEvery: 1 })).rejects.toMatchObject({ code: 'OPTION' });
    await expect(solved(float64, A, b, { tolerance: Number.NaN })).rejects.toMatchObject({ code: 'OPTION' });
    await expect(solved(float64, A, b, { shift: Number.NaN })).rejects.toMatchObject({ code: 'OPTION' });
  });
});
