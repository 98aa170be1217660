import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { afterAll, describe, expect, test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { drawVectors } from '../../src/curvature/random-vectors.js';
import { type SpectralDensityOptions, spectralDensity } from '../../src/curvature/spectral-density.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { Scope } from '../../src/dispose.js';
import { DenseSymmetric, withEigenvalues } from '../support/dense-operator.js';
import { dot, expectClose } from '../support/numbers.js';

const scope = new Scope();
afterAll(() => scope[Symbol.dispose]());
const space = scope.own(new VectorSpace(scope.own(new Float64Backend())));
const space32 = scope.own(new VectorSpace(scope.own(new Float32Backend())));

const spectrum = Array.from({ length: 30 }, (_, i) => (i < 3 ? 10 + i : (i % 7) / 7));
const rows = withEigenvalues(spectrum, 4);
const operator = scope.own(new DenseSymmetric(space, rows));

const gaussian = (t: number, width: number) =>
  Math.exp(-((t / width) ** 2) / 2) / (width * Math.sqrt(2 * Math.PI));

describe('spectralDensity', () => {
  test('with as many steps as eigenvalues is z f(A) z / n of its probes, exactly', async () => {
    const [n, probes] = [spectrum.length, 4];
    const { grid, density, standardErrors, width } = await spectralDensity(operator, {
      probes,
      steps: n,
      seed: 9,
    });
    const eigen = new EigenvalueDecomposition(new Matrix(rows.map((row) => [...row])), {
      assumeSymmetric: true,
    });
    const each: number[][] = [];
    for (let draw = 0; draw < probes; draw++) {
      using z = space.vector(n);
      await drawVectors(space, z, 'signs', { seed: 9, draw });
      const probe = await z.read();
      const weights = eigen.realEigenvalues.map(
        (_, i) => dot(probe, eigen.eigenvectorMatrix.getColumn(i)) ** 2 / n,
      );
      each.push(
        grid.map((t) =>
          weights.reduce(
            (sum, weight, i) => sum + weight * gaussian(t - eigen.realEigenvalues[i]!, width),
            0,
          ),
        ),
      );
    }
    const mean = grid.map((_, i) => each.reduce((sum, one) => sum + one[i]!, 0) / probes);
    expectClose(density, mean, 1e-10);
    const errors = grid.map((_, i) =>
      Math.sqrt(each.reduce((sum, one) => sum + (one[i]! - mean[i]!) ** 2, 0) / (probes - 1) / probes),
    );
    expectClose(standardErrors, errors, 1e-12);
  });

  test.each([
    ['float64', space],
    ['float32', space32],
  ])('is within four standard errors of the broadened spectrum, and integrates to 1: %s', async (_, on) => {
    using dense = new DenseSymmetric(on, rows);
    const found = await spectralDensity(dense, { probes: 60, steps: 20, width: 0.3 });
    const { grid, density, standardErrors } = found;
    const step = grid[1]! - grid[0]!;
    const integral = density.reduce((sum, x) => sum + x * step, 0);
    // What lies beyond 3 widths of the outermost eigenvalues, 0.135 % of one in 30 on each side, and the grid's ends.
    expect(Math.abs(integral - 1)).toBeLessThan(2e-3);
    for (const [i, t] of grid.entries()) {
      const exact = spectrum.reduce((sum, each) => sum + gaussian(t - each, 0.3), 0) / spectrum.length;
      expect(Math.abs(density[i]! - exact)).toBeLessThan(4 * standardErrors[i]! + 1e-4);
    }
  });

  test('of one eigenvalue is one Gaussian', async () => {
    using twos = new DenseSymmetric(space, [
      [2, 0],
      [0, 2],
    ]);
    const { grid, density, width, standardErrors } = await spectralDensity(twos, { probes: 2, points: 7 });
    expect(width).toBeCloseTo(2e-5, 12);
    expectClose(
      density,
      grid.map((t) => gaussian(t - 2, width)),
      1e-10,
    );
    expect(Math.max(...standardErrors)).toBeLessThan(1e-12);
  });

  test.each<[string, SpectralDensityOptions]>([
    ['one probe', { probes: 1 }],
    ['more steps than eigenvalues', { steps: 31 }],
    ['one point', { points: 1 }],
    ['no width', { width: 0 }],
  ])('refuses %s', async (_, options) => {
    await expect(spectralDensity(operator, options)).rejects.toMatchObject({ code: 'OPTION' });
  });
});
