/** The training of a model on any backend, step by step. */
import type { Backend } from '../backend/backend.js';
import { CounterRandom } from '../data/random.js';
import { Scope } from '../dispose.js';
import { isSecondOrder } from '../optim/index.js';
import type { Checkpoint, MetricsEntry } from './checkpoint.js';
import { requireContinuation } from './continuation.js';
import { curvatureBatch } from './curvature-batches.js';
import type { CurvatureProbe, Sharpness } from './curvature-probe.js';
import { FirstOrderSteps } from './first-order-steps.js';
import { learningRate } from './learning-rate.js';
import { RANDOM_STREAMS } from './random-streams.js';
import { fittingConfig } from './room.js';
import type { RunConfig } from './run-config.js';
import type { TextData } from './text-data.js';
import type { BatchOf, ConfigOf, DataEvaluator, ModelOf, PartOf, TrainingData } from './training-data.js';
import { RING_LENGTH, type TrainingSteps } from './training-steps.js';
import { type FlatParameters, flatWeights, namedWeights } from './weights.js';

/** What was measured in one step. */
export interface StepMetrics {
  /** Counted from 1. */
  readonly step: number;
  /** Mean loss of the batch, before the update; of a text, in nats. */
  readonly loss: number;
  /** Of the gradient, before clipping. Not finite in mixed precision where the scale was too large: the step was skipped. */
  readonly gradientNorm: number;
  /** In mixed precision, what the loss was multiplied by in this step. */
  readonly lossScale?: number;
  /** In mixed precision, steps skipped since the start of training, this one counted in. */
  readonly skippedSteps?: number;
}

/**
 * Owns everything that training changes. All of it is in a checkpoint, and nothing but `step` changes it, so the
 * same seed on the same adapter gives the same bits however often losses are read, texts evaluated, checkpoints
 * taken and the run stopped and restored. What it learns from, text or sequences, decides what its configuration,
 * its model and its batches are.
 *
 *     using trainer = await Trainer.create(backend, config, data);
 *     for await (const batch of data.stream.batches(trainer.nextBatch, data.steps)) await trainer.step(batch);
 */
export class Trainer<Data extends TrainingData = TextData> implements Disposable {
  readonly model: ModelOf<Data>;
  /** Measurements to be saved with the run, oldest first. */
  readonly history: MetricsEntry[] = [];
  readonly #scope: Scope;
  readonly #steps: TrainingSteps;
  readonly #evaluator: DataEvaluator<PartOf<Data>>;
  #curvature: CurvatureProbe | undefined;
  #stepsDone = 0;
  #nextBatch = 0;
  /** The last step whose losses were asked for. */
  #lossesRead = 0;

  private constructor(
    private readonly backend: Backend,
    readonly config: ConfigOf<Data>,
    readonly data: Data,
    steps: TrainingSteps,
    scope: Scope,
  ) {
    const { model } = steps;
    this.model = model as ModelOf<Data>;
    this.#steps = steps;
    this.#scope = scope;
    this.#evaluator = scope.own(data.evaluator(backend, model, config) as DataEvaluator<PartOf<Data>>);
  }

  /**
   * A new run, its parameters drawn from the configuration's seed. Where storing every step does not fit the device, its
   * `config` has become one with `recompute`.
   * @throws KronogradError MEMORY when it does not fit the device.
   */
  static async create<Data extends TrainingData>(
    backend: Backend,
    config: ConfigOf<Data>,
    data: Data,
  ): Promise<Trainer<Data>> {
    const trainer = await Trainer.#compile(backend, config, data);
    const random = new CounterRandom(config.seed, RANDOM_STREAMS.initialisation);
    trainer.#steps.theta.write(trainer.model.parameters.initial(random));
    return trainer;
  }

  /**
   * The run that a checkpoint was taken of. The configuration may differ from the saved one in what does not break
   * the continuity: number of steps, learning rate, clipping, dropout, decay. `where` names the checkpoint in errors.
   * @throws KronogradError CHECKPOINT when it is of another model, other data or another batch size, MEMORY
   */
  static async restore<Data extends TrainingData>(
    backend: Backend,
    checkpoint: Checkpoint,
    config: ConfigOf<Data>,
    data: Data,
    where = 'checkpoint',
  ): Promise<Trainer<Data>> {
    requireContinuation(checkpoint, config, data, where);
    const theta = flatWeights(data.model(config), checkpoint.weights, where);
    // Computing again rounds a little differently: a run that began so goes on so.
    const began = checkpoint.config.recompute === true ? { recompute: true, ...config } : config;
    const trainer = await Trainer.#compile(backend, began, data);
    try {
      trainer.#load(checkpoint, theta, where);
      return trainer;
    } catch (error) {
      trainer[Symbol.dispose]();
      throw error;
    }
  }

  static async #compile<Data extends TrainingData>(
    backend: Backend,
    config: ConfigOf<Data>,
    data: Data,
  ): Promise<Trainer<Data>> {
    const scope = new Scope();
    try {
      const fitting = isSecondOrder(config.optimizer) ? config : fittingConfig(config, data, backend);
      const steps = scope.own(await makeSteps(backend, fitting, data));
      return new Trainer(backend, fitting, data, steps, scope);
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

  /** What a step of all T steps in time takes; null for second-order optimizers, where that is decided on the way. */
  get cost(): TrainingSteps['cost'] {
    return this.#steps.cost;
  }

  /**
   * Compiles, once, what it takes to cut a batch behind its longest sequence. `step` cuts batches no shorter than has
   * been prepared: at first they have all T steps, with the same results but for rounding. @throws KronogradError MEMORY
   */
  async prepare({ longest }: BatchOf<Data>): Promise<void> {
    await this.#steps.prepare(longest ?? this.data.unroll(this.config));
  }

  /**
   * One update. A first-order one is queued when the call returns, so that the next may be asked for at once, and what
   * became of it is told by `losses`; a second-order one has to be waited for.
   */
  step(batch: BatchOf<Data>): Promise<void> {
    const step = this.#stepsDone + 1;
    const made = this.#steps.step(batch, step, this.#learningRate(step));
    this.#stepsDone = step;
    this.#nextBatch = batch.position + 1;
    return made;
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
    return this.#steps.losses(first, last);
  }

  /**
   * The mean loss of other data: of a text in nats per character. Changes nothing of the training.
   * @throws KronogradError TEXT for a text of fewer than two characters, MEMORY
   */
  evaluate(part: PartOf<Data>): Promise<number> {
    return this.#evaluator.loss(this.#steps.theta, part);
  }

  /**
   * How sharply the loss of a batch, the next one to step on, is curved at the parameters as they are now, without
   * dropout. Changes nothing of the training. @throws KronogradError DIVERGED, MEMORY
   */
  async sharpness(batch: BatchOf<Data>): Promise<Sharpness> {
    const { data, config, backend } = this;
    const { CurvatureProbe } = await import('./curvature-probe.js');
    // Limited derivatives would be no derivatives of the loss.
    this.#curvature ??= this.#scope.own(
      new CurvatureProbe(backend, data.model({ ...config, clipAccumulations: 0 }), this.#steps.theta),
    );
    const saved = batch.resetsState ? [] : [...(await this.#steps.state())];
    const state = Object.fromEntries(saved.map(([name, tensor]) => [name, tensor.data as FlatParameters]));
    return this.#curvature.sharpness(curvatureBatch(data, config, batch, state));
  }

  /** The parameters as they are now. */
  async parameters(): Promise<FlatParameters> {
    return (await this.#steps.theta.read()) as FlatParameters;
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
      this.#steps.memory(),
      this.#steps.state(),
    ]);
    return {
      weights: namedWeights(model, theta),
      optimizer: {
        name: this.#steps.optimizer,
        settings: { weightDecay: config.weightDecay },
        step: position.step,
        tensors: optimizer,
      },
      state,
      config: { ...config, ...data.identity, ...data.description },
      vocabulary: data.characters,
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
    this.#steps.theta.write(theta);
    this.#steps.restore(optimizer.tensors, state, where);
    this.#stepsDone = position.step;
    this.#lossesRead = position.step;
    this.#nextBatch = position.batch;
    this.history.push(...history);
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

/** @throws KronogradError OPTION, MEMORY */
async function makeSteps(backend: Backend, config: RunConfig, data: TrainingData): Promise<TrainingSteps> {
  if (isSecondOrder(config.optimizer)) {
    // Loaded when it is asked for: with it come all of curvature and a library of dense matrices.
    const { SecondOrderSteps } = await import('./second-order-steps.js');
    return new SecondOrderSteps(backend, config, data);
  }
  return FirstOrderSteps.create(backend, config, data);
}
