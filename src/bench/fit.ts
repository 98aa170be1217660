/** Whether work fits a backend, found before anything is compiled. */
import type { Backend, Capacity } from '../backend/backend.js';
import { excess, largestFitting } from '../backend/capacity.js';
import { KronogradError } from '../errors.js';
import { schedule } from '../schedule/index.js';
import type { Schedule } from '../schedule/schedule.js';
import type { Work } from './work.js';

/**
 * @throws KronogradError MEMORY with the bytes needed, the bytes there are, and the largest batch that fits.
 */
export function requireFit(
  { capacity, description }: Pick<Backend, 'capacity' | 'description'>,
  work: Work,
  plan: Schedule,
): void {
  const [arena, ...tensors] = plan.buffers.map(({ name, length }) => ({ name, bytes: 4 * length }));
  const all = [{ ...arena!, name: 'the arena' }, ...tensors];
  const largest = all.reduce((a, b) => (b.bytes > a.bytes ? b : a));
  const needed = demand(plan);
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
          excess(demand(schedule(atBatch(size))), capacity),
        );
  const sizes = Object.entries(work.sizes).map(([name, size]) => `${name} ${size}`);
  throw new KronogradError('MEMORY', `${work.name} ${work.workload} does not fit: ${why}`, {
    where: `${description}: ${sizes.join(', ')}`,
    fix: `make it ${often.toPrecision(3)} times smaller: memory grows in proportion to the batch and to the unroll${fitting === 0 ? '' : `; about --batch ${fitting} fits`}`,
  });
}

function demand({ buffers }: Schedule): Capacity {
  const bytes = buffers.map(({ length }) => 4 * length);
  return { buffer: Math.max(...bytes), total: bytes.reduce((sum, each) => sum + each, 0) };
}
