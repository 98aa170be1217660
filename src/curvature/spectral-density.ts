/** The density of all eigenvalues of a symmetric operator, by stochastic Lanczos quadrature. */
import { requireInteger, requireNumber } from '../ranges.js';
import { LanczosProcess } from './lanczos-process.js';
import type { LinearOperator } from './linear-operator.js';
import { SEED } from './random-vectors.js';

export interface SpectralDensityOptions {
  /** Random vectors; 10 unless given. */
  readonly probes?: number;
  /** Products for each of them; 50, or as many as there are eigenvalues, unless given. */
  readonly steps?: number;
  /** Points of the grid; 256 unless given. */
  readonly points?: number;
  /** The standard deviation of the Gaussian that each eigenvalue becomes; 1/100 of the range of the Ritz values unless given. */
  readonly width?: number;
  /** 0 unless given. */
  readonly seed?: number;
}

export interface SpectralDensity {
  /** Eigenvalues, ascending: from 3 widths below the least Ritz value to 3 above the greatest. */
  readonly grid: readonly number[];
  /** At each of them. The integral is 1, but for the tails. */
  readonly density: readonly number[];
  /** The standard error of each density over the probes. */
  readonly standardErrors: readonly number[];
  readonly width: number;
}

/** Ritz values and what each counts: the quadrature of one probe. */
interface Quadrature {
  readonly nodes: readonly number[];
  /** The sum is 1. */
  readonly weights: readonly number[];
}

/** Gaussians of widths beyond which nothing is seen. */
const WIDTHS = 3;

/**
 * phi(t) = 1/n sum_i g(t - lambda_i) for a Gaussian g: the mean over probes z / |z| of their Gauss quadrature, whose
 * nodes are the Ritz values of a Lanczos run from z, and whose weights are the squares of the first components of T's
 * eigenvectors (Golub and Welsch; Lin, Saad and Yang, 2016, section 3.2).
 * @throws KronogradError OPTION, SHAPE for an operator that is not square, DIVERGED for products that are not finite,
 * MEMORY
 */
export async function spectralDensity(
  operator: LinearOperator,
  options: SpectralDensityOptions = {},
): Promise<SpectralDensity> {
  const [n] = operator.shape;
  const { probes = 10, points = 256, seed = 0, steps = Math.min(50, n) } = options;
  requireInteger(probes, 'probes', { min: 2 });
  requireInteger(steps, 'steps', { min: 1, max: n });
  requireInteger(points, 'points', { min: 2 });
  requireInteger(seed, 'seed', SEED);
  if (options.width !== undefined) requireNumber(options.width, 'width', { above: 0 });

  const quadratures: Quadrature[] = [];
  for (let probe = 0; probe < probes; probe++)
    quadratures.push(await quadratureOf(operator, steps, { seed, draw: probe }));
  const nodes = quadratures.flatMap((each) => each.nodes);
  const [least, greatest] = [Math.min(...nodes), Math.max(...nodes)];
  // Of an operator with one eigenvalue the range says nothing.
  const range = Math.max(greatest - least, 1e-3 * Math.max(Math.abs(least), Math.abs(greatest))) || 1;
  const width = options.width ?? range / 100;
  const [from, to] = [least - WIDTHS * width, greatest + WIDTHS * width];
  const grid = Array.from({ length: points }, (_, i) => from + ((to - from) * i) / (points - 1));
  const densities = quadratures.map((quadrature) => grid.map((t) => broadened(quadrature, t, width)));
  const mean = grid.map((_, i) => meanOf(densities.map((each) => each[i]!)));
  const standardErrors = grid.map((_, i) => {
    const squares = densities.map((each) => (each[i]! - mean[i]!) ** 2);
    return Math.sqrt(meanOf(squares) / (probes - 1));
  });
  return { grid, density: mean, standardErrors, width };
}

async function quadratureOf(
  operator: LinearOperator,
  steps: number,
  random: { readonly seed: number; readonly draw: number },
): Promise<Quadrature> {
  using process = new LanczosProcess(operator, steps, { ...random, elements: 'signs' });
  // In an invariant space the quadrature is exact already.
  while (process.steps < steps && !process.isInvariant) await process.step();
  const { values, vectors } = process.eigen();
  return { nodes: values, weights: vectors.map((vector) => vector[0]! ** 2) };
}

const broadened = ({ nodes, weights }: Quadrature, t: number, width: number): number =>
  nodes.reduce((sum, node, i) => sum + weights[i]! * Math.exp(-(((t - node) / width) ** 2) / 2), 0) /
  (width * Math.sqrt(2 * Math.PI));

const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
