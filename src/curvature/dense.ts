/** Small operators written out as matrices on the host, and what dense linear algebra says of them. */
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import type { Numbers } from '../backend/backend.js';
import type { LinearOperator } from './linear-operator.js';

/** Vectors in one pass. */
const AT_ONCE = 64;

/** The matrix of an operator, [rows][columns], by its products with the columns of the identity, 64 in a pass. */
export async function toDense(operator: LinearOperator): Promise<number[][]> {
  const [rows, columns] = operator.shape;
  const matrix = Array.from({ length: rows }, () => new Array<number>(columns).fill(0));
  for (let from = 0; from < columns; from += AT_ONCE) {
    const count = Math.min(AT_ONCE, columns - from);
    const units = Array.from({ length: count }, (_, i) => {
      const unit = new Float64Array(columns);
      unit[from + i] = 1;
      return unit;
    });
    const products: Numbers[] = await operator.matmat(units);
    products.forEach((product, i) => {
      product.forEach((x, row) => {
        matrix[row]![from + i] = x;
      });
    });
  }
  return matrix;
}

/** The eigenvalues of a symmetric matrix, ascending. */
export const eigenvaluesOf = (rows: readonly (readonly number[])[]): number[] =>
  [
    ...new EigenvalueDecomposition(new Matrix(rows.map((row) => [...row])), { assumeSymmetric: true })
      .realEigenvalues,
  ].sort((a, b) => a - b);
