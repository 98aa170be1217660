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
  spectralNorm,
  spectralRadius,
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
  const { matrix, linear, activation } = recurrence;
  const weights = (name: string) => square(Float64Array.from(layer.parameters[name]!.data));
  const W = weights(matrix);
  const W_s = linear === undefined ? null : weights(linear);
  const { gamma } = ACTIVATIONS[activation];
  const { largest: norm, smallest } = extremeSingularValues(W);
  const numbers: RecurrenceNumbers = {
    gamma,
    norm,
    smallestSingularValue: smallest,
    spectralRadius: spectralRadius(W),
    absoluteSpectralRadius: spectralRadius(mapped(W, Math.abs)),
  };
  const growth = W_s === null ? smallestSlopes(layer).map((slope) => smallest * slope) : null;
  const isUnitAtZero = activation === 'tanh' || activation === 'identity';
  return {
    numbers,
    certificates: [
      ...aPriori(
        mapped(W, (w) => gamma * w),
        W_s,
      ),
      ...onTheRun(layer, stepNorms, growth),
    ],
    longestGrowth: growth && longestGrowth(layer, growth),
    stability: isUnitAtZero ? eigenvalueModuli(W_s === null ? W : sum(W_s, W)) : null,
  };
}

/** What holds whatever the inputs are; `slopedW` is gamma W. */
function aPriori(slopedW: DenseMatrix, W_s: DenseMatrix | null): Certificate[] {
  const matrices = W_s === null ? [slopedW] : [W_s, slopedW];
  const norms = (all: readonly DenseMatrix[]) => all.reduce((total, A) => total + spectralNorm(A), 0);
  const norm = norms(matrices);
  // Bounds |J| element by element, whatever the slopes.
  const bounding = matrices.map((A) => mapped(A, Math.abs)).reduce(sum);
  const P = diagonalScaling(matrices);
  const named = (plain: string, canonical: string) => (W_s === null ? plain : canonical);
  const ofNorm = named('gamma ||W||', '||W_s|| + gamma ||W_r||');
  return [
    below('norm', ofNorm, norm),
    below(
      'spectral radius of absolute values',
      named('gamma rho(|W|)', 'rho(|W_s| + gamma |W_r|)'),
      spectralRadius(bounding),
    ),
    below(
      'scaled norm',
      named('gamma ||P W P^-1||', '||P W_s P^-1|| + gamma ||P W_r P^-1||'),
      norms(matrices.map((A) => scaledBy(P, A))),
    ),
    {
      ...{ name: 'no explosion', proves: 'not exploding', condition: `${ofNorm} <= 1` },
      ...{ value: norm, holds: norm <= 1 },
    },
  ];
}

/** What holds for the steps that were taken. */
function onTheRun(
  { taken }: LayerTrace,
  stepNorms: Float64Array | null,
  growth: Float64Array | null,
): Certificate[] {
  const ofTaken = (values: Float64Array) => values.filter((_, i) => taken[i] === 1);
  const found: Certificate[] = [];
  if (stepNorms !== null)
    found.push(
      below(
        'on the run',
        'max ||J[t]||',
        ofTaken(stepNorms).reduce((a, b) => Math.max(a, b)),
      ),
    );
  if (growth !== null) {
    const value = ofTaken(growth).reduce((a, b) => Math.min(a, b));
    found.push({
      ...{ name: 'growth on the run', proves: 'exploding', value, holds: value > 1 },
      condition: "sigma_min(W) min|f'| > 1 at every step",
    });
  }
  return found;
}

const below = (name: string, quantity: string, value: number): Certificate => ({
  ...{ name, proves: 'vanishing', condition: `${quantity} < 1`, value, holds: value < 1 },
});

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
