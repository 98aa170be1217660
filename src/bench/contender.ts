import { KronogradError } from '../errors.js';
import type { Precision } from '../train/step-program.js';
import type { Place } from './place.js';

/** One engine on one backend, doing one piece of work again and again: what is timed. */
export interface Contender extends Place, Disposable {
  /** `kronograd`, `naive loop`, or a peer's name with its version. */
  readonly engine: string;
  /** Float32 unless given. */
  readonly precision?: Precision;
  readonly facts: ContenderFacts;
  /** Does the work `steps` times, to completion; milliseconds for all of them. */
  run(steps: number): Promise<number>;
  /** The loss of the last step, before its update; null where the work has no loss. */
  loss(): Promise<number | null>;
  /** The largest resident size so far of the process that it runs in. */
  peakRssBytes(): Promise<number>;
}

/** What one step costs, where it is known. */
export interface ContenderFacts {
  readonly dispatches: number | null;
  readonly submits: number | null;
  /** Temporary memory of a step. */
  readonly arenaBytes: number | null;
  readonly firstStepMs: number;
  /** Where the time to the first step begins. */
  readonly firstStepFrom: 'process start' | 'compile start';
}

/** What a contender's work failed with, such as a lost device: not the end of the others. Null when it did not. */
export async function failureOf(work: () => Promise<void>): Promise<KronogradError | null> {
  try {
    await work();
    return null;
  } catch (error) {
    // Any other is a mistake of this program.
    if (error instanceof KronogradError) return error;
    throw error;
  }
}

/** `maxRSS` is in kilobytes. */
export const ownPeakRssBytes = (): Promise<number> => Promise.resolve(process.resourceUsage().maxRSS * 1024);
