/** Curvature matrices of a model's loss on given batches, as linear operators on the flat parameter vector. */
import type { Tensor } from '../backend/backend.js';
import {
  BatchProducts,
  type BuildProduct,
  type Coefficients,
  type CurvatureProblem,
} from './batch-products.js';
import { SymmetricOperator } from './linear-operator.js';
import { gaussNewtonVector, hessianVector } from './products.js';
import type { VectorSpace } from './vector-space.js';

export type {
  BuildProduct,
  Coefficients,
  CurvatureBatch,
  CurvatureProblem,
  ProductParts,
} from './batch-products.js';

/** sum over batches of weight * product: one run for each batch and product. */
export class ModelOperator extends SymmetricOperator {
  readonly #products: BatchProducts;

  /** `name` is what errors call it. @throws KronogradError DATA for no batches, SHAPE for parts that do not fit */
  constructor(
    space: VectorSpace,
    readonly name: string,
    readonly problem: CurvatureProblem,
    build: BuildProduct,
    coefficients?: Coefficients,
  ) {
    super(space, problem.model.parameters.size);
    this.#products = new BatchProducts(space, problem, build, name, coefficients);
  }

  protected multiply(x: Tensor, y: Tensor): Promise<void> {
    return this.#products.run(x, y);
  }

  [Symbol.dispose](): void {
    this.#products[Symbol.dispose]();
  }
}

/** H of the loss, exact (Pearlmutter; math.md 1.1). Not definite in general. */
export const hessianOperator = (space: VectorSpace, problem: CurvatureProblem): ModelOperator =>
  new ModelOperator(space, 'Hessian', problem, (on, { theta, vectors, loss }) => {
    const { product } = hessianVector(on, loss, [theta], [vectors]);
    return product[0]!;
  });

/** J' L J, with J of the predictions and L the loss's own Hessian by them: never indefinite for a convex head. */
export const gaussNewtonOperator = (space: VectorSpace, problem: CurvatureProblem): ModelOperator =>
  new ModelOperator(
    space,
    'Gauss-Newton matrix',
    problem,
    (on, { theta, vectors, loss, prediction }) =>
      gaussNewtonVector(on, prediction, loss, [theta], [vectors])[0]!,
  );
