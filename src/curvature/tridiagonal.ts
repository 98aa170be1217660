/** Symmetric tridiagonal matrices on the host: what Lanczos makes of a large one. */
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

export interface TridiagonalEigen {
  /** Ascending. */
  readonly values: readonly number[];
  /** An orthonormal eigenvector for each value. */
  readonly vectors: readonly (readonly number[])[];
}

/** All eigenvalues and eigenvectors of the matrix with this diagonal [m] and these elements [m - 1] beside it. */
export function tridiagonalEigen(diagonal: readonly number[], beside: readonly number[]): TridiagonalEigen {
  const size = diagonal.length;
  const matrix = Matrix.zeros(size, size);
  for (let i = 0; i < size; i++) {
    matrix.set(i, i, diagonal[i]!);
    if (i + 1 === size) break;
    matrix.set(i, i + 1, beside[i]!);
    matrix.set(i + 1, i, beside[i]!);
  }
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  });
  const order = realEigenvalues.map((_, i) => i).sort((a, b) => realEigenvalues[a]! - realEigenvalues[b]!);
  return {
    values: order.map((i) => realEigenvalues[i]!),
    vectors: order.map((i) => eigenvectorMatrix.getColumn(i)),
  };
}
