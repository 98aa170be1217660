/** The training loop around a trainer's steps: validation, checkpoints, early stop, and what may go wrong. */
import { KronogradError } from '../errors.js';
import type { TensorMap } from '../interop/safetensors.js';
import { isSecondOrder } from '../optim/index.js';
import type { Checkpoint } from './checkpoint.js';
import type { Sharpness } from './curvature-probe.js';
import { LossReader } from './loss-reader.js';
import type { TextData } from './text-data.js';
import type { StepMetrics, Trainer } from './trainer.js';
import type { BatchOf, PartOf, TrainingData } from './training-data.js';

export interface FitOptions<Data extends TrainingData = TextData> {
  /** The batches from `trainer.nextBatch` on; by default those of the trainer's data. */
  readonly batches?: AsyncIterable<BatchOf<Data>>;
  /**
   * Keeps a checkpoint: `last` after every `saveEvery` steps and at the end, `best` when the validation loss is the
   * lowest so far. Training waits for it.
   */
  readonly save?: (checkpoint: Checkpoint, kind: 'last' | 'best') => Promise<unknown>;
  /** Stops after the current step, with a last checkpoint. */
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: FitEvent) => void;
  /** Steps from one look at the sharpness of the loss to the next; none unless given. A look costs about as much as 15 to 90 steps. */
  readonly curvatureEvery?: number | undefined;
}

export type FitEvent =
  /** Of every step, in order, shortly after it was made. */
  | ({ readonly kind: 'step' } & StepMetrics)
  /** Before the step's update, on its batch. */
  | ({ readonly kind: 'curvature'; readonly step: number } & Sharpness)
  | ({ readonly kind: 'validation' } & Validation)
  | { readonly kind: 'earlyStop'; readonly best: Measured };

/** A mean loss on what is kept for validation; of a text, in nats per character. */
export interface Validation {
  readonly step: number;
  readonly validationLoss: number;
  /** The mean of the training losses since the last validation, or since training was resumed. */
  readonly trainingLoss: number;
  readonly isBest: boolean;
}

export interface FitResult {
  readonly stepsDone: number;
  readonly stoppedEarly: boolean;
  /** Of the last step and of the best; null without validation. */
  readonly last: Measured | null;
  readonly best: Measured | null;
}

export interface Measured {
  readonly step: number;
  readonly validationLoss: number;
}

/**
 * Trains to the last step of the trainer's data, with the intervals and the patience of its configuration.
 *
 * Neither reading losses nor validating nor saving changes a number, so a run that was stopped at any step and
 * restored gives the same bits. Every save is preceded by a look at all losses up to it, at the loss under the
 * parameters that it writes, and at its numbers: a checkpoint of a diverged state is never handed to `save`.
 *
 * @throws KronogradError DIVERGED when a loss is NaN, infinite or absurdly large, ABORTED when the signal stopped
 * it (after saving), and what the backend and `save` throw.
 */
export async function fit<Data extends TrainingData>(
  trainer: Trainer<Data>,
  options: FitOptions<Data> = {},
): Promise<FitResult> {
  return new Fit(trainer, options).run();
}

/** A pause for timers, signals and the page, at least so often, in milliseconds: a CPU backend leaves them no time. */
const BREATH = 50;

class Fit<Data extends TrainingData> {
  readonly #trainer: Trainer<Data>;
  readonly #options: FitOptions<Data>;
  readonly #reader: LossReader;
  /** Losses of steps since the last validation. */
  #window: number[] = [];
  #lastLoss = Number.NaN;
  #savedStep: number;
  /** The last step whose parameters are known to give a finite loss. */
  #soundStep = 0;
  #lastBreath = performance.now();

  constructor(trainer: Trainer<Data>, options: FitOptions<Data>) {
    this.#trainer = trainer;
    this.#options = options;
    this.#reader = new LossReader(trainer);
    this.#savedStep = trainer.stepsDone;
  }

  async run(): Promise<FitResult> {
    const { data, config } = this.#trainer;
    const { signal } = this.#options;
    const batches = this.#options.batches ?? data.stream.batches(this.#trainer.nextBatch);
    let stoppedEarly = this.#patienceIsOver();
    if (signal?.aborted) await this.#abort();
    if (!stoppedEarly && this.#trainer.stepsDone < data.steps) {
      for await (const batch of batches) {
        await this.#trainer.prepare(batch as BatchOf<Data>);
        await this.#lookAtCurvature(batch as BatchOf<Data>);
        await this.#trainer.step(batch as BatchOf<Data>);
        const step = this.#trainer.stepsDone;
        this.#take(await this.#reader.poll());
        await this.#breathe();
        const isLast = step >= data.steps;
        if (isLast || step % config.evaluateEvery === 0) {
          await this.#validate();
          stoppedEarly = this.#patienceIsOver();
        }
        if (step % config.saveEvery === 0) await this.#save('last');
        if (isLast || stoppedEarly) break;
        if (signal?.aborted) await this.#abort();
      }
    }
    if (this.#savedStep !== this.#trainer.stepsDone) await this.#save('last');
    if (stoppedEarly) this.#options.onEvent?.({ kind: 'earlyStop', best: this.#bestSoFar()! });
    return {
      stepsDone: this.#trainer.stepsDone,
      stoppedEarly,
      last: this.#validations().at(-1) ?? null,
      best: this.#bestSoFar(),
    };
  }

  async #lookAtCurvature(batch: BatchOf<Data>): Promise<void> {
    const { curvatureEvery, onEvent } = this.#options;
    const step = this.#trainer.stepsDone + 1;
    if (curvatureEvery === undefined || step % curvatureEvery !== 0) return;
    onEvent?.({ kind: 'curvature', step, ...(await this.#trainer.sharpness(batch)) });
  }

  async #validate(): Promise<void> {
    const { stepsDone: step, data, history } = this.#trainer;
    if (data.heldOut === null) return;
    await this.#catchUp();
    const validationLoss = await this.#trainer.evaluate(data.heldOut as PartOf<Data>);
    if (this.#hasDiverged(validationLoss))
      throw this.#diverged(`the validation loss became ${validationLoss}`);
    this.#soundStep = step;
    const best = this.#bestSoFar();
    const isBest = best === null || validationLoss < best.validationLoss;
    history.push({ step, loss: this.#lastLoss, validationLoss });
    const trainingLoss = this.#window.reduce((sum, loss) => sum + loss, 0) / this.#window.length;
    this.#window = [];
    this.#options.onEvent?.({ kind: 'validation', step, validationLoss, trainingLoss, isBest });
    if (isBest) await this.#save('best');
  }

  async #save(kind: 'last' | 'best'): Promise<void> {
    await this.#requireSound();
    const checkpoint = await this.#trainer.checkpoint();
    const { weights, optimizer, state } = checkpoint;
    if (![weights, optimizer.tensors, state].every(areFinite))
      throw this.#diverged('the parameters overflowed');
    await this.#options.save?.(checkpoint, kind);
    if (kind === 'last') this.#savedStep = this.#trainer.stepsDone;
  }

  /** Looks at the losses of all steps made, and at one under the parameters that the last of them has left. */
  async #requireSound(): Promise<void> {
    const { stepsDone, data, config } = this.#trainer;
    await this.#catchUp();
    if (this.#soundStep === stepsDone) return;
    const loss = await this.#trainer.evaluate(data.glimpse(config) as PartOf<Data>);
    if (this.#hasDiverged(loss)) throw this.#diverged(`the loss became ${loss}`, stepsDone + 1);
    this.#soundStep = stepsDone;
  }

  async #abort(): Promise<never> {
    const { stepsDone } = this.#trainer;
    if (this.#savedStep !== stepsDone) await this.#save('last');
    throw new KronogradError('ABORTED', `stopped after step ${stepsDone}`, {
      where: 'fit',
      fix: 'restore the last checkpoint to continue',
      cause: this.#options.signal?.reason,
    });
  }

  /** Looks at the losses of all steps made. */
  async #catchUp(): Promise<void> {
    this.#take(await this.#reader.drain());
  }

  #take(metrics: readonly StepMetrics[]): void {
    for (const each of metrics) {
      const { step, loss, gradientNorm, lossScale } = each;
      if (this.#hasDiverged(loss)) throw this.#diverged(`the loss became ${loss}`, step);
      if (lossScale === 1 && !Number.isFinite(gradientNorm))
        throw this.#diverged(`the gradient became ${gradientNorm}, without any scale,`, step);
      this.#options.onEvent?.({ kind: 'step', ...each });
      this.#window.push(loss);
      this.#lastLoss = loss;
    }
  }

  #hasDiverged(loss: number): boolean {
    return !(loss <= this.#trainer.data.largestLoss);
  }

  #diverged(what: string, step = this.#trainer.stepsDone): KronogradError {
    const { lr, clip, optimizer, damping, precision } = this.#trainer.config;
    const orWider = precision === 'mixed' ? '; or begin anew with --precision float32' : '';
    const saved = this.#savedStep > 0 ? `, and continue from the checkpoint of step ${this.#savedStep}` : '';
    return new KronogradError('DIVERGED', `${what} at step ${step}`, {
      where: `step ${step}`,
      fix: isSecondOrder(optimizer)
        ? `raise the damping (--damping, now ${damping}) or the batch${saved}`
        : `lower the learning rate (--lr, now ${lr}) or the clipping norm (--clip, now ${clip})${saved}${orWider}`,
    });
  }

  /** What was measured by validations of this run, and by the one that it resumes. */
  #validations(): Measured[] {
    return this.#trainer.history.flatMap(({ step, validationLoss }) =>
      step === undefined || validationLoss === undefined ? [] : [{ step, validationLoss }],
    );
  }

  #bestSoFar(): Measured | null {
    const lower = (a: Measured, b: Measured) => (b.validationLoss < a.validationLoss ? b : a);
    const [first, ...rest] = this.#validations();
    return first === undefined ? null : rest.reduce(lower, first);
  }

  #patienceIsOver(): boolean {
    const { patience } = this.#trainer.config;
    const best = this.#bestSoFar();
    if (patience === 0 || best === null) return false;
    return this.#validations().filter(({ step }) => step > best.step).length >= patience;
  }

  async #breathe(): Promise<void> {
    if (performance.now() - this.#lastBreath < BREATH) return;
    await new Promise((resolve) => setTimeout(resolve));
    this.#lastBreath = performance.now();
  }
}

const areFinite = (tensors: TensorMap): boolean =>
  [...tensors.values()].every(({ data }) => data.every(Number.isFinite));
