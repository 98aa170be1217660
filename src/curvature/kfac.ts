/**
 * K-FAC and KFLR: the Gauss-Newton matrix of any model as one Kronecker product for each group of its weights (Martens
 * and Grosse 2015; Botev, Ritter and Barber 2017), and the inverse of that.
 */
import type { Tensor } from '../backend/backend.js';
import { Scope } from '../dispose.js';
import { float } from '../program/program.js';
import { requireNumber } from '../ranges.js';
import type { CurvatureProblem } from './batch-products.js';
import { type KfacBlock, kroneckerProducts } from './kfac-blocks.js';
import { type FactorTensors, factorTensors, gatherFactors, type KfacOptions, named } from './kfac-factors.js';
import { invertFactors } from './kfac-inverse.js';
import { SymmetricOperator } from './linear-operator.js';
import type { VectorSpace } from './vector-space.js';

/** A block-diagonal matrix of Kronecker products left (x) right, zero for parameters that are in no block. */
export class KfacOperator extends SymmetricOperator {
  readonly #owner: Disposable;

  /** `owner` holds the factors, and goes with the operator. Made by `kfacOperator`, and by `inverse`. */
  constructor(
    space: VectorSpace,
    size: number,
    readonly blocks: readonly KfacBlock[],
    /** Of each block. */
    readonly factors: readonly FactorTensors[],
    owner: Disposable,
  ) {
    super(space, size);
    this.#owner = owner;
  }

  protected multiply(x: Tensor, y: Tensor): Promise<void> {
    return this.space.programs.run(
      `kfac ${JSON.stringify(this.blocks)} [${x.type.shape}]`,
      (on) => {
        const factors = this.blocks.map(({ left, right }, i) => ({
          left: on.input(`left.${i}`, float(...left)),
          right: on.input(`right.${i}`, float(...right)),
        }));
        return { y: kroneckerProducts(on, this.blocks, factors, on.input('x', x.type)) };
      },
      { ...named(this.factors), x, y },
    );
  }

  /**
   * The inverse with factored Tikhonov damping (see `dampedInverses`), nearly that of this matrix + damping I. Its own
   * factors are damped by no less than a millionth of their norms.
   * @throws KronogradError OPTION unless the damping is above 0, MEMORY
   */
  async inverse(damping: number): Promise<KfacOperator> {
    requireNumber(damping, 'damping', { above: 0 });
    const { space, blocks } = this;
    const scope = new Scope();
    try {
      const inverses = factorTensors(space, blocks, scope);
      await invertFactors(space, this.factors, inverses, damping);
      return new KfacOperator(space, this.shape[0], blocks, inverses, scope);
    } catch (error) {
      scope[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#owner[Symbol.dispose]();
  }
}

/**
 * K-FAC of a problem's loss: of every weight that is used linearly, feed-forward or in any cell, with its biases; of
 * embeddings, whose one-hot side is diagonal; and of vectors such as gains and peepholes, as full blocks of their own.
 * @throws KronogradError DATA, SHAPE for the batches; PROGRAM for a parameter that is not used linearly; OPTION; MEMORY,
 * with the numbers; DIVERGED for factors that are not finite, as where the loss is not
 */
export async function kfacOperator(
  space: VectorSpace,
  problem: CurvatureProblem,
  options: KfacOptions = {},
): Promise<KfacOperator> {
  const factors = await gatherFactors(space, problem, options);
  return new KfacOperator(space, problem.model.parameters.size, factors.blocks, factors.tensors, factors);
}
