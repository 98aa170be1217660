/** Whether a training step fits into a backend, known before anything is allocated. */
import type { Backend, Capacity } from '../backend/backend.js';
import { excess, largestFitting, mebibytes } from '../backend/capacity.js';
import { KronogradError } from '../errors.js';
import { schedule } from '../schedule/index.js';
import { arenaBytesOf, bufferBytesOf } from '../schedule/schedule.js';
import { configuredStep } from './configured-step.js';
import type { RunConfig } from './run-config.js';
import type { TrainingData } from './training-data.js';

/**
 * The configuration itself where its step fits; with `recompute` where the step fits only so, and the configuration does
 * not say otherwise.
 * @throws KronogradError MEMORY for what is too large, with the numbers and with the sizes that would fit
 */
export function fittingConfig<Config extends RunConfig>(
  config: Config,
  data: TrainingData,
  { capacity, description, halves }: Pick<Backend, 'capacity' | 'description' | 'halves'>,
): Config {
  if (excess(demand(config, data, halves), capacity) <= 1) return config;
  const lean = leanest(config);
  const needed = demand(lean, data, halves);
  if (excess(needed, capacity) <= 1) return lean;
  const excessWith = (changes: Partial<RunConfig>) =>
    excess(demand({ ...lean, ...changes }, data, halves), capacity);
  const largest = (key: string): string[] => {
    const asked = (config as unknown as Readonly<Record<string, number>>)[key]!;
    const start = { size: asked, excess: excess(needed, capacity) };
    const size = largestFitting(start, (value) => excessWith({ [key]: value }));
    return size === 0 ? [] : [`--${key} of at most about ${size}`];
  };
  const again = !lean.recompute && excessWith({ recompute: true }) <= 1 ? ['--recompute'] : [];
  const choices = [...again, ...data.sizeKeys.flatMap(largest)];
  const how = lean.recompute ? ' even when it computes its steps again instead of storing them' : '';
  const what = `a training step needs ${mebibytes(needed.total)}, ${mebibytes(needed.buffer)} of it in one buffer${how}`;
  const limit = Number.isFinite(capacity.total)
    ? `there is room for ${mebibytes(capacity.total)}`
    : `a buffer can have ${mebibytes(capacity.buffer)}`;
  throw new KronogradError('MEMORY', `${what}; ${limit}`, {
    where: description,
    fix: choices.length === 0 ? 'make all sizes much smaller' : `use ${choices.join(', or ')}`,
  });
}

/** What takes the least memory of what a configuration leaves open. */
const leanest = <Config extends RunConfig>(config: Config): Config => ({ recompute: true, ...config });

/**
 * Bytes of a training step as it is scheduled, with the arenas that it has at shorter lengths. What a backend needs
 * beyond that is not counted, but it is little.
 */
function demand(config: RunConfig, data: TrainingData, halves: boolean): Capacity {
  const plan = (length: number) => schedule(configuredStep(config, data, length).program);
  const lengths = data.lengths(config);
  const whole = bufferBytesOf(plan(lengths.at(-1)!), halves);
  const arenas = lengths.slice(0, -1).map((length) => arenaBytesOf(plan(length), halves));
  return { buffer: Math.max(...whole), total: [...whole, ...arenas].reduce((sum, each) => sum + each, 0) };
}
