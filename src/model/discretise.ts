/**
 * From continuous time to the canonical RNN (Sherstinsky, eq. 23-30; math.md section 4): ds/dt = A s + B r + C x + phi,
 * sampled every dT with the derivative taken backwards, s[n] = W_s s[n-1] + W_r r[n-1] + W_x x[n] + theta_s.
 */
import { KronogradError } from '../errors.js';
import { requireNumber } from '../ranges.js';

/** Matrices row by row; d is the number of elements of phi. */
export interface ContinuousRnn {
  /** [d, d] */
  readonly A: ArrayLike<number>;
  /** [d, d] */
  readonly B: ArrayLike<number>;
  /** [d, n] */
  readonly C: ArrayLike<number>;
  /** [d] */
  readonly phi: ArrayLike<number>;
  /** The time between two samples. */
  readonly dT: number;
}

/** Parameters of the canonical RNN, by its names. */
export interface DiscreteRnn {
  /** [d, d]: (I - dT A)^-1 */
  readonly W_s: Float64Array;
  /** [d, d]: dT W_s B */
  readonly W_r: Float64Array;
  /** [d, n]: dT W_s C */
  readonly W_x: Float64Array;
  /** [d]: dT W_s phi */
  readonly theta_s: Float64Array;
}

/** @throws KronogradError SHAPE, OPTION for a bad dT, DATA for numbers that are not finite and for a singular I - dT A. */
export function discretise({ A, B, C, phi, dT }: ContinuousRnn): DiscreteRnn {
  requireNumber(dT, 'dT', { above: 0 });
  const d = phi.length;
  const n = C.length / d;
  for (const [name, matrix, whole] of [
    ['phi', phi, d > 0],
    ['A', A, A.length === d * d],
    ['B', B, B.length === d * d],
    ['C', C, Number.isInteger(n)],
  ] as const) {
    if (!whole)
      throw new KronogradError('SHAPE', `${matrix.length} numbers do not fit a state of ${d}`, {
        where: name,
        fix: 'give A [d, d], B [d, d], C [d, n] and phi [d]',
      });
    const bad = Array.from(matrix).findIndex((x) => !Number.isFinite(x));
    if (bad >= 0)
      throw new KronogradError('DATA', `the value ${matrix[bad]} is not a finite number`, {
        where: `${name}, element ${bad}`,
        fix: 'remove or replace the value',
      });
  }
  const unit = (i: number) => (Math.floor(i / d) === i % d ? 1 : 0);
  const system = Float64Array.from(A, (a, i) => unit(i) - dT * a);
  const solved = (right: ArrayLike<number>) => solve(system, Float64Array.from(right), d);
  const scaled = (right: ArrayLike<number>) => solved(Array.from(right, (x) => dT * x));
  return {
    W_s: solved(Array.from(A, (_, i) => unit(i))),
    W_r: scaled(B),
    W_x: scaled(C),
    theta_s: scaled(phi),
  };
}

/** X of M X = R, [d, d] and [d, n], by Gaussian elimination with partial pivoting; R becomes X. */
function solve(matrix: Float64Array, X: Float64Array, d: number): Float64Array {
  const M = matrix.slice();
  const n = X.length / d;
  const largest = M.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
  const smallest = d * Number.EPSILON * largest;
  for (let k = 0; k < d; k++) {
    let pivot = k;
    for (let i = k + 1; i < d; i++) if (Math.abs(M[i * d + k]!) > Math.abs(M[pivot * d + k]!)) pivot = i;
    if (!(Math.abs(M[pivot * d + k]!) > smallest))
      throw new KronogradError('DATA', 'I - dT A is singular, so there is no such network', {
        where: `discretise, column ${k}`,
        fix: 'choose another dT: 1 / dT must be no eigenvalue of A',
      });
    swapRows(M, d, k, pivot);
    swapRows(X, n, k, pivot);
    for (let i = k + 1; i < d; i++) {
      const factor = M[i * d + k]! / M[k * d + k]!;
      for (let j = k; j < d; j++) M[i * d + j]! -= factor * M[k * d + j]!;
      for (let j = 0; j < n; j++) X[i * n + j]! -= factor * X[k * n + j]!;
    }
  }
  for (let k = d - 1; k >= 0; k--)
    for (let j = 0; j < n; j++) {
      let x = X[k * n + j]!;
      for (let i = k + 1; i < d; i++) x -= M[k * d + i]! * X[i * n + j]!;
      X[k * n + j] = x / M[k * d + k]!;
    }
  return X;
}

function swapRows(matrix: Float64Array, columns: number, a: number, b: number): void {
  if (a === b) return;
  const row = matrix.slice(a * columns, (a + 1) * columns);
  matrix.copyWithin(a * columns, b * columns, (b + 1) * columns);
  matrix.set(row, b * columns);
}
