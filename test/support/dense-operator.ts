/** Operators with their matrices written out, and matrices of given eigenvalues. */
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import type { Tensor } from '../../src/backend/backend.js';
import { SymmetricOperator } from '../../src/curvature/linear-operator.js';
import type { VectorSpace } from '../../src/curvature/vector-space.js';
import { CounterRandom } from '../../src/data/random.js';
import { float } from '../../src/program/program.js';

export type Rows = readonly (readonly number[])[];

export class DenseSymmetric extends SymmetricOperator {
  readonly #matrix: Tensor;

  constructor(
    space: VectorSpace,
    readonly rows: Rows,
  ) {
    super(space, rows.length);
    this.#matrix = space.vector(rows.length, rows.length);
    this.#matrix.write(rows.flat());
  }

  protected async multiply(x: Tensor, y: Tensor): Promise<void> {
    const n = this.shape[0];
    const k = x.type.shape.length === 1 ? 1 : x.type.shape[0]!;
    await this.space.programs.run(
      `dense ${n} [${x.type.shape}]`,
      (on) => {
        const vectors = on.reshape(on.input('x', x.type), [k, n]);
        return { y: on.reshape(on.gemm(vectors, on.input('a', float(n, n))), y.type.shape) };
      },
      { a: this.#matrix, x, y },
    );
  }

  [Symbol.dispose](): void {
    this.#matrix[Symbol.dispose]();
  }
}

/** Q diag(eigenvalues) Q' for a random orthogonal Q. */
export function withEigenvalues(eigenvalues: readonly number[], seed: number): Rows {
  const n = eigenvalues.length;
  const random = new CounterRandom(seed);
  const square = Matrix.zeros(n, n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) square.set(i, j, random.normal());
  const symmetric = Matrix.add(square, square.transpose());
  const q = new EigenvalueDecomposition(symmetric, { assumeSymmetric: true }).eigenvectorMatrix;
  const a = q.mmul(Matrix.diag([...eigenvalues])).mmul(q.transpose());
  return Matrix.add(a, a.transpose()).mul(0.5).to2DArray();
}
