/** Norms and spectra of dense matrices on the host, in float64. */
import { EigenvalueDecomposition, Matrix, SingularValueDecomposition } from 'ml-matrix';

/** Row-major. */
export interface DenseMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: ArrayLike<number>;
}

export const square = (data: ArrayLike<number>): DenseMatrix => {
  const rows = Math.sqrt(data.length);
  return { rows, columns: rows, data };
};

/** A matrix made of each element of another. */
export const mapped = (A: DenseMatrix, f: (x: number, i: number, j: number) => number): DenseMatrix => ({
  ...A,
  data: Float64Array.from(A.data, (x, k) => f(x, Math.floor(k / A.columns), k % A.columns)),
});

/** A + B */
export const sum = (A: DenseMatrix, B: DenseMatrix): DenseMatrix => ({
  ...A,
  data: Float64Array.from(A.data, (x, k) => x + B.data[k]!),
});

/** A B */
export function product(A: DenseMatrix, B: DenseMatrix): DenseMatrix {
  const data = new Float64Array(A.rows * B.columns);
  for (let i = 0; i < A.rows; i++) {
    const row = data.subarray(i * B.columns, (i + 1) * B.columns);
    for (let k = 0; k < A.columns; k++) {
      const a = A.data[i * A.columns + k]!;
      if (a === 0) continue;
      const from = k * B.columns;
      for (let j = 0; j < B.columns; j++) row[j]! += a * B.data[from + j]!;
    }
  }
  return { rows: A.rows, columns: B.columns, data };
}

/** Of a square matrix: sigma_max and sigma_min; Infinity and NaN where an element has left the finite. */
export function extremeSingularValues(A: DenseMatrix): { largest: number; smallest: number } {
  if (!Array.from(A.data).every(Number.isFinite))
    return { largest: Number.POSITIVE_INFINITY, smallest: Number.NaN };
  const values = new SingularValueDecomposition(toMatrix(A), {
    computeLeftSingularVectors: false,
    computeRightSingularVectors: false,
    autoTranspose: true,
  }).diagonal;
  return { largest: Math.max(...values), smallest: Math.min(...values) };
}

/** ||A||_2 */
export const spectralNorm = (A: DenseMatrix): number => extremeSingularValues(A).largest;

/** Multiplications of a power iteration. */
const MULTIPLICATIONS = 60;

/** sigma_max of a square matrix and its singular vectors, A v = sigma u, as near as a power iteration comes. */
export function topSingularVectors(A: DenseMatrix): { sigma: number; u: Float64Array; v: Float64Array } {
  const n = A.rows;
  let [v] = unit(Float64Array.from({ length: n }, (_, i) => 1 + i / n));
  for (let step = 0; ; step++) {
    const [u, sigma] = unit(times(A, v));
    if (step === MULTIPLICATIONS) return { sigma, u, v };
    [v] = unit(transposeTimes(A, u));
  }
}

/** A x */
export function times({ rows, columns, data }: DenseMatrix, x: Float64Array): Float64Array {
  const y = new Float64Array(rows);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) y[i]! += data[i * columns + j]! * x[j]!;
  return y;
}

/** A' x */
export function transposeTimes({ rows, columns, data }: DenseMatrix, x: Float64Array): Float64Array {
  const y = new Float64Array(columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) y[j]! += data[i * columns + j]! * x[i]!;
  return y;
}

/** A vector by its norm, and the norm; zeros stay what they are. */
function unit(x: Float64Array): [vector: Float64Array, norm: number] {
  const norm = Math.sqrt(x.reduce((total, each) => total + each * each, 0));
  return [norm > 0 ? x.map((each) => each / norm) : x, norm];
}

/** |lambda| of every eigenvalue, the largest first. */
export function eigenvalueModuli(A: DenseMatrix): number[] {
  const { realEigenvalues, imaginaryEigenvalues } = new EigenvalueDecomposition(toMatrix(A));
  return realEigenvalues.map((re, i) => Math.hypot(re, imaginaryEigenvalues[i]!)).sort((a, b) => b - a);
}

/** rho(A) */
export const spectralRadius = (A: DenseMatrix): number => eigenvalueModuli(A)[0]!;

const toMatrix = ({ rows, columns, data }: DenseMatrix) =>
  Matrix.from1DArray(rows, columns, data as number[]);
