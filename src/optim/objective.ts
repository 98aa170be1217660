/** The loss of a model on a batch as a function of its parameters: its values and gradients, along lines too. */
import type { Numbers, Tensor } from '../backend/backend.js';
import type { Tensors } from '../backend/program-tensors.js';
import { Programs } from '../backend/programs.js';
import { batchForward, type CurvatureBatch, writeBatch } from '../curvature/batch-products.js';
import type { VectorSpace } from '../curvature/vector-space.js';
import { Scope } from '../dispose.js';
import type { Model } from '../model/model.js';
import { adjoint, gradient } from '../program/adjoint.js';
import type { Builder } from '../program/builder.js';
import { float, int, type Value } from '../program/program.js';

/** theta + distance * direction */
export interface Along {
  readonly direction: Tensor;
  readonly distance: number;
}

export interface GradientFigures {
  readonly loss: number;
  /** Of the gradient. */
  readonly norm: number;
  /** Its product with the direction; 0 without one. */
  readonly slope: number;
}

interface BatchTensors {
  /** Parts, state and the state behind, `after.<name>`. */
  readonly tensors: Tensors;
  written: CurvatureBatch | null;
}

export class Objective implements Disposable {
  readonly #scope = new Scope();
  readonly #programs: Programs;
  readonly #batches = new Map<string, BatchTensors>();
  /** The distance along the direction and the batch's weight. */
  readonly #scalars: Tensor;
  readonly #figures: Tensor;
  readonly #loss: Tensor;
  readonly #key: Tensor;
  /** A direction for where there is none. */
  readonly #still: Tensor;

  constructor(
    readonly space: VectorSpace,
    readonly model: Model,
    readonly theta: Tensor,
  ) {
    const { backend } = space;
    this.#programs = this.#scope.own(new Programs(backend));
    const own = (length: number) => this.#scope.own(backend.tensor(float(length)));
    [this.#scalars, this.#figures, this.#loss] = [own(2), own(3), own(1)];
    this.#still = own(model.parameters.size);
    this.#key = this.#scope.own(backend.tensor(int(2)));
  }

  /** The batch's loss times its weight. */
  async loss(batch: CurvatureBatch, along?: Along): Promise<number> {
    const bound = this.#bind(batch, along);
    const build = (on: Builder) => ({ loss: on.reshape(this.#forward(on, batch).loss, [1]) });
    await this.#programs.run(`loss ${sizes(batch)}`, build, { ...bound, loss: this.#loss });
    const [loss] = await this.#loss.read();
    return loss!;
  }

  /** The same, and its gradient, into a tensor [P]. */
  async gradient(batch: CurvatureBatch, into: Tensor, along?: Along): Promise<GradientFigures> {
    const bound = this.#bind(batch, along);
    const build = (on: Builder) => {
      const { theta, direction, loss, state } = this.#forward(on, batch);
      const [g] = gradient(on, loss, [theta]) as [Value];
      const squared = on.sumAll(on.mul(g, g));
      const figures = [loss, on.call('sqrt', squared), on.sumAll(on.mul(g, direction))];
      return {
        gradient: g,
        figures: on.concat(
          figures.map((each) => on.reshape(each, [1])),
          0,
        ),
        ...Object.fromEntries(Object.entries(state).map(([name, value]) => [`after.${name}`, value])),
      };
    };
    const outputs = { gradient: into, figures: this.#figures };
    await this.#programs.run(`gradient ${sizes(batch)}`, build, { ...bound, ...outputs });
    const [loss, norm, slope] = await this.#figures.read();
    return { loss: loss!, norm: norm!, slope: slope! };
  }

  /** The state behind a batch, as the last gradient on it had it. */
  async stateBehind(batch: CurvatureBatch): Promise<Record<string, Numbers>> {
    const { tensors } = this.#tensorsOf(batch);
    const names = Object.keys(this.model.stateShapes(batch.samples));
    const reads = names.map(async (name) => [name, await tensors[`after.${name}`]!.read()] as const);
    return Object.fromEntries(await Promise.all(reads));
  }

  /**
   * squares <- kept squares + share * r * (sum over the r samples of +-1 times its part of the gradient)^2, the signs
   * drawn by the key. What is expected of that is share * (the mean of the samples' squared gradients), the diagonal of
   * the empirical Fisher matrix: the signs' cross terms cancel.
   */
  async addSquares(
    batch: CurvatureBatch,
    squares: Tensor,
    {
      key,
      kept,
      share,
    }: { readonly key: readonly [number, number]; readonly kept: number; readonly share: number },
  ): Promise<void> {
    const bound = this.#bind(batch);
    this.#key.write(key);
    this.#figures.write([kept, share, 0]);
    const build = (on: Builder) => {
      const { theta, loss, prediction } = this.#forward(on, batch);
      const [atPrediction] = gradient(on, loss, [prediction]) as [Value];
      const uniform = on.random(on.input('key', int(2)), [batch.samples, 1], 0);
      const isNegative = on.call('greater', on.constant(0.5), uniform);
      const signs = on.call('select', isNegative, on.constant(-1), on.constant(1));
      const seed = { value: prediction, adjoint: on.mul(atPrediction, signs) };
      const [sum] = adjoint(on, [seed], [theta]) as [Value];
      const [kept, share] = on.split(on.input('figures', float(3)), 0, 3) as [Value, Value];
      const scale = on.mul(share, on.constant(batch.samples));
      const before = on.mul(kept, on.input('squares', float(this.model.parameters.size)));
      const value = on.add(before, on.mul(scale, on.mul(sum, sum)));
      return { squares: { value, updates: 'squares' } };
    };
    const tensors = { ...bound, key: this.#key, figures: this.#figures, squares };
    await this.#programs.run(`squares ${sizes(batch)}`, build, tensors);
  }

  /** The model on a batch at theta + distance * direction. */
  #forward(on: Builder, batch: CurvatureBatch) {
    const { size } = this.model.parameters;
    const direction = on.input('direction', float(size));
    const [distance, weight] = on.split(on.input('scalars', float(2)), 0, 2) as [Value, Value];
    const theta = on.add(on.input('theta', float(size)), on.mul(distance, direction));
    const forward = batchForward(on, this.model, theta, batch);
    return { ...forward, theta, direction, loss: on.mul(on.reshape(weight, []), forward.loss) };
  }

  #bind(batch: CurvatureBatch, along?: Along): Tensors {
    const held = this.#tensorsOf(batch);
    if (held.written !== batch) writeBatch(this.model, batch, held.tensors);
    held.written = batch;
    this.#scalars.write([along?.distance ?? 0, batch.weight]);
    const direction = along?.direction ?? this.#still;
    return { ...held.tensors, theta: this.theta, direction, scalars: this.#scalars };
  }

  #tensorsOf(batch: CurvatureBatch): BatchTensors {
    const key = sizes(batch);
    const known = this.#batches.get(key);
    if (known !== undefined) return known;
    const { steps, samples } = batch;
    const state = Object.entries(this.model.stateShapes(samples)).flatMap(([name, shape]) =>
      ['state', 'after'].map((when) => [`${when}.${name}`, float(...shape)] as const),
    );
    const types = [...Object.entries(this.model.batchTypes(steps, samples)), ...state];
    const tensors = Object.fromEntries(
      types.map(([name, type]) => [name, this.#scope.own(this.space.backend.tensor(type))]),
    );
    const fresh = { tensors, written: null };
    this.#batches.set(key, fresh);
    return fresh;
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

const sizes = ({ steps, samples }: CurvatureBatch) => `${steps} ${samples}`;
