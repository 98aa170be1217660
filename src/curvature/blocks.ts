/**
 * Blocks of curvature matrices: rows of one parameter, columns of another or the same, by the restricted R-operator
 * (math.md 2.4). The tangent moves nothing but the column parameter and only the row parameter's gradient comes out, so
 * that what lies before both of them is not run through again. Exact for every parameter of every model.
 */
import type { Tensor } from '../backend/backend.js';
import { KronogradError } from '../errors.js';
import type { Model } from '../model/model.js';
import type { Builder } from '../program/builder.js';
import { type Shape, sizeOf, type Value } from '../program/program.js';
import { BatchProducts, type CurvatureProblem } from './batch-products.js';
import { LinearOperator } from './linear-operator.js';
import { gaussNewtonVector, hessianVector } from './products.js';
import type { VectorSpace } from './vector-space.js';

/** What the product with a block is built from, in the program of one batch. */
export interface BlockParts {
  /** The parameters, of their own shapes. */
  readonly row: Value;
  readonly column: Value;
  /** [...column], or [k, ...column] */
  readonly vectors: Value;
  readonly loss: Value;
  readonly prediction: Value;
  /** r */
  readonly samples: number;
}

/** The product with a block, [...row] or [k, ...row]. */
export type BuildBlock = (on: Builder, parts: BlockParts) => Value;

/** A block of a symmetric matrix: its adjoint is the block on the other side of the diagonal. */
export class BlockOperator extends LinearOperator {
  readonly #products: BatchProducts;
  #adjoint: BlockOperator | undefined;

  /**
   * `name` is what errors call it.
   * @throws KronogradError OPTION for an unknown parameter, DATA for no batches, SHAPE for parts that do not fit
   */
  constructor(
    space: VectorSpace,
    readonly name: string,
    readonly problem: CurvatureProblem,
    /** Names of parameters. */
    readonly row: string,
    readonly column: string,
    private readonly build: BuildBlock,
  ) {
    const { model } = problem;
    const [to, from] = [parameterShape(model, row), parameterShape(model, column)];
    super(space, [sizeOf(to), sizeOf(from)]);
    this.#products = new BatchProducts(
      space,
      problem,
      (on, { theta, vectors, loss, prediction, samples }) => {
        const lead = vectors.type.shape.slice(0, -1);
        const product = build(on, {
          row: model.parameters.view(on, theta, row),
          column: model.parameters.view(on, theta, column),
          vectors: on.reshape(vectors, [...lead, ...from]),
          ...{ loss, prediction, samples },
        });
        return on.reshape(product, [...lead, sizeOf(to)]);
      },
      name,
    );
  }

  protected multiply(x: Tensor, y: Tensor): Promise<void> {
    return this.#products.run(x, y);
  }

  get adjoint(): LinearOperator {
    const { space, name, problem, row, column, build } = this;
    if (row === column) return this;
    this.#adjoint ??= new BlockOperator(space, name, problem, column, row, build);
    return this.#adjoint;
  }

  [Symbol.dispose](): void {
    this.#products[Symbol.dispose]();
    this.#adjoint?.[Symbol.dispose]();
  }
}

/**
 * The block d2E / d row d column of the Hessian, by names of parameters; `column` is `row` unless given.
 * @throws KronogradError OPTION for an unknown parameter, DATA for no batches, SHAPE for parts that do not fit
 */
export const hessianBlock = (
  space: VectorSpace,
  problem: CurvatureProblem,
  row: string,
  column = row,
): BlockOperator =>
  new BlockOperator(space, 'Hessian block', problem, row, column, (on, parts) => {
    const { product } = hessianVector(on, parts.loss, [parts.column], [parts.vectors], [parts.row]);
    return product[0]!;
  });

/** The same block of the Gauss-Newton matrix: J_row' L J_column. @throws as `hessianBlock` */
export const gaussNewtonBlock = (
  space: VectorSpace,
  problem: CurvatureProblem,
  row: string,
  column = row,
): BlockOperator =>
  new BlockOperator(space, 'Gauss-Newton block', problem, row, column, (on, parts) => {
    const { prediction, loss } = parts;
    return gaussNewtonVector(on, prediction, loss, [parts.column], [parts.vectors], [parts.row])[0]!;
  });

/** @throws KronogradError OPTION */
export function parameterShape({ parameters: { specs } }: Model, name: string): Shape {
  const spec = specs.find((s) => s.name === name);
  if (spec === undefined)
    throw new KronogradError('OPTION', `there is no parameter '${name}'`, {
      where: 'block',
      fix: `use one of: ${specs.map((s) => s.name).join(', ')}`,
    });
  return spec.shape;
}
