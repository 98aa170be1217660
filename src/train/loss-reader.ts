import type { StepMetrics } from './trainer.js';
import { RING_LENGTH } from './training-steps.js';

/** Losses shall be seen about so often, in milliseconds: smooth for the eye, and seldom for a GPU. */
const INTERVAL = 250;

/** What it reads of a trainer. */
export interface MeasuredSteps {
  readonly stepsDone: number;
  losses(): Promise<StepMetrics[]>;
}

/**
 * Reads the losses of a run without stalling it: the next steps are submitted while a read is on its way. It also
 * keeps a GPU from falling behind by more than the ring holds, so that no loss is missed.
 */
export class LossReader {
  readonly #trainer: MeasuredSteps;
  #pending: Promise<StepMetrics[]> = Promise.resolve([]);
  /** Steps from one read to the next; two such spans are at most in flight. */
  #span = 1;
  #lastStep: number;
  #lastTime = performance.now();

  constructor(trainer: MeasuredSteps) {
    this.#trainer = trainer;
    this.#lastStep = trainer.stepsDone;
  }

  /** After each step: the losses that have come in meanwhile, if any. */
  async poll(): Promise<StepMetrics[]> {
    const steps = this.#trainer.stepsDone - this.#lastStep;
    if (steps < this.#span) return [];
    const arrived = await this.#pending;
    this.#pending = this.#trainer.losses();
    // Whoever polls or drains next gets the error; until then it must not count as unhandled.
    this.#pending.catch(() => {});
    const time = performance.now();
    const wanted = (steps * INTERVAL) / Math.max(time - this.#lastTime, 1);
    this.#span = Math.min(Math.max(Math.floor(wanted), 1), RING_LENGTH / 2);
    this.#lastStep = this.#trainer.stepsDone;
    this.#lastTime = time;
    return arrived;
  }

  /** All losses up to the last step made. */
  async drain(): Promise<StepMetrics[]> {
    const arrived = await this.#pending;
    this.#pending = Promise.resolve([]);
    this.#lastStep = this.#trainer.stepsDone;
    return [...arrived, ...(await this.#trainer.losses())];
  }
}
