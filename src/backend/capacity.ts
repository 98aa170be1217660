/** How much of a backend's memory something takes, and how large it could be. */
import type { Capacity } from './backend.js';

/** How often the demand fills the room that there is: up to 1 it fits. */
export const excess = (needed: Capacity, { buffer, total }: Capacity): number =>
  Math.max(needed.buffer / buffer, needed.total / total);

/** As errors say sizes. */
export const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;

export interface Tried {
  readonly size: number;
  readonly excess: number;
}

/** A size that fills at least so much of the room is the largest to anyone who asks. */
const NEARLY_ALL = 0.95;

/**
 * About the largest size from 1 below `bad` that fits; 0 for none. A schedule takes its time, so there is no bisection:
 * memory grows like a power of any size, and the next try is where the power between two others would just fit.
 */
export function largestFitting(bad: Tried, excessOf: (size: number) => number): number {
  let good: Tried = { size: 1, excess: excessOf(1) };
  if (good.excess > 1) return 0;
  while (bad.size - good.size > 1 && good.excess < NEARLY_ALL) {
    const power = Math.log(bad.excess / good.excess) / Math.log(bad.size / good.size);
    const just = Math.floor(good.size * good.excess ** (-1 / power));
    const size = Math.min(bad.size - 1, Math.max(good.size + 1, just));
    const tried = { size, excess: excessOf(size) };
    if (tried.excess <= 1) good = tried;
    else bad = tried;
  }
  return good.size;
}
