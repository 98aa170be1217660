/** How sharply a loss is curved while it is trained: the largest eigenvalue of its Hessian. */
import type { Backend, Tensor } from '../backend/backend.js';
import type { CurvatureBatch } from '../curvature/batch-products.js';
import { lanczos } from '../curvature/lanczos.js';
import { hessianOperator, type ModelOperator } from '../curvature/model-operator.js';
import { VectorSpace } from '../curvature/vector-space.js';
import { Scope } from '../dispose.js';
import type { Model } from '../model/model.js';

export interface Sharpness {
  /** The largest eigenvalue of the Hessian of one batch's loss. */
  readonly eigenvalue: number;
  readonly error: number;
  /** Hessian-vector products that it took, of about three gradients each. */
  readonly products: number;
}

/** A hundredth is enough for a curve, and takes five to thirty products. */
const OPTIONS = { largest: 1, tolerance: 0.01, maxSteps: 60 };

export class CurvatureProbe implements Disposable {
  readonly #scope = new Scope();
  readonly #space: VectorSpace;
  /** The operator's: what it is asked about next. */
  readonly #batches: CurvatureBatch[] = [];
  #operator: ModelOperator | undefined;

  /** `theta` is only read. */
  constructor(
    backend: Backend,
    readonly model: Model,
    readonly theta: Tensor,
  ) {
    this.#space = this.#scope.own(new VectorSpace(backend));
  }

  /** @throws KronogradError DIVERGED when the loss or the parameters are not finite, MEMORY */
  async sharpness(batch: CurvatureBatch): Promise<Sharpness> {
    const { model, theta } = this;
    this.#batches[0] = batch;
    this.#operator ??= this.#scope.own(
      hessianOperator(this.#space, { model, theta, batches: this.#batches }),
    );
    using found = await lanczos(this.#operator, OPTIONS);
    const { values, errors } = found.largest;
    return { eigenvalue: values[0]!, error: errors[0]!, products: found.steps };
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}
