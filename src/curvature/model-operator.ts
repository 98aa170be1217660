/** Curvature matrices of a model's loss on given batches, as linear operators on the flat parameter vector. */
import type { Executable, Numbers, Tensor } from '../backend/backend.js';
import { programTensors, type Tensors } from '../backend/program-tensors.js';
import { Scope } from '../dispose.js';
import { KronogradError } from '../errors.js';
import type { Model } from '../model/model.js';
import { Builder } from '../program/builder.js';
import { float, type Program, sizeOf, type Value } from '../program/program.js';
import { SymmetricOperator } from './linear-operator.js';
import { gaussNewtonVector, hessianVector } from './products.js';
import type { VectorSpace } from './vector-space.js';

/** A batch of a loss that is the weighted sum over batches. */
export interface CurvatureBatch {
  /** The parts of the batch by the names of the model's inputs, as `Model.batchTypes(steps, samples)` has them. */
  readonly parts: Readonly<Record<string, Numbers>>;
  /** T */
  readonly steps: number;
  /** r */
  readonly samples: number;
  /** The state before the batch; zeros where it is not given. */
  readonly state?: Readonly<Record<string, Numbers>>;
  /** What the batch's loss counts in the whole. For a mean over equal batches, 1 / their number. */
  readonly weight: number;
}

/** A model at a point, with the data that its loss is taken on. */
export interface CurvatureProblem {
  readonly model: Model;
  /** The parameters, [model.parameters.size], read at every product. The caller's. */
  readonly theta: Tensor;
  readonly batches: readonly CurvatureBatch[];
}

/** What a product is built from, in the program of one batch. */
export interface ProductParts {
  readonly theta: Value;
  /** [P], or [k, P] */
  readonly vectors: Value;
  readonly loss: Value;
  readonly prediction: Value;
}

/** The product of one batch, of the shape of the vectors. */
export type BuildProduct = (on: Builder, parts: ProductParts) => Value;

/** sum over batches of weight * product: one run for each batch and product. */
export class ModelOperator extends SymmetricOperator {
  readonly #scope = new Scope();
  readonly #compiled = new Map<string, Promise<{ executable: Executable; tensors: Tensors }>>();

  /** `name` is what errors call it. @throws KronogradError DATA for no batches, SHAPE for parts that do not fit */
  constructor(
    space: VectorSpace,
    readonly name: string,
    readonly problem: CurvatureProblem,
    private readonly build: BuildProduct,
  ) {
    super(space, problem.model.parameters.size);
    requireBatches(problem, name);
  }

  protected async multiply(x: Tensor, y: Tensor): Promise<void> {
    const { batches, theta } = this.problem;
    const ready = await Promise.all(batches.map((batch) => this.#compile(batch, x.type.shape)));
    batches.forEach(({ parts, state, weight }, i) => {
      const { executable, tensors } = ready[i]!;
      for (const [name, numbers] of Object.entries(parts)) tensors[name]!.write(numbers);
      for (const [name, shape] of Object.entries(this.problem.model.stateShapes(batches[i]!.samples)))
        tensors[`state.${name}`]?.write(state?.[name] ?? new Float32Array(sizeOf(shape)));
      // The first batch does not add to what y held.
      tensors.scalars!.write([weight, i === 0 ? 0 : 1]);
      executable.run({ ...tensors, theta, vectors: x, product: y });
    });
  }

  #compile({ steps, samples }: CurvatureBatch, shape: readonly number[]) {
    const key = `${steps} ${samples} [${shape}]`;
    let compiled = this.#compiled.get(key);
    if (compiled === undefined) {
      const program = productProgram(this.problem.model, this.build, { steps, samples, shape });
      compiled = this.#prepare(program);
      this.#compiled.set(key, compiled);
    }
    return compiled;
  }

  async #prepare(program: Program) {
    const { backend } = this.space;
    const executable = this.#scope.own(await backend.compile(program));
    const tensors = programTensors(backend, program, this.#scope, ['theta', 'vectors', 'product']);
    return { executable, tensors };
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
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

/** product <- weight * (product of one batch) + kept * product. */
function productProgram(
  model: Model,
  build: BuildProduct,
  { steps, samples, shape }: { steps: number; samples: number; shape: readonly number[] },
): Program {
  const on = new Builder();
  const theta = on.input('theta', float(model.parameters.size));
  const vectors = on.input('vectors', float(...shape));
  const before = on.input('product', float(...shape));
  const [weight, kept] = on.split(on.input('scalars', float(2)), 0, 2) as [Value, Value];
  const inputs = <T>(entries: Readonly<Record<string, T>>, make: (name: string, of: T) => Value) =>
    Object.fromEntries(Object.entries(entries).map(([name, of]) => [name, make(name, of)]));
  const { loss, prediction } = model.forward(on, {
    theta,
    batch: inputs(model.batchTypes(steps, samples), (name, type) => on.input(name, type)),
    state: inputs(model.stateShapes(samples), (name, of) => on.input(`state.${name}`, float(...of))),
  });
  const product = build(on, { theta, vectors, loss, prediction });
  const old = on.call('select', kept, before, on.constant(0));
  return on.build({ product: { value: on.add(on.mul(weight, product), old), updates: 'product' } });
}

function requireBatches({ model, batches, theta }: CurvatureProblem, name: string): void {
  const { size } = model.parameters;
  if (theta.type.shape.join() !== String(size))
    throw new KronogradError('SHAPE', `the model has ${size} parameters, theta is [${theta.type.shape}]`, {
      where: name,
      fix: 'give the flat parameter vector of this model',
    });
  if (batches.length === 0)
    throw new KronogradError('DATA', 'there is no batch to take the loss on', {
      where: name,
      fix: 'give one batch or more',
    });
  batches.forEach(({ parts, steps, samples }, i) => {
    for (const [part, { shape }] of Object.entries(model.batchTypes(steps, samples)))
      if (parts[part]?.length !== sizeOf(shape))
        throw new KronogradError(
          'SHAPE',
          `'${part}' of batch ${i} has ${parts[part]?.length ?? 'no'} elements and should have [${shape}]`,
          { where: name, fix: 'give the parts as Model.batchTypes(steps, samples) has them' },
        );
  });
}
