/** Products that are weighted sums over a problem's batches: one program for each shape of batch, one run for each. */
import type { Executable, Numbers, Tensor } from '../backend/backend.js';
import { programTensors, type Tensors } from '../backend/program-tensors.js';
import { Scope } from '../dispose.js';
import { KronogradError } from '../errors.js';
import { type BatchSizes, batchInputs, requireParts } from '../model/batch-inputs.js';
import type { Model, ModelHead, ModelOutputs } from '../model/model.js';
import { Builder } from '../program/builder.js';
import { float, type Program, type Shape, sizeOf, type Value } from '../program/program.js';
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
  /** [columns], or [k, columns] */
  readonly vectors: Value;
  readonly loss: Value;
  readonly prediction: Value;
  readonly head: ModelHead;
  readonly layers: NonNullable<ModelOutputs['layers']>;
  /** r */
  readonly samples: number;
  readonly coefficients: Readonly<Record<string, Value>>;
}

/** Numbers that a product depends on, by name, read at every product: they may change. */
export type Coefficients = Readonly<Record<string, number>>;

/** The product of one batch, [rows] or [k, rows]. */
export type BuildProduct = (on: Builder, parts: ProductParts) => Value;

export class BatchProducts implements Disposable {
  readonly #scope = new Scope();
  readonly #compiled = new Map<string, Promise<{ executable: Executable; tensors: Tensors }>>();

  /** `name` is what errors call it. @throws KronogradError DATA for no batches, SHAPE for parts that do not fit */
  constructor(
    private readonly space: VectorSpace,
    readonly problem: CurvatureProblem,
    private readonly build: BuildProduct,
    name: string,
    private readonly coefficients: Coefficients = {},
  ) {
    requireBatches(problem, name);
  }

  /** y <- sum over batches of weight * product(x). */
  async run(x: Tensor, y: Tensor): Promise<void> {
    const { batches, theta, model } = this.problem;
    const ready = await Promise.all(batches.map((batch) => this.#compile(batch, x.type.shape, y.type.shape)));
    batches.forEach((batch, i) => {
      const { executable, tensors } = ready[i]!;
      writeBatch(model, batch, tensors);
      // The first batch does not add to what y held.
      tensors.scalars!.write([batch.weight, i === 0 ? 0 : 1, ...Object.values(this.coefficients)]);
      executable.run({ ...tensors, theta, vectors: x, product: y });
    });
  }

  #compile({ steps, samples }: CurvatureBatch, from: Shape, to: Shape) {
    const key = `${steps} ${samples} [${from}]`;
    let compiled = this.#compiled.get(key);
    if (compiled === undefined) {
      const names = Object.keys(this.coefficients);
      const program = productProgram(this.problem.model, this.build, { steps, samples, from, to, names });
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

/** Declares the inputs of a batch and builds the model on them: `writeBatch` fills them. */
export const batchForward = (on: Builder, model: Model, theta: Value, sizes: BatchSizes): ModelOutputs =>
  model.forward(on, { theta, ...batchInputs(on, model, sizes) });

/** Writes a batch and the state before it to the inputs that `batchForward` has declared. */
export function writeBatch(
  model: Model,
  { parts, state, steps, samples }: Omit<CurvatureBatch, 'weight'>,
  tensors: Tensors,
): void {
  for (const name of Object.keys(model.batchTypes(steps, samples))) tensors[name]!.write(parts[name]!);
  for (const [name, shape] of Object.entries(model.stateShapes(samples)))
    tensors[`state.${name}`]?.write(state?.[name] ?? new Float32Array(sizeOf(shape)));
}

/** product <- weight * (product of one batch) + kept * product. */
function productProgram(
  model: Model,
  build: BuildProduct,
  sizes: { steps: number; samples: number; from: Shape; to: Shape; names: readonly string[] },
): Program {
  const { samples, from, to, names } = sizes;
  const on = new Builder();
  const theta = on.input('theta', float(model.parameters.size));
  const vectors = on.input('vectors', float(...from));
  const before = on.input('product', float(...to));
  const scalars = on.split(on.input('scalars', float(2 + names.length)), 0, 2 + names.length);
  const [weight, kept, ...given] = scalars as [Value, Value, ...Value[]];
  const { loss, prediction, head, layers = [] } = batchForward(on, model, theta, sizes);
  const coefficients = Object.fromEntries(names.map((name, i) => [name, on.reshape(given[i]!, [])]));
  const product = build(on, { theta, vectors, loss, prediction, head, layers, samples, coefficients });
  const old = on.call('select', kept, before, on.constant(0));
  return on.build({ product: { value: on.add(on.mul(weight, product), old), updates: 'product' } });
}

/** @throws KronogradError DATA for no batches, SHAPE for parts that do not fit */
export function requireBatches({ model, batches, theta }: CurvatureProblem, name: string): void {
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
  batches.forEach((batch, i) => {
    requireParts(model, batch.parts, batch, { of: `batch ${i}`, where: name });
  });
}
