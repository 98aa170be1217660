/**
 * Timing side by side: the contenders take turns, a block of steps each, so that whatever else the machine is
 * doing meets all of them alike. A block is timed to completion.
 */
import type { Contender } from './contender.js';

export interface Timing {
  /** Of the milliseconds per step of each block. */
  readonly medianMs: number;
  readonly minMs: number;
  /** The median absolute deviation from the median. */
  readonly madMs: number;
  readonly blocks: number;
  readonly steps: number;
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

/**
 * Times every contender for about `seconds`, after a warm-up.
 * @returns the timings, in the contenders' order.
 */
export async function measure(contenders: readonly Contender[], seconds: number): Promise<Timing[]> {
  const lanes: { contender: Contender; steps: number; times: number[]; spent: number }[] = [];
  for (const contender of contenders) {
    const once = await contender.run(1);
    const blockMs = (seconds * 1000) / BLOCKS;
    // What is quick warms up for a whole block and is looked at again: the first steps are slow.
    const ms = once < blockMs ? await perStep(contender, stepsOfBlock(blockMs / 2, once)) : once;
    lanes.push({ contender, steps: stepsOfBlock(blockMs, ms), times: [], spent: 0 });
  }
  const unfinished = () =>
    lanes.filter(({ times, spent }) => times.length < FEWEST_BLOCKS || spent < seconds * 1000);
  let turn = unfinished();
  for (let round = 0; turn.length > 0; round++) {
    // Forwards and backwards, so that nobody always follows the same neighbour.
    for (const lane of round % 2 === 0 ? turn : turn.reverse()) {
      const ms = await lane.contender.run(lane.steps);
      lane.times.push(ms / lane.steps);
      lane.spent += ms;
    }
    turn = unfinished();
  }
  return lanes.map(({ times, steps }) => timingOf(times, times.length * steps));
}

const perStep = async (contender: Contender, steps: number) => (await contender.run(steps)) / steps;

const stepsOfBlock = (blockMs: number, stepMs: number) =>
  Math.min(MOST_STEPS, Math.max(1, Math.round(blockMs / Math.max(stepMs, 1e-3))));
