/**
 * A diagonal P that makes ||P A P^-1||_2 small: products of matrices for which that is below 1 decay, whatever P is.
 *
 * It begins with the one that is best for |A|: with right and left Perron vectors x and y of |A|, P = diag(sqrt(y / x))
 * makes sqrt(x y) a singular vector on both sides, and the norm rho(|A|). From there it descends: with singular vectors
 * u and v of P A P^-1, the norm changes with log P[i] by sigma (u[i]^2 - v[i]^2).
 */
import { type DenseMatrix, mapped, sum, times, topSingularVectors, transposeTimes } from './matrices.js';

/** Multiplications that find a Perron vector. */
const MULTIPLICATIONS = 200;
/** The smallest element of a Perron vector, relative to its largest: those of a reducible matrix may be 0. */
const FLOOR = 1e-6;
/** Steps of the descent. */
const DESCENT = 40;

/** For the sum of the norms of some square matrices, the diagonal of one P for all of them. */
export function diagonalScaling(matrices: readonly DenseMatrix[]): Float64Array {
  const absolute = matrices.map((A) => mapped(A, Math.abs)).reduce(sum);
  const [x, y] = [perronVector(absolute, times), perronVector(absolute, transposeTimes)];
  let P = x.map((each, i) => Math.sqrt(y[i]! / each));
  let best = slopes(P, matrices);
  let rate = P.length / 4;
  for (let step = 0; step < DESCENT; step++) {
    const tried = P.map((each, i) => each * Math.exp(-rate * best.slope[i]!));
    const found = slopes(tried, matrices);
    const isBetter = found.norm < best.norm;
    rate *= isBetter ? 1.5 : 0.3;
    if (isBetter) [P, best] = [tried, found];
  }
  return P;
}

/** P A P^-1 */
export const scaledBy = (P: Float64Array, A: DenseMatrix): DenseMatrix =>
  mapped(A, (a, i, j) => (P[i]! * a) / P[j]!);

/** The sum of the norms of P A P^-1, and its derivative by log P, relative to it. */
function slopes(P: Float64Array, matrices: readonly DenseMatrix[]): { norm: number; slope: Float64Array } {
  const tops = matrices.map((A) => topSingularVectors(scaledBy(P, A)));
  const norm = tops.reduce((total, { sigma }) => total + sigma, 0);
  const slope = P.map((_, i) =>
    tops.reduce((total, { sigma, u, v }) => total + (sigma / norm) * (u[i]! ** 2 - v[i]! ** 2), 0),
  );
  return { norm, slope };
}

/** By the power method on A + rho I, whose largest eigenvalue is the only one of its modulus. */
function perronVector(A: DenseMatrix, multiply: typeof times): Float64Array {
  let x = new Float64Array(A.rows).fill(1);
  for (let step = 0; step < MULTIPLICATIONS; step++) {
    const next = multiply(A, x);
    const size = Math.max(...next);
    if (!(size > 0)) break;
    const shifted = next.map((each, i) => each + size * x[i]!);
    const largest = Math.max(...shifted);
    x = shifted.map((each) => each / largest);
  }
  return x.map((each) => Math.max(each, FLOOR));
}
