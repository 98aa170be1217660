/** A diagonal P that makes ||P W P^-1||_2 small. */
import { type DenseMatrix, mapped } from './matrices.js';

/** Multiplications that find the Perron vectors. */
const STEPS = 200;

/** The smallest element of a Perron vector, relative to its largest: those of a reducible matrix may be 0. */
const FLOOR = 1e-6;

/**
 * For A of elements of at least 0: P with ||P A P^-1||_2 = rho(A), up to rounding, where A is irreducible. With right
 * and left Perron vectors x and y it is P = diag(sqrt(y / x)): x and y both become sqrt(x y), which then is a singular
 * vector on both sides. As ||P W P^-1|| <= ||P |W| P^-1||, the P of A = |W| serves every W. Where A is reducible, the
 * vectors are limited from below; whatever P is, the norm that is computed with it is what counts.
 */
export function diagonalScaling(A: DenseMatrix): Float64Array {
  const [x, y] = [perronVector(A, false), perronVector(A, true)];
  return x.map((each, i) => Math.sqrt(y[i]! / each));
}

/** P A P^-1 */
export const scaledBy = (P: Float64Array, A: DenseMatrix): DenseMatrix =>
  mapped(A, (a, i, j) => (P[i]! * a) / P[j]!);

/** By the power method on A + rho I, whose largest eigenvalue is the only one of its modulus. */
function perronVector({ rows: n, data }: DenseMatrix, transposed: boolean): Float64Array {
  let x = new Float64Array(n).fill(1);
  for (let step = 0; step < STEPS; step++) {
    const next = new Float64Array(n);
    for (let i = 0; i < n; i++)
      for (let j = 0; j < n; j++) next[i]! += (transposed ? data[j * n + i]! : data[i * n + j]!) * x[j]!;
    const size = Math.max(...next);
    if (!(size > 0)) break;
    const sum = next.map((each, i) => each + size * x[i]!);
    const largest = Math.max(...sum);
    x = sum.map((each) => each / largest);
  }
  return x.map((each) => Math.max(each, FLOOR));
}
