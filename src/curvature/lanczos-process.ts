/** Lanczos' three-term recurrence with full re-orthogonalisation: A Q = Q T + beta_m q_{m+1} e_m'. */
import type { Tensor } from '../backend/backend.js';
import { notFinite, requireSquare } from './checks.js';
import type { LinearOperator } from './linear-operator.js';
import { OrthonormalBasis } from './orthonormal-basis.js';
import { precisionOf } from './precision.js';
import { drawVectors, type Elements } from './random-vectors.js';
import { type TridiagonalEigen, tridiagonalEigen } from './tridiagonal.js';

/** Of a random vector so much must stand out of the basis, as a share of its length, to make a sound direction. */
const LEAST_SHARE = 0.01;
/** What is left of a product when its part within the basis is taken away, in roundings of it, that is nothing. */
const ROUNDINGS = 4;

export class LanczosProcess implements Disposable {
  /** The diagonal of T. */
  readonly alphas: number[] = [];
  /** The elements beside it; the last one couples T with the vector that is next. */
  readonly betas: number[] = [];
  readonly basis: OrthonormalBasis;
  /** q_j, and A q_j. */
  readonly #vector: Tensor;
  readonly #product: Tensor;
  #draw: number;

  /** For at most `mostSteps` steps. @throws KronogradError SHAPE for an operator that is not square, MEMORY */
  constructor(
    readonly operator: LinearOperator,
    mostSteps: number,
    /** The vectors that it begins with: those of a seed from a draw on. */
    readonly random: { readonly seed: number; readonly draw: number; readonly elements: Elements },
  ) {
    this.#draw = random.draw;
    const { space } = operator;
    const n = requireSquare(operator, 'eigenvalues', 'Lanczos');
    this.basis = new OrthonormalBasis(space, n, Math.min(mostSteps, n));
    this.#vector = space.vector(n);
    this.#product = space.vector(n);
  }

  /** m */
  get steps(): number {
    return this.alphas.length;
  }

  /** Whether the vectors so far span a space that the operator maps into itself: there is no next one. */
  get isInvariant(): boolean {
    return this.steps > 0 && this.betas[this.steps - 1] === 0;
  }

  /** One product, and one vector more. Begins anew, in the orthogonal complement, where the space is invariant. */
  async step(): Promise<void> {
    if (this.steps === 0 || this.isInvariant) await this.#begin();
    await this.operator.apply(this.#vector, this.#product);
    const nothing = ROUNDINGS * precisionOf(this.operator.space.backend).roundoff;
    const { along, norm } = await this.basis.extend(this.#product, this.#vector, nothing);
    if (!Number.isFinite(along) || !Number.isFinite(norm))
      throw notFinite(`product ${this.steps + 1} of the operator is`, 'Lanczos');
    this.alphas.push(along);
    this.betas.push(norm);
  }

  /** The eigenvalues and vectors of T, or of its part from a row on. */
  eigen(from = 0): TridiagonalEigen {
    return tridiagonalEigen(this.alphas.slice(from), this.betas.slice(from, -1));
  }

  async #begin(): Promise<void> {
    const { space } = this.operator;
    const { seed, elements } = this.random;
    for (;;) {
      await drawVectors(space, this.#product, elements, { seed, draw: this.#draw++ });
      const { norm } = await this.basis.extend(this.#product, this.#vector, LEAST_SHARE);
      if (norm > 0) return;
    }
  }

  [Symbol.dispose](): void {
    this.basis[Symbol.dispose]();
    this.#vector[Symbol.dispose]();
    this.#product[Symbol.dispose]();
  }
}
