/** Lengths that batches of padded sequences are run at: no step beyond a batch's longest sequence but to round up. */
import { requireInteger } from '../ranges.js';

/** Each length has programs of its own, made when a batch first needs them. */
const BUCKETS = 8;

/** Eighths of T, rounded up: a batch runs fewer than ceil(T / 8) steps that all of its sequences leave out. */
export function bucketLengths(steps: number): number[] {
  requireInteger(steps, 'steps', { min: 1 });
  const lengths = Array.from({ length: BUCKETS }, (_, i) => Math.ceil(((i + 1) * steps) / BUCKETS));
  return [...new Set(lengths)];
}

/** Steps up to the end of the longest sequence of a mask [T, r]. */
export function longestOf(mask: Float32Array, batch: number): number {
  let last = mask.length - 1;
  while (last >= 0 && mask[last] === 0) last -= 1;
  return Math.floor(last / batch) + 1;
}
