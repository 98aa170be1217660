/**
 * Timing side by side: the contenders take turns, a block of steps each, so that whatever else the machine is
 * doing meets all of them alike. A block is timed to completion.
 */
import type { KronogradError } from '../errors.js';
import { type Contender, failureOf } from './contender.js';

export interface Timing {
  /** Of the milliseconds per step of each block. */
  readonly medianMs: number;
  readonly minMs: number;
  /** The median absolute deviation from the median. */
  readonly madMs: number;
  readonly blocks: number;
  readonly steps: number;
}

/** What was measured of a contender. */
export interface Measured {
  /** Null when it failed before the end of its first block. */
  readonly timing: Timing | null;
  /** What ended it early; the timing is of the blocks before. */
  readonly failure: KronogradError | null;
}

/** Blocks that each contender's time is divided into. */
const BLOCKS = 9;
const FEWEST_BLOCKS = 3;
const MOST_STEPS = 10_000;

export const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
};

export function timingOf(msPerStep: readonly number[], steps: number): Timing {
  const medianMs = median(msPerStep);
  return {
    medianMs,
    minMs: Math.min(...msPerStep),
    madMs: median(msPerStep.map((ms) => Math.abs(ms - medianMs))),
    blocks: msPerStep.length,
    steps,
  };
}

interface Lane {
  readonly contender: Contender;
  steps: number;
  readonly times: number[];
  spent: number;
  failure: KronogradError | null;
}

/**
 * Times every contender for about `seconds`, after a warm-up. One that fails, such as by a lost device, leaves the others
 * their time.
 * @param failures of contenders that have failed already and get no more time.
 * @returns what was measured, in the contenders' order.
 */
export async function measureEach(
  contenders: readonly Contender[],
  seconds: number,
  failures: readonly (KronogradError | null)[] = [],
): Promise<Measured[]> {
  const lanes = contenders.map((contender, c): Lane => {
    const failure = failures[c] ?? null;
    return { contender, steps: 1, times: [], spent: 0, failure };
  });
  const blockMs = (seconds * 1000) / BLOCKS;
  for (const lane of lanes)
    lane.failure ??= await failureOf(async () => {
      const { contender } = lane;
      const once = await contender.run(1);
      // What is quick warms up for a whole block and is looked at again: the first steps are slow.
      const ms = once < blockMs ? await perStep(contender, stepsOfBlock(blockMs / 2, once)) : once;
      lane.steps = stepsOfBlock(blockMs, ms);
    });
  const unfinished = () =>
    lanes.filter(
      ({ times, spent, failure }) =>
        failure === null && (times.length < FEWEST_BLOCKS || spent < seconds * 1000),
    );
  let turn = unfinished();
  for (let round = 0; turn.length > 0; round++) {
    // Forwards and backwards, so that nobody always follows the same neighbour.
    for (const lane of round % 2 === 0 ? turn : turn.reverse())
      lane.failure = await failureOf(async () => {
        const { contender, steps, times } = lane;
        const ms = await contender.run(steps);
        times.push(ms / steps);
        lane.spent += ms;
      });
    turn = unfinished();
  }
  return lanes.map(({ times, steps, failure }) => ({
    timing: times.length === 0 ? null : timingOf(times, times.length * steps),
    failure,
  }));
}

/** The same where a failure of one is the end of all. @throws KronogradError the first failure */
export async function measure(contenders: readonly Contender[], seconds: number): Promise<Timing[]> {
  return (await measureEach(contenders, seconds)).map(({ timing, failure }) => {
    if (failure !== null) throw failure;
    return timing!;
  });
}

const perStep = async (contender: Contender, steps: number) => (await contender.run(steps)) / steps;

const stepsOfBlock = (blockMs: number, stepMs: number) =>
  Math.min(MOST_STEPS, Math.max(1, Math.round(blockMs / Math.max(stepMs, 1e-3))));
