/** Steps of a first-order optimizer: forward, backward and update in one program, queued and not waited for. */
import type { Backend, Tensor } from '../backend/backend.js';
import { resetState, type Tensors, withoutPrefix } from '../backend/program-tensors.js';
import { Scope } from '../dispose.js';
import type { TensorMap } from '../interop/safetensors.js';
import type { Model } from '../model/model.js';
import type { Optimizer } from '../optim/optimizer.js';
import { threefry2x32 } from '../program/threefry.js';
import { BucketedProgram, type ProgramAtLength } from './bucketed-program.js';
import { type ConfiguredStep, configuredStep } from './configured-step.js';
import { RANDOM_STREAMS } from './random-streams.js';
import type { RunConfig } from './run-config.js';
import { scalarNames } from './step-program.js';
import type { StepMetrics } from './trainer.js';
import type { TrainingBatch, TrainingData } from './training-data.js';
import { RING_LENGTH, type TrainingSteps } from './training-steps.js';
import { type FlatParameters, requireTensor, tensorOf } from './weights.js';

export class FirstOrderSteps implements TrainingSteps {
  readonly model: Model;
  readonly #data: TrainingData;
  readonly #optimizer: Optimizer;
  readonly #scope: Scope;
  readonly #programs: BucketedProgram;
  /** At all T steps. */
  readonly #whole: ProgramAtLength;
  readonly #tensors: Tensors;
  readonly #dropoutKey: number;

  private constructor(
    { seed }: RunConfig,
    data: TrainingData,
    { model, optimizer, groups }: ConfiguredStep,
    programs: BucketedProgram,
    whole: ProgramAtLength,
    scope: Scope,
  ) {
    this.model = model;
    this.#data = data;
    this.#optimizer = optimizer;
    this.#programs = programs;
    this.#whole = whole;
    this.#tensors = whole.tensors;
    this.#scope = scope;
    if (groups !== null) this.#tensors.groups!.write(groups);
    [this.#dropoutKey] = threefry2x32(seed, RANDOM_STREAMS.dropout, 0, 0);
  }

  /** @throws KronogradError MEMORY, OPTION */
  static async create(backend: Backend, config: RunConfig, data: TrainingData): Promise<FirstOrderSteps> {
    const step = configuredStep(config, data);
    const scope = new Scope();
    try {
      const program = (length: number) => configuredStep(config, data, length).program;
      const programs = scope.own(new BucketedProgram(backend, data.lengths(config), program));
      const whole = await programs.prepare(data.unroll(config));
      return new FirstOrderSteps(config, data, step, programs, whole, scope);
    } catch (error) {
      scope[Symbol.dispose]();
      throw error;
    }
  }

  get theta(): Tensor {
    return this.#tensors.theta!;
  }

  get optimizer(): string {
    return this.#optimizer.name;
  }

  get cost() {
    return this.#whole.executable;
  }

  async prepare(length: number): Promise<void> {
    await this.#programs.prepare(length);
  }

  /** Batches are cut no shorter than has been prepared: at first they have all T steps, with the same results but for rounding. */
  async step(batch: TrainingBatch, step: number, learningRate: number): Promise<void> {
    const { length, executable, tensors } = this.#programs.atLeast(batch.longest ?? this.#whole.length);
    if (batch.resetsState) resetState(tensors);
    const scalars: Readonly<Record<string, number>> = {
      slot: (step - 1) % RING_LENGTH,
      ...this.#optimizer.scalars(step, learningRate),
    };
    for (const [name, numbers] of Object.entries(this.#data.parts(batch, length)))
      tensors[name]!.write(numbers);
    tensors.scalars!.write(scalarNames(this.#optimizer).map((name) => scalars[name]!));
    tensors.key?.write([this.#dropoutKey, step]);
    executable.run(tensors);
  }

  async losses(first: number, last: number): Promise<StepMetrics[]> {
    const [losses, norms] = await Promise.all([this.#tensors.losses!.read(), this.#tensors.norms!.read()]);
    return Array.from({ length: last - first + 1 }, (_, i) => {
      const slot = (first + i - 1) % RING_LENGTH;
      return { step: first + i, loss: losses[slot]!, gradientNorm: norms[slot]! };
    });
  }

  memory(): Promise<TensorMap> {
    return this.#read('optimizer.');
  }

  state(): Promise<TensorMap> {
    return this.#read('state.');
  }

  restore(memory: TensorMap, state: TensorMap, where: string): void {
    for (const [prefix, saved] of [
      ['optimizer.', memory],
      ['state.', state],
    ] as const)
      for (const [name, tensor] of withoutPrefix(this.#tensors, prefix))
        tensor.write(requireTensor(saved, name, tensor.type.shape, where));
  }

  async #read(prefix: string): Promise<TensorMap> {
    const reads = withoutPrefix(this.#tensors, prefix).map(async ([name, tensor]) => {
      const data = (await tensor.read()) as FlatParameters;
      return [name, tensorOf(tensor.type.shape, data)] as const;
    });
    return new Map(await Promise.all(reads));
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}
