import { attentionRnn } from '../cells/attention-rnn.js';
import { KronogradError } from '../errors.js';
import { refused, requireChoice, requireInteger, requireNumber } from '../ranges.js';
import {
  CELLS,
  type Checks,
  type ConfigInput,
  integer,
  LENGTH,
  RUN_CHECKS,
  RUN_DEFAULTS,
  type RunConfig,
  requireNoPlateau,
  resolveConfig,
  WIDTH,
} from './run-config.js';

/** What a character-level training run is made of. Plain JSON: a config file holds any part of it. */
export interface TrainConfig extends RunConfig {
  /** T: through how many characters the gradient is propagated back. */
  readonly unroll: number;
  /** What a character is to the first layer: a learned vector of this size, or a one-hot vector. */
  readonly embedding: number | 'one-hot';
  /** The part of the text, from its end, that is kept for validation; 0 for none. */
  readonly validationFraction: number;
}

/** Any part of a configuration, not validated yet. */
export type TrainConfigInput = ConfigInput<TrainConfig>;

/** What holds where nothing is given. */
export const TRAIN_DEFAULTS: TrainConfig = {
  ...RUN_DEFAULTS,
  unroll: 64,
  embedding: 'one-hot',
  validationFraction: 0.05,
};

/** The keys that make the model what it is: a checkpoint only fits a configuration that agrees in them. */
export const MODEL_KEYS = [
  'cell',
  'heads',
  'hidden',
  'projection',
  'layers',
  'embedding',
] as const satisfies (keyof TrainConfig)[];

/** All but the recurrence of the attention RNN: a text is read in parts, and attention would end at a part's beginning. */
export const TEXT_CELLS = CELLS.filter((name) => name !== attentionRnn.name);

const CHECKS: Checks<TrainConfig> = {
  ...RUN_CHECKS,
  cell: requireTextCell,
  unroll: integer(LENGTH),
  embedding: requireEmbedding,
  validationFraction: (value, where) => requireNumber(value, where, { min: 0, max: 0.5 }),
};

export const CONFIG_KEYS = Object.keys(CHECKS) as (keyof TrainConfig)[];

/**
 * The whole configuration that the values mean, with defaults where they are undefined. Throws OPTION for an
 * unknown key and for a value that its key does not take. `where` gives a key's name in errors, for example
 * `--hidden`.
 */
export function resolveTrainConfig(
  values: TrainConfigInput,
  where: (key: string) => string = (key) => key,
): TrainConfig {
  const config = resolveConfig(values, { checks: CHECKS, defaults: TRAIN_DEFAULTS }, where);
  if (config.validationFraction === 0)
    requireNoPlateau(config, `${where('schedule')}, ${where('validationFraction')}`);
  return config;
}

/**
 * `base` with `changes` laid over it, where a value of undefined changes nothing. `steps` and `epochs`
 * replace each other.
 */
export function overlayConfig(base: TrainConfigInput, changes: TrainConfigInput): TrainConfigInput {
  const merged: Record<string, unknown> = { ...base };
  if (changes.steps !== undefined) delete merged.epochs;
  if (changes.epochs !== undefined) delete merged.steps;
  for (const [key, value] of Object.entries(changes)) if (value !== undefined) merged[key] = value;
  return merged;
}

function requireTextCell(value: unknown, where: string): string {
  if (value !== attentionRnn.name) return requireChoice(value, where, TEXT_CELLS);
  throw new KronogradError('OPTION', `${value} is for sequences: a text has no first step to attend to`, {
    where,
    fix: 'choose another cell, or learn from a CSV or a preset of sequences',
  });
}

function requireEmbedding(value: unknown, where: string): number | 'one-hot' {
  if (value === 'one-hot') return value;
  if (typeof value === 'number') return requireInteger(value, where, WIDTH);
  throw refused(value, where, `"one-hot" or an integer from ${WIDTH.min} to ${WIDTH.max}`);
}
