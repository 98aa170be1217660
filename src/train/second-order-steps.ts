/** Steps of a second-order optimizer: several programs each, and the next one's batch only when the last is done. */
import type { Backend, Numbers, Tensor } from '../backend/backend.js';
import { VectorSpace } from '../curvature/vector-space.js';
import { Scope } from '../dispose.js';
import type { TensorMap } from '../interop/safetensors.js';
import type { Model } from '../model/model.js';
import { isSecondOrder } from '../optim/index.js';
import type { SecondOrderOptimizer } from '../optim/second-order.js';
import { secondOrderNamed } from '../optim/second-order-named.js';
import { curvatureBatch } from './curvature-batches.js';
import type { RunConfig } from './run-config.js';
import type { StepMetrics } from './trainer.js';
import type { TrainingBatch, TrainingData } from './training-data.js';
import { RING_LENGTH, type TrainingSteps } from './training-steps.js';
import { type FlatParameters, requireTensor, tensorOf } from './weights.js';

export class SecondOrderSteps implements TrainingSteps {
  readonly model: Model;
  readonly theta: Tensor;
  readonly cost = null;
  readonly #scope = new Scope();
  readonly #optimizer: SecondOrderOptimizer;
  /** Carried from batch to batch; a part that is not there is zero. */
  #state: Readonly<Record<string, Numbers>> = {};
  /** Of the last RING_LENGTH steps. */
  #metrics: StepMetrics[] = [];

  /** @throws KronogradError OPTION, MEMORY */
  constructor(
    backend: Backend,
    private readonly config: RunConfig,
    private readonly data: TrainingData,
  ) {
    if (!isSecondOrder(config.optimizer)) throw new Error(`${config.optimizer} is of first order`);
    this.model = data.model(config);
    const { optimizer, damping, structuralDamping, curvatureBatch, cgIterations, seed, weightDecay } = config;
    const settings = {
      ...{ damping, structuralDamping, cgIterations, weightDecay, seed: seed % 2 ** 31 },
      ...(curvatureBatch > 0 && { curvatureSamples: curvatureBatch }),
    };
    try {
      const space = this.#scope.own(new VectorSpace(backend));
      this.theta = this.#scope.own(space.vector(this.model.parameters.size));
      this.#optimizer = this.#scope.own(secondOrderNamed(optimizer, space, this.model, this.theta, settings));
    } catch (error) {
      this.#scope[Symbol.dispose]();
      throw error;
    }
  }

  get optimizer(): string {
    return this.#optimizer.name;
  }

  /** Nothing: what a step takes is compiled when it is first taken. */
  async prepare(): Promise<void> {}

  async step(batch: TrainingBatch, step: number): Promise<void> {
    const before = batch.resetsState ? {} : this.#state;
    const given = curvatureBatch(this.data, this.config, batch, before);
    const { loss, gradientNorm, state } = await this.#optimizer.step(given);
    this.#state = state;
    this.#metrics = [...this.#metrics, { step, loss, gradientNorm }].slice(-RING_LENGTH);
  }

  async losses(first: number, last: number): Promise<StepMetrics[]> {
    return this.#metrics.filter(({ step }) => step >= first && step <= last);
  }

  async memory(): Promise<TensorMap> {
    const memory = Object.entries(await this.#optimizer.memory());
    return new Map(
      memory.map(([name, numbers]) => [name, tensorOf([numbers.length], numbers as FlatParameters)]),
    );
  }

  async state(): Promise<TensorMap> {
    const shapes = this.model.stateShapes(this.config.batch);
    const state = Object.entries(this.#state);
    return new Map(
      state.map(([name, numbers]) => [name, tensorOf(shapes[name]!, numbers as FlatParameters)]),
    );
  }

  restore(memory: TensorMap, state: TensorMap, where: string): void {
    const numbers = [...memory].map(([name, { data }]) => [name, data] as const);
    this.#optimizer.restore(Object.fromEntries(numbers), where);
    const shapes = Object.entries(this.model.stateShapes(this.config.batch));
    const saved = shapes.filter(([name]) => state.has(name));
    this.#state = Object.fromEntries(
      saved.map(([name, shape]) => [name, requireTensor(state, name, shape, where)]),
    );
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}
