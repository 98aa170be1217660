/** An operator with its matrix written out. */
import type { Tensor } from '../../src/backend/backend.js';
import { SymmetricOperator } from '../../src/curvature/linear-operator.js';
import type { VectorSpace } from '../../src/curvature/vector-space.js';
import { float } from '../../src/program/program.js';

export class DenseSymmetric extends SymmetricOperator {
  readonly #matrix: Tensor;

  constructor(space: VectorSpace, rows: readonly (readonly number[])[]) {
    super(space, rows.length);
    this.#matrix = space.vector(rows.length, rows.length);
    this.#matrix.write(rows.flat());
  }

  protected multiply(x: Tensor, y: Tensor): Promise<void> {
    const [n] = this.shape;
    return this.space.programs.run(
      `dense ${n}`,
      (on) => {
        const row = on.reshape(on.input('x', float(n)), [1, n]);
        return { y: on.reshape(on.gemm(row, on.input('a', float(n, n))), [n]) };
      },
      { a: this.#matrix, x, y },
    );
  }

  [Symbol.dispose](): void {
    this.#matrix[Symbol.dispose]();
  }
}
