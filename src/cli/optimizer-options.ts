/** What of a run only some optimizers take. */
import { KronogradError } from '../errors.js';
import { FIRST_ORDER } from '../optim/index.js';
import type { RunConfig } from '../train/run-config.js';
import { flagOf, type TrainOptions } from './train-options.js';

const OF_FIRST_ORDER = ['lr', 'clip', 'clipValue', 'schedule'] as const satisfies (keyof TrainOptions)[];
/** Options, and the optimizers that take them. */
const OF_SECOND_ORDER = {
  damping: ['hf', 'kfac'],
  structuralDamping: ['hf'],
  curvatureBatch: ['hf'],
  cgIterations: ['hf'],
} as const satisfies Partial<Record<keyof TrainOptions, RunConfig['optimizer'][]>>;

/**
 * Refuses what is given, as options or in a file, that the run's optimizer would not look at.
 * @throws KronogradError OPTION
 */
export function requireLookedAt(
  given: Readonly<Record<string, unknown>>,
  { optimizer }: Pick<RunConfig, 'optimizer'>,
  where: (key: string) => string = flagOf,
): void {
  const taken: (readonly [keyof TrainOptions, readonly string[]])[] = [
    ...OF_FIRST_ORDER.map((key) => [key, FIRST_ORDER] as const),
    ...Object.entries(OF_SECOND_ORDER).map(([key, names]) => [key as keyof TrainOptions, names] as const),
  ];
  const idle = taken.find(([key, names]) => given[key] !== undefined && !names.includes(optimizer));
  if (idle === undefined) return;
  const [key, names] = idle;
  throw new KronogradError('OPTION', `${where(key)} means nothing to the optimizer ${optimizer}`, {
    where: where(key),
    fix: `leave it out, or use the optimizer ${names.join(', ')}`,
  });
}
