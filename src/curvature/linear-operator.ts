/** Linear maps between vectors that live on a backend: what every curvature matrix is to those who use it. */
import type { Numbers, Tensor } from '../backend/backend.js';
import { KronogradError } from '../errors.js';
import { float } from '../program/program.js';
import { notFinite } from './checks.js';
import type { VectorSpace } from './vector-space.js';

/**
 * A matrix A known by its products. Operators share a `VectorSpace` and own what they allocate; one that is made of
 * others (`adjoint`, `scale`, `add`, `compose`) does not own them.
 */
export abstract class LinearOperator implements Disposable {
  constructor(
    readonly space: VectorSpace,
    /** Rows and columns of A. */
    readonly shape: readonly [rows: number, columns: number],
  ) {}

  /**
   * y <- A x for x [columns] and y [rows], or for k vectors at once, x [k, columns] and y [k, rows]. Queued like any
   * run; x and y are different tensors.
   * @throws KronogradError SHAPE for vectors of another length or number
   */
  async apply(x: Tensor, y: Tensor): Promise<void> {
    const [rows, columns] = this.shape;
    const [given, wanted] = [x.type.shape, y.type.shape];
    const lead = given.slice(0, -1);
    const fits =
      lead.length <= 1 && given.at(-1) === columns && wanted.join() === [...lead, rows].join() && x !== y;
    if (!fits)
      throw new KronogradError(
        'SHAPE',
        `an operator of shape [${rows}, ${columns}] was given [${given}] and [${wanted}]`,
        { where: 'matvec', fix: `give it [${columns}] and [${rows}], or [k, ${columns}] and [k, ${rows}]` },
      );
    await this.multiply(x, y);
  }

  /** `apply`, on vectors that fit. */
  protected abstract multiply(x: Tensor, y: Tensor): Promise<void>;

  /** A': another operator. */
  abstract get adjoint(): LinearOperator;

  /**
   * A v, for a vector of numbers.
   * @throws KronogradError SHAPE for a vector of another length, DIVERGED for a product that is not finite, as where the
   * loss is not
   */
  async matvec(v: ArrayLike<number>): Promise<Numbers> {
    const [rows] = this.shape;
    return this.#throughTensors(v, [v.length], [rows]);
  }

  /**
   * A v for each of k vectors of numbers, all in one pass.
   * @throws KronogradError SHAPE for other lengths, DIVERGED for a product that is not finite
   */
  async matmat(vectors: readonly ArrayLike<number>[]): Promise<Numbers[]> {
    const [rows, columns] = this.shape;
    const k = vectors.length;
    const odd = vectors.find(({ length }) => length !== columns);
    if (odd !== undefined || k === 0)
      throw new KronogradError(
        'SHAPE',
        k === 0 ? 'there are no vectors' : `a vector has ${odd!.length} elements`,
        { where: 'matmat', fix: `give one vector or more of ${columns} elements` },
      );
    const all = vectors.flatMap((v) => Array.from(v));
    const product = await this.#throughTensors(all, [k, columns], [k, rows]);
    return vectors.map((_, i) => product.slice(i * rows, (i + 1) * rows));
  }

  async #throughTensors(numbers: ArrayLike<number>, from: number[], to: number[]): Promise<Numbers> {
    using x = this.space.backend.tensor(float(...from));
    using y = this.space.backend.tensor(float(...to));
    x.write(numbers);
    await this.apply(x, y);
    const product = await y.read();
    if (!product.every(Number.isFinite)) throw notFinite('a product is', 'matvec');
    return product;
  }

  /** c A. */
  scale(c: number): LinearOperator {
    return new Scaled(this, c);
  }

  /** A + B. @throws KronogradError SHAPE */
  add(other: LinearOperator): LinearOperator {
    return new Sum(this, other);
  }

  /** A B: first B, then A. @throws KronogradError SHAPE */
  compose(other: LinearOperator): LinearOperator {
    return new Composition(this, other);
  }

  abstract [Symbol.dispose](): void;
}

/** An operator that is its own adjoint, as every curvature matrix is. */
export abstract class SymmetricOperator extends LinearOperator {
  constructor(space: VectorSpace, size: number) {
    super(space, [size, size]);
  }

  get adjoint(): LinearOperator {
    return this;
  }
}

/** The identity on vectors of n elements. */
export class Identity extends SymmetricOperator {
  protected multiply(x: Tensor, y: Tensor): Promise<void> {
    return this.space.combine(1, x, 0, y);
  }

  [Symbol.dispose](): void {}
}

class Scaled extends LinearOperator {
  constructor(
    readonly operator: LinearOperator,
    readonly factor: number,
  ) {
    super(operator.space, operator.shape);
  }

  protected async multiply(x: Tensor, y: Tensor): Promise<void> {
    await this.operator.apply(x, y);
    await this.space.scale(this.factor, y);
  }

  get adjoint(): LinearOperator {
    return new Scaled(this.operator.adjoint, this.factor);
  }

  [Symbol.dispose](): void {}
}

class Sum extends LinearOperator {
  constructor(
    readonly left: LinearOperator,
    readonly right: LinearOperator,
  ) {
    super(left.space, left.shape);
    if (left.shape.join() !== right.shape.join()) throw misfit('added to', left, right);
  }

  protected async multiply(x: Tensor, y: Tensor): Promise<void> {
    using other = this.space.vector(...y.type.shape);
    await this.left.apply(x, y);
    await this.right.apply(x, other);
    await this.space.combine(1, other, 1, y);
  }

  get adjoint(): LinearOperator {
    return new Sum(this.left.adjoint, this.right.adjoint);
  }

  [Symbol.dispose](): void {}
}

class Composition extends LinearOperator {
  constructor(
    readonly outer: LinearOperator,
    readonly inner: LinearOperator,
  ) {
    super(outer.space, [outer.shape[0], inner.shape[1]]);
    if (outer.shape[1] !== inner.shape[0]) throw misfit('composed with', outer, inner);
  }

  protected async multiply(x: Tensor, y: Tensor): Promise<void> {
    const lead = x.type.shape.slice(0, -1);
    using between = this.space.vector(...lead, this.inner.shape[0]);
    await this.inner.apply(x, between);
    await this.outer.apply(between, y);
  }

  get adjoint(): LinearOperator {
    return new Composition(this.inner.adjoint, this.outer.adjoint);
  }

  [Symbol.dispose](): void {}
}

const misfit = (what: string, a: LinearOperator, b: LinearOperator) =>
  new KronogradError('SHAPE', `an operator of shape [${a.shape}] cannot be ${what} one of [${b.shape}]`, {
    where: 'linear operator',
    fix: 'use operators of the same model',
  });
