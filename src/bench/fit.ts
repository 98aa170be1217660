/** Whether work fits a backend, found before anything is compiled. */
import type { Backend, Capacity } from '../backend/backend.js';
import { excess, largestFitting } from '../backend/capacity.js';
import { KronogradError } from '../errors.js';
import { schedule } from '../schedule/index.js';
import { bufferBytesOf, type Schedule } from '../schedule/schedule.js';
import type { Work } from './work.js';

/**
 * @throws KronogradError MEMORY with the bytes needed, the bytes there are, and the largest batch that fits.
 */
export function requireFit(
  { capacity, description, halves }: Pick<Backend, 'capacity' | 'description' | 'halves'>,
  work: Work,
  plan: Schedule,
): void {
  const sizes = bufferBytesOf(plan, halves);
  const all = plan.buffers.map(({ name, isArena }, i) => ({
    name: isArena ? `the ${name}` : name,
    bytes: sizes[i]!,
  }));
  const largest = all.reduce((a, b) => (b.bytes > a.bytes ? b : a));
  const needed = demand(plan, halves);
  const often = excess(needed, capacity);
  if (often <= 1) return;
  const why =
    needed.buffer > capacity.buffer
      ? `${largest.name} needs ${largest.bytes} bytes; one buffer can have ${capacity.buffer}`
      : `it needs ${needed.total} bytes; there is room for ${capacity.total}`;
  const { batch } = work.sizes;
  const { atBatch } = work;
  const fitting =
    batch === undefined || atBatch === undefined
      ? 0
      : largestFitting({ size: batch, excess: often }, (size) =>
          excess(demand(schedule(atBatch(size)), halves), capacity),
        );
  const named = Object.entries(work.sizes).map(([name, size]) => `${name} ${size}`);
  throw new KronogradError('MEMORY', `${work.name} ${work.workload} does not fit: ${why}`, {
    where: `${description}: ${named.join(', ')}`,
    fix: `make it ${often.toPrecision(3)} times smaller: memory grows in proportion to the batch and to the unroll${fitting === 0 ? '' : `; about --batch ${fitting} fits`}`,
  });
}

function demand(plan: Schedule, halves: boolean): Capacity {
  const bytes = bufferBytesOf(plan, halves);
  return { buffer: Math.max(...bytes), total: bytes.reduce((sum, each) => sum + each, 0) };
}
