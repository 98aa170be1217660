/** Whether a training step fits into a backend, known before anything is allocated. */
import type { Backend, Capacity } from '../backend/backend.js';
import { KronogradError } from '../errors.js';
import { schedule } from '../schedule/index.js';
import { configuredStep } from './configured-step.js';
import type { RunConfig } from './run-config.js';
import type { TrainingData } from './training-data.js';

/**
 * Refuses what is too large, with the numbers and with the sizes that would fit.
 * @throws KronogradError MEMORY
 */
export function requireRoom(config: RunConfig, data: TrainingData, backend: Backend): void {
  const { capacity, description } = backend;
  const needed = demand(config, data);
  if (fits(needed, capacity)) return;
  const largest = (key: string): string[] => {
    const asked = (config as unknown as Readonly<Record<string, number>>)[key]!;
    const size = largestBelow(asked, (value) => fits(demand({ ...config, [key]: value }, data), capacity));
    return size === 0 ? [] : [`--${key} of at most about ${size}`];
  };
  const choices = data.sizeKeys.flatMap(largest);
  const what = `a training step needs ${mebibytes(needed.total)}, ${mebibytes(needed.buffer)} of it in one buffer`;
  const limit = Number.isFinite(capacity.total)
    ? `there is room for ${mebibytes(capacity.total)}`
    : `a buffer can have ${mebibytes(capacity.buffer)}`;
  throw new KronogradError('MEMORY', `${what}; ${limit}`, {
    where: description,
    fix: choices.length === 0 ? 'make all sizes much smaller' : `use ${choices.join(', or ')}`,
  });
}

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)} MiB`;

/**
 * Bytes of a training step as it is scheduled, with the arenas that it has at shorter lengths. What a backend needs
 * beyond that is not counted, but it is little.
 */
function demand(config: RunConfig, data: TrainingData): Capacity {
  const buffers = (length: number) =>
    schedule(configuredStep(config, data, length).program).buffers.map(({ length: words }) => 4 * words);
  const lengths = data.lengths(config);
  const whole = buffers(lengths.at(-1)!);
  const arenas = lengths.slice(0, -1).map((length) => buffers(length)[0]!);
  return { buffer: Math.max(...whole), total: [...whole, ...arenas].reduce((sum, each) => sum + each, 0) };
}

const fits = (needed: Capacity, { buffer, total }: Capacity): boolean =>
  needed.buffer <= buffer && needed.total <= total;

/** The largest integer from 1 below `end` for which a monotone condition holds; 0 for none. */
function largestBelow(end: number, holds: (value: number) => boolean): number {
  let good = 0;
  let bad = end;
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (holds(middle)) good = middle;
    else bad = middle;
  }
  return good;
}
