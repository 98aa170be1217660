/** Diagonal matrices, above all as preconditioners. */
import type { Tensor } from '../backend/backend.js';
import { float, sizeOf } from '../program/program.js';
import { SymmetricOperator } from './linear-operator.js';
import type { VectorSpace } from './vector-space.js';

/** diag(d), for d [n], read at every product. The caller's. */
export class Diagonal extends SymmetricOperator {
  constructor(
    space: VectorSpace,
    readonly d: Tensor,
  ) {
    super(space, sizeOf(d.type.shape));
  }

  protected multiply(x: Tensor, y: Tensor): Promise<void> {
    const { shape } = x.type;
    return this.space.programs.run(
      `diagonal [${shape}]`,
      (on) => ({ y: on.mul(on.input('x', float(...shape)), on.input('d', float(this.shape[0]))) }),
      { x, y, d: this.d },
    );
  }

  [Symbol.dispose](): void {}
}
