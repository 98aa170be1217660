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
import { INITIAL_SCALING, SCALING } from './loss-scaling.js';
import { RANDOM_STREAMS } from './random-streams.js';
import type { RunConfig } from './run-config.js';
import { stepScalars } from './step-program.js';
import type { StepMetrics } from './trainer.js';
import type { TrainingBatch, TrainingData } from './training-data.js';
import { RING_LENGTH, type TrainingSteps } from './training-steps.js';
import { type FlatParameters, requireTensor, tensorOf } from './weights.js';

export class FirstOrderSteps implements TrainingSteps {
  readonly model: Model;
  readonly #data: TrainingData;
  readonly #options: Parameters<typeof stepScalars>[0] & { readonly optimizer: Optimizer };
  readonly #scope: Scope;
  readonly #programs: BucketedProgram;
  /** At all T steps. */
  readonly #whole: ProgramAtLength;
  readonly #tensors: Tensors;
  readonly #dropoutKey: number;

  private constructor(
    { seed, precision }: RunConfig,
    data: TrainingData,
    { model, optimizer, groups }: ConfiguredStep,
    programs: BucketedProgram,
    whole: ProgramAtLength,
    scope: Scope,
  ) {
    this.model = model;
    this.#data = data;
    this.#options = { optimizer, precision, ringLength: RING_LENGTH };
    this.#programs = programs;
    this.#whole = whole;
    this.#tensors = whole.tensors;
    this.#scope = scope;
    if (groups !== null) this.#tensors.groups!.write(groups);
    this.#tensors[SCALING]?.write(INITIAL_SCALING);
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
    return this.#options.optimizer.name;
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
    for (const [name, numbers] of Object.entries(this.#data.parts(batch, length)))
      tensors[name]!.write(numbers);
    tensors.scalars!.write(stepScalars(this.#options, { step, learningRate }));
    tensors.key?.write([this.#dropoutKey, step]);
    executable.run(tensors);
  }

  async losses(first: number, last: number): Promise<StepMetrics[]> {
    const rings = ['losses', 'norms', 'scales', 'skips'].map((name) => this.#tensors[name]?.read());
    const [losses, norms, scales, skips] = await Promise.all(rings);
    return Array.from({ length: last - first + 1 }, (_, i) => {
      const slot = (first + i - 1) % RING_LENGTH;
      const scaling = scales && skips && { lossScale: scales[slot]!, skippedSteps: skips[slot]! };
      return { step: first + i, loss: losses![slot]!, gradientNorm: norms![slot]!, ...scaling };
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
