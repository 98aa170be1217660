import { afterAll, describe, expect, test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { drawVectors } from '../../src/curvature/random-vectors.js';
import { hutchinson, hutchPlusPlus } from '../../src/curvature/trace.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { Scope } from '../../src/dispose.js';
import { backends } from '../support/backends.js';
import { DenseSymmetric, withEigenvalues } from '../support/dense-operator.js';
import { expectClose } from '../support/numbers.js';

const scope = new Scope();
afterAll(() => scope[Symbol.dispose]());
const space = scope.own(new VectorSpace(scope.own(new Float64Backend())));
const space32 = scope.own(new VectorSpace(scope.own(new Float32Backend())));

const operator = (eigenvalues: readonly number[], on = space, seed = 3) =>
  scope.own(new DenseSymmetric(on, withEigenvalues(eigenvalues, seed)));
const spectrum = Array.from({ length: 37 }, (_, i) => 5 / (1 + i) - 0.5);
const sum = (values: readonly number[]) => values.reduce((total, x) => total + x, 0);

describe('hutchinson', () => {
  test.each([
    ['float64', space],
    ['float32', space32],
  ])('is within four of its standard errors of trace and norm: %s', async (_, on) => {
    const { trace, squaredFrobeniusNorm } = await hutchinson(operator(spectrum, on), { probes: 203 });
    expect(Math.abs(trace.value - sum(spectrum))).toBeLessThan(4 * trace.standardError);
    const squares = sum(spectrum.map((x) => x * x));
    expect(Math.abs(squaredFrobeniusNorm.value - squares)).toBeLessThan(
      4 * squaredFrobeniusNorm.standardError,
    );
  });

  test('has the standard error of theory: 2 sum of squares off the diagonal, over the probes', async () => {
    const dense = operator(spectrum);
    const off = dense.rows.flatMap((row, i) => row.filter((_, j) => j !== i));
    const { trace } = await hutchinson(dense, { probes: 2000 });
    const theory = Math.sqrt((2 * sum(off.map((x) => x * x))) / 2000);
    // A standard deviation of 2000 samples is known to about 2 %.
    expectClose([trace.standardError], [theory], 0.08);
  });

  test('is exact for a diagonal matrix', async () => {
    const diagonal = [1, -2, 7].map((d, i) => [0, 0, 0].map((_, j) => (i === j ? d : 0)));
    const { trace, squaredFrobeniusNorm } = await hutchinson(new DenseSymmetric(space, diagonal), {
      probes: 2,
    });
    expect(trace).toEqual({ value: 6, standardError: 0 });
    expect(squaredFrobeniusNorm).toEqual({ value: 54, standardError: 0 });
  });
});

describe('hutchPlusPlus', () => {
  test.each([
    ['float64', space, 1e-12],
    ['float32', space32, 1e-5],
  ])('is exact where the rank is at most a third of the products: %s', async (_, on, tolerance) => {
    const lowRank = [9, 4, -3, 1, ...new Array(20).fill(0)];
    const { value, standardError } = await hutchPlusPlus(operator(lowRank, on), { products: 18 });
    expectClose([value], [11], tolerance);
    expect(standardError).toBeLessThan(10 * tolerance);
  });

  test('is within its errors, which are smaller than those of Hutchinson for as many products', async () => {
    const decaying = Array.from({ length: 80 }, (_, i) => 10 / (1 + i) ** 2);
    const dense = operator(decaying);
    const better = await hutchPlusPlus(dense, { products: 60 });
    const { trace } = await hutchinson(dense, { probes: 60 });
    expect(Math.abs(better.value - sum(decaying))).toBeLessThan(4 * better.standardError);
    expect(better.standardError).toBeLessThan(trace.standardError / 10);
  });

  test('is exact when the subspace is the whole space', async () => {
    const { value } = await hutchPlusPlus(operator([1, 2, 3]), { products: 45 });
    expectClose([value], [6], 1e-12);
  });
});

describe('random vectors', () => {
  test.each(Object.keys(backends))('are the same numbers on every backend: %s', async (name) => {
    using backend = await backends[name]!();
    using on = new VectorSpace(backend);
    for (const elements of ['signs', 'uniform'] as const) {
      const drawn: ArrayLike<number>[] = [];
      for (const each of [space, on]) {
        using y = each.vector(3, 5);
        await drawVectors(each, y, elements, { seed: 0xffff_fffe, draw: 2 });
        drawn.push(await y.read());
      }
      expectClose(drawn[1]!, drawn[0]!, 2e-7);
    }
  });

  test('are -1 and 1 alike often, or uniform between, and new with each draw', async () => {
    const draws: number[][] = [];
    for (const [elements, draw] of [
      ['signs', 0],
      ['signs', 1],
      ['uniform', 0],
    ] as const) {
      using y = space.vector(4000);
      await drawVectors(space, y, elements, { seed: 7, draw });
      draws.push([...(await y.read())]);
    }
    const [first, second, uniform] = draws as [number[], number[], number[]];
    expect(new Set(first)).toEqual(new Set([-1, 1]));
    // Four standard deviations of a mean of 4000.
    const bound = 4 / Math.sqrt(4000);
    expect(Math.abs(sum(first) / 4000)).toBeLessThan(bound);
    expect(Math.abs(sum(first.map((x, i) => x * second[i]!)) / 4000)).toBeLessThan(bound);
    expect(Math.abs(sum(uniform) / 4000)).toBeLessThan(bound / Math.sqrt(3));
    expectClose([sum(uniform.map((x) => x * x)) / 4000], [1 / 3], 0.06);
  });
});

describe('what cannot be done is refused', () => {
  test.each([
    ['one probe', () => hutchinson(operator([1]), { probes: 1 }), 'OPTION'],
    ['too few products', () => hutchPlusPlus(operator([1]), { products: 5 }), 'OPTION'],
    ['a seed that is none', () => hutchinson(operator([1]), { probes: 2, seed: 0.5 }), 'OPTION'],
    ['a product that is not finite', () => hutchinson(operator([Number.NaN, 1]), { probes: 2 }), 'DIVERGED'],
    ['the same, with Hutch++', () => hutchPlusPlus(operator([Number.NaN, 1]), { products: 6 }), 'DIVERGED'],
  ])('%s', async (_, attempt, code) => {
    await expect(attempt()).rejects.toMatchObject({ code });
  });
});
