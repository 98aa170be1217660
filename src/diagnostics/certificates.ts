/**
 * What is certain about the gradients of a plain recurrence, before it runs and on a run (math.md 12.1): conditions
 * that are sufficient as they stand here, which not all of those in print are (Pal, Theorems 2 and 4; the norm of W and
 * its eigenvalues prove neither).
 *
 * Step Jacobians are J = W diag(f') or diag(f') W, of the canonical RNN W_s + W_r diag(f').
 */
import type { ActivationName } from '../cells/equations.js';
import type { LayerTrace } from './layer-trace.js';
import {
  type DenseMatrix,
  eigenvalueModuli,
  extremeSingularValues,
  mapped,
  square,
  sum,
} from './matrices.js';
import { diagonalScaling, scaledBy } from './scaling.js';

export interface RecurrenceNumbers {
  /** gamma = sup |f'| */
  readonly gamma: number;
  /** ||W||_2 */
  readonly norm: number;
  /** sigma_min(W) */
  readonly smallestSingularValue: number;
  /** rho(W): no condition reads it. */
  readonly spectralRadius: number;
  /** rho(|W|), of the absolute values of W's elements. */
  readonly absoluteSpectralRadius: number;
}

export interface Certificate {
  readonly name: string;
  /** What follows from it. */
  readonly proves: 'vanishing' | 'exploding' | 'not exploding';
  /** As a formula, `gamma ||W||_2 < 1`. */
  readonly condition: string;
  /** The left-hand side. */
  readonly value: number;
  readonly holds: boolean;
}

export interface RecurrenceCertificates {
  readonly numbers: RecurrenceNumbers;
  readonly certificates: readonly Certificate[];
  /**
   * Of sigma_min(W) min|f'| > 1: the most steps in a row at which it holds, in any sample. Over L of them every error
   * vector grows at least by the product of these numbers. null with a linear path.
   */
  readonly longestGrowth: number | null;
  /**
   * Moduli of the eigenvalues of W_s + W_r, of W_r without a linear path, the largest first: below 1 the state 0 is
   * stable without input. null unless f(0) = 0 and f'(0) = 1.
   */
  readonly stability: readonly number[] | null;
}

/** gamma and f' from z = f(y) (math.md 0.3). */
const ACTIVATIONS: Readonly<
  Record<
    ActivationName,
    { readonly gamma: number; value: (y: number) => number; slope: (z: number) => number }
  >
> = {
  identity: { gamma: 1, value: (y) => y, slope: () => 1 },
  tanh: { gamma: 1, value: Math.tanh, slope: (z) => 1 - z * z },
  sigmoid: { gamma: 1 / 4, value: (y) => 1 / (1 + Math.exp(-y)), slope: (z) => z * (1 - z) },
  relu: { gamma: 1, value: (y) => Math.max(0, y), slope: (z) => (z > 0 ? 1 : 0) },
  softplus: {
    gamma: 1,
    value: (y) => Math.max(y, 0) + Math.log1p(Math.exp(-Math.abs(y))),
    slope: (z) => -Math.expm1(-z),
  },
};

/** null for a cell that is no plain recurrence. `stepNorms`: ||J[t]||_2, [T, r], where they were computed exactly. */
export function recurrenceCertificates(
  layer: LayerTrace,
  stepNorms: Float64Array | null,
): RecurrenceCertificates | null {
  const { recurrence } = layer.cell;
  if (recurrence === undefined) return null;
  const matrix = (name: string) => square(Float64Array.from(layer.parameters[name]!.data));
  const W = matrix(recurrence.matrix);
  const W_s = recurrence.linear === undefined ? null : matrix(recurrence.linear);
  const { gamma } = ACTIVATIONS[recurrence.activation];
  const { largest: norm, smallest } = extremeSingularValues(W);
  const absolute = (A: DenseMatrix) => mapped(A, Math.abs);
  const numbers: RecurrenceNumbers = {
    gamma,
    norm,
    smallestSingularValue: smallest,
    spectralRadius: eigenvalueModuli(W)[0]!,
    absoluteSpectralRadius: eigenvalueModuli(absolute(W))[0]!,
  };
  // Bounds |J| element by element, whatever the slopes.
  const bound = mapped(absolute(W), (x) => gamma * x);
  const bounding = W_s === null ? bound : sum(absolute(W_s), bound);
  const normOf = (A: DenseMatrix) => extremeSingularValues(A).largest;
  const wholeNorm = (norm_s: number, norm_r: number) => norm_s + gamma * norm_r;
  const plain = wholeNorm(W_s === null ? 0 : normOf(W_s), norm);
  const P = diagonalScaling(bounding);
  const scaled = wholeNorm(W_s === null ? 0 : normOf(scaledBy(P, W_s)), normOf(scaledBy(P, W)));
  const of = (name: string) => (W_s === null ? `gamma ${name}` : `W_s and gamma W_r: ${name}`);
  const below = (name: string, condition: string, value: number): Certificate => ({
    ...{ name, proves: 'vanishing', condition: `${condition} < 1`, value, holds: value < 1 },
  });
  const certificates: Certificate[] = [
    below('norm', W_s === null ? 'gamma ||W||' : '||W_s|| + gamma ||W_r||', plain),
    below(
      'spectral radius of absolute values',
      W_s === null ? 'gamma rho(|W|)' : 'rho(|W_s| + gamma |W_r|)',
      eigenvalueModuli(bounding)[0]!,
    ),
    below(
      'scaled norm',
      W_s === null ? 'gamma ||P W P^-1||' : '||P W_s P^-1|| + gamma ||P W_r P^-1||',
      scaled,
    ),
    {
      ...{ name: 'no explosion', proves: 'not exploding', value: plain, holds: plain <= 1 },
      condition: `${of('||W||')} <= 1`,
    },
  ];
  const taken = (_: number, i: number) => layer.taken[i] === 1;
  if (stepNorms !== null)
    certificates.push(below('on the run', 'max ||J[t]||', Math.max(...stepNorms.filter(taken))));
  const growth = W_s === null ? smallestSlopes(layer).map((slope) => smallest * slope) : null;
  if (growth !== null) {
    const value = Math.min(...growth.filter(taken));
    certificates.push({
      ...{ name: 'growth on the run', proves: 'exploding', value, holds: value > 1 },
      condition: "sigma_min(W) min|f'| > 1 at every step",
    });
  }
  const isUnitAtZero = recurrence.activation === 'tanh' || recurrence.activation === 'identity';
  return {
    numbers,
    certificates,
    longestGrowth: growth && longestGrowth(layer, growth),
    stability: isUnitAtZero ? eigenvalueModuli(W_s === null ? W : sum(W_s, W)) : null,
  };
}

/** min_i |f'(y[i])| of the slopes in the Jacobian of each step, [T, r]. */
function smallestSlopes({ cell, parts, states, steps, samples }: LayerTrace): Float64Array {
  const { activation, carries } = cell.recurrence!;
  const { value, slope } = ACTIVATIONS[activation];
  const [{ name, features }] = parts as [LayerTrace['parts'][0]];
  // A carried y is squashed by the step after it, a carried z has been by the one before.
  const first = carries === 'argument' ? 0 : samples * features;
  const slopes = new Float64Array(steps * samples).fill(Number.POSITIVE_INFINITY);
  for (let i = 0; i < slopes.length * features; i++) {
    const s = states[name]![first + i]!;
    const place = Math.floor(i / features);
    slopes[place] = Math.min(slopes[place]!, Math.abs(slope(carries === 'argument' ? value(s) : s)));
  }
  return slopes;
}

function longestGrowth({ steps, samples, taken }: LayerTrace, growth: Float64Array): number {
  let longest = 0;
  for (let sample = 0; sample < samples; sample++) {
    let length = 0;
    for (let step = 0; step < steps; step++) {
      const place = step * samples + sample;
      length = taken[place] === 1 && growth[place]! > 1 ? length + 1 : 0;
      longest = Math.max(longest, length);
    }
  }
  return longest;
}
