/** The training of a character language model on any backend, step by step. */
import type { Backend, Executable } from '../backend/backend.js';
import type { TextBatch } from '../data/batches.js';
import { CounterRandom } from '../data/random.js';
import { Scope } from '../dispose.js';
import type { TensorMap } from '../interop/safetensors.js';
import type { LanguageModel } from '../model/language-model.js';
import type { Optimizer } from '../optim/optimizer.js';
import { threefry2x32 } from '../program/threefry.js';
import type { Checkpoint, MetricsEntry } from './checkpoint.js';
import type { TrainConfig } from './config.js';
import { type ConfiguredStep, configuredStep, RING_LENGTH } from './configured-step.js';
import { requireContinuation } from './continuation.js';
import { Evaluator } from './evaluator.js';
import { learningRate } from './learning-rate.js';
import { programTensors, resetState, type Tensors, withoutPrefix } from './program-tensors.js';
import { RANDOM_STREAMS } from './random-streams.js';
import { requireRoom } from './room.js';
import { scalarNames } from './step-program.js';
import type { TextData } from './text-data.js';
import { type FlatParameters, namedWeights, requireTensor, tensorOf, trainedModel } from './weights.js';

/** What was measured in one step. */
export interface StepMetrics {
  /** Counted from 1. */
  readonly step: number;
  /** Mean cross-entropy of the batch in nats, before the update. */
  readonly loss: number;
  /** Of the gradient, before clipping. */
  readonly gradientNorm: number;
}

/**
 * Owns everything that training changes. All of it is in a checkpoint, and nothing but `step` changes it, so the
 * same seed on the same adapter gives the same bits however often losses are read, texts evaluated, checkpoints
 * taken and the run stopped and restored.
 *
 *     using trainer = await Trainer.create(backend, config, data);
 *     for await (const batch of data.stream.batches(trainer.nextBatch, data.steps)) trainer.step(batch);
 */
export class Trainer implements Disposable {
  readonly model: LanguageModel;
  /** Measurements to be saved with the run, oldest first. */
  readonly history: MetricsEntry[] = [];
  readonly #optimizer: Optimizer;
  readonly #scope: Scope;
  readonly #executable: Executable;
  readonly #tensors: Tensors;
  readonly #evaluator: Evaluator;
  readonly #dropoutKey: number;
  #stepsDone = 0;
  #nextBatch = 0;
  /** The last step whose losses were asked for. */
  #lossesRead = 0;

  private constructor(
    backend: Backend,
    readonly config: TrainConfig,
    readonly data: TextData,
    { model, optimizer, program }: ConfiguredStep,
    executable: Executable,
    scope: Scope,
  ) {
    this.model = model;
    this.#optimizer = optimizer;
    this.#executable = executable;
    this.#scope = scope;
    this.#tensors = programTensors(backend, program, scope);
    this.#evaluator = scope.own(new Evaluator(backend, model, config));
    this.#tensors.decays?.write(model.parameters.matrixMask());
    [this.#dropoutKey] = threefry2x32(config.seed, RANDOM_STREAMS.dropout, 0, 0);
  }

  /**
   * A new run, its parameters drawn from the configuration's seed.
   * @throws KronogradError MEMORY when it does not fit the device.
   */
  static async create(backend: Backend, config: TrainConfig, data: TextData): Promise<Trainer> {
    const trainer = await Trainer.#compile(backend, config, data);
    const random = new CounterRandom(config.seed, RANDOM_STREAMS.initialisation);
    trainer.#tensors.theta!.write(trainer.model.parameters.initial(random));
    return trainer;
  }

  /**
   * The run that a checkpoint was taken of. The configuration may differ from the saved one in what does not break
   * the continuity: number of steps, learning rate, clipping, dropout, decay. `where` names the checkpoint in errors.
   * @throws KronogradError CHECKPOINT when it is of another model, text or batch size, MEMORY
   */
  static async restore(
    backend: Backend,
    checkpoint: Checkpoint,
    config: TrainConfig,
    data: TextData,
    where = 'checkpoint',
  ): Promise<Trainer> {
    requireContinuation(checkpoint, config, data.sha256, where);
    const { theta } = trainedModel(checkpoint, where);
    const trainer = await Trainer.#compile(backend, config, data);
    try {
      trainer.#load(checkpoint, theta, where);
      return trainer;
    } catch (error) {
      trainer[Symbol.dispose]();
      throw error;
    }
  }

  static async #compile(backend: Backend, config: TrainConfig, data: TextData): Promise<Trainer> {
    requireRoom(config, data.vocabulary, backend);
    const step = configuredStep(config, data.vocabulary);
    const scope = new Scope();
    try {
      const executable = scope.own(await backend.compile(step.program));
      return new Trainer(backend, config, data, step, executable, scope);
    } catch (error) {
      scope[Symbol.dispose]();
      throw error;
    }
  }

  /** Updates made since the start of training. */
  get stepsDone(): number {
    return this.#stepsDone;
  }

  /** The position of the next batch in the stream of the data. */
  get nextBatch(): number {
    return this.#nextBatch;
  }

  /** Bytes of temporary memory of a step. */
  get arenaBytes(): number {
    return this.#executable.arenaBytes;
  }

  /** Dispatches of a step. */
  get dispatches(): number {
    return this.#executable.dispatches;
  }

  /** One update. Returns before a GPU is done; what became of it is told by `losses`. */
  step(batch: TextBatch): void {
    const tensors = this.#tensors;
    const step = this.#stepsDone + 1;
    if (batch.firstOfEpoch) resetState(tensors);
    const scalars: Readonly<Record<string, number>> = {
      slot: (step - 1) % RING_LENGTH,
      ...this.#optimizer.scalars(step, this.#learningRate(step)),
    };
    tensors.characters!.write(batch.inputs);
    tensors.targets!.write(batch.targets);
    tensors.scalars!.write(scalarNames(this.#optimizer).map((name) => scalars[name]!));
    tensors.key?.write([this.#dropoutKey, step]);
    this.#executable.run(tensors);
    this.#stepsDone = step;
    this.#nextBatch = batch.position + 1;
  }

  /**
   * What was measured in the steps since the last call, or in the last RING_LENGTH of them when there were more.
   * Copies are taken when it is called: steps made while the promise waits do not change them.
   */
  async losses(): Promise<StepMetrics[]> {
    const last = this.#stepsDone;
    const first = Math.max(this.#lossesRead, last - RING_LENGTH) + 1;
    this.#lossesRead = last;
    if (first > last) return [];
    const [losses, norms] = await Promise.all([this.#tensors.losses!.read(), this.#tensors.norms!.read()]);
    return Array.from({ length: last - first + 1 }, (_, i) => {
      const slot = (first + i - 1) % RING_LENGTH;
      return { step: first + i, loss: losses[slot]!, gradientNorm: norms[slot]! };
    });
  }

  /**
   * The mean loss of a text in nats per character, as `Evaluator` measures it. Changes nothing of the training.
   * @throws KronogradError TEXT for fewer than two characters, MEMORY
   */
  evaluate(ids: Int32Array): Promise<number> {
    return this.#evaluator.loss(this.#tensors.theta!, ids);
  }

  /** The parameters as they are now. */
  async parameters(): Promise<FlatParameters> {
    return (await this.#tensors.theta!.read()) as FlatParameters;
  }

  /** Everything it takes to continue from here. */
  async checkpoint(): Promise<Checkpoint> {
    const { config, data, model } = this;
    const position = {
      step: this.#stepsDone,
      epoch: Math.floor(this.#nextBatch / data.stream.batchesPerEpoch),
      batch: this.#nextBatch,
    };
    const history = [...this.history];
    const [theta, optimizer, state] = await Promise.all([
      this.parameters(),
      this.#read('optimizer.'),
      this.#read('state.'),
    ]);
    return {
      weights: namedWeights(model, theta),
      optimizer: {
        name: this.#optimizer.name,
        settings: { weightDecay: config.weightDecay },
        step: position.step,
        tensors: optimizer,
      },
      state,
      config: { ...config, textSha256: data.sha256 },
      vocabulary: data.vocabulary.characters,
      // Dropout's generator is a function of seed and step.
      generator: { seed: config.seed },
      position,
      history,
    };
  }

  #learningRate(step: number): number {
    const losses = this.history.flatMap(({ validationLoss }) => validationLoss ?? []);
    return learningRate(this.config, step, this.data.steps, losses);
  }

  #load({ optimizer, state, position, history }: Checkpoint, theta: FlatParameters, where: string): void {
    this.#tensors.theta!.write(theta);
    for (const [prefix, saved] of [
      ['optimizer.', optimizer.tensors],
      ['state.', state],
    ] as const)
      for (const [name, tensor] of withoutPrefix(this.#tensors, prefix))
        tensor.write(requireTensor(saved, name, tensor.type.shape, where));
    this.#stepsDone = position.step;
    this.#lossesRead = position.step;
    this.#nextBatch = position.batch;
    this.history.push(...history);
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
