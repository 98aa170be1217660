import { cells } from '../cells/index.js';
import { KronogradError } from '../errors.js';
import { refused, requireChoice, requireInteger, requireNumber, requireText } from '../ranges.js';

export const CELLS = Object.keys(cells);
export const OPTIMIZERS = ['sgd', 'momentum', 'nesterov', 'rmsprop', 'adam', 'adamw'] as const;
export const SCHEDULES = ['constant', 'step', 'cosine', 'plateau'] as const;
export const BACKENDS = ['auto', 'webgpu', 'cpu'] as const;

/** What a character-level training run is made of. Plain JSON: a config file holds any part of it. */
export interface TrainConfig {
  /** The recurrent cell, by its name in `src/cells/index.ts`. */
  readonly cell: string;
  /** Units of each layer. */
  readonly hidden: number;
  /** Recurrent layers, stacked. */
  readonly layers: number;
  /** r: how many places of the text are read side by side. */
  readonly batch: number;
  /** T: through how many characters the gradient is propagated back. */
  readonly unroll: number;
  /** How many updates to make. Exactly one of `steps` and `epochs` is set. */
  readonly steps?: number;
  /** How many passes over the training text to make. */
  readonly epochs?: number;
  /** The largest learning rate. */
  readonly lr: number;
  /** The global norm that gradients are clipped to; 0 for no clipping. */
  readonly clip: number;
  /** What each element of the gradient is limited to, after `clip`; 0 for no limit. */
  readonly clipValue: number;
  /** The probability that a unit between two layers is dropped in training. */
  readonly dropout: number;
  /** What a character is to the first layer: a learned vector of this size, or a one-hot vector. */
  readonly embedding: number | 'one-hot';
  readonly optimizer: (typeof OPTIMIZERS)[number];
  /** The weights' decay: with `adamw` decoupled from the gradient, with the others an L2 penalty. */
  readonly weightDecay: number;
  /** Whether biases decay as well, and not only matrices. */
  readonly decayBiases: boolean;
  /**
   * The learning rate after the warm-up: `constant`; `step`, a tenth of itself after one half of the steps
   * and again after three quarters; `cosine`, along half a cosine down to 0 at the last step; `plateau`,
   * `plateauFactor` times itself whenever more than `plateauPatience` validations in a row were no better.
   */
  readonly schedule: (typeof SCHEDULES)[number];
  readonly plateauFactor: number;
  readonly plateauPatience: number;
  /** Over how many first steps the learning rate rises linearly from 0. */
  readonly warmup: number;
  /** Of initialisation and dropout: the same seed on the same adapter gives the same bits. */
  readonly seed: number;
  /** `auto` takes a GPU when there is one. */
  readonly backend: (typeof BACKENDS)[number];
  /** The part of the text, from its end, that is kept for validation; 0 for none. */
  readonly validationFraction: number;
  /** Validate after every so many steps. */
  readonly evaluateEvery: number;
  /** Stop after so many validations in a row without a new best one; 0 never stops early. */
  readonly patience: number;
  /** Save a checkpoint after every so many steps. */
  readonly saveEvery: number;
  /** The folder of the run's checkpoints. */
  readonly out: string;
}

/** Any part of a configuration, not validated yet. */
export type TrainConfigInput = { readonly [Key in keyof TrainConfig]?: unknown };

/** What holds where nothing is given. */
export const TRAIN_DEFAULTS: TrainConfig = {
  cell: 'lstm',
  hidden: 128,
  layers: 1,
  batch: 32,
  unroll: 64,
  steps: 1000,
  lr: 0.002,
  clip: 5,
  clipValue: 0,
  dropout: 0,
  embedding: 'one-hot',
  optimizer: 'adam',
  weightDecay: 0,
  decayBiases: true,
  schedule: 'cosine',
  plateauFactor: 0.1,
  plateauPatience: 2,
  warmup: 0,
  seed: 1,
  backend: 'auto',
  validationFraction: 0.05,
  evaluateEvery: 250,
  patience: 0,
  saveEvery: 250,
  out: 'runs/latest',
};

/** The keys that make the model what it is: a checkpoint only fits a configuration that agrees in them. */
export const MODEL_KEYS = ['cell', 'hidden', 'layers', 'embedding'] as const satisfies (keyof TrainConfig)[];

/** Sizes beyond these are slips of the pen; what really fits depends on the device and is checked there. */
const WIDTH = { min: 1, max: 32_768 };
const LAYERS = { min: 1, max: 64 };
const LENGTH = { min: 1, max: 65_536 };
const COUNT = { min: 1, max: 1_000_000_000 };
const COUNT_OR_ZERO = { min: 0, max: COUNT.max };

type Check<Value> = (value: unknown, where: string) => Value;

const integer =
  (range: { min: number; max: number }): Check<number> =>
  (value, where) =>
    requireInteger(value, where, range);

const CHECKS: { readonly [Key in keyof TrainConfig]-?: Check<NonNullable<TrainConfig[Key]>> } = {
  cell: (value, where) => requireChoice(value, where, CELLS),
  hidden: integer(WIDTH),
  layers: integer(LAYERS),
  batch: integer(LENGTH),
  unroll: integer(LENGTH),
  steps: integer(COUNT),
  epochs: integer({ min: 1, max: 1_000_000 }),
  lr: (value, where) => requireNumber(value, where, { above: 0 }),
  clip: (value, where) => requireNumber(value, where, { min: 0, max: 1e6 }),
  clipValue: (value, where) => requireNumber(value, where, { min: 0, max: 1e6 }),
  dropout: (value, where) => requireNumber(value, where, { min: 0, below: 1 }),
  embedding: requireEmbedding,
  optimizer: (value, where) => requireChoice(value, where, OPTIMIZERS),
  weightDecay: (value, where) => requireNumber(value, where, { min: 0, max: 1 }),
  decayBiases: requireBoolean,
  schedule: (value, where) => requireChoice(value, where, SCHEDULES),
  plateauFactor: (value, where) => requireNumber(value, where, { above: 0, below: 1 }),
  plateauPatience: integer(COUNT_OR_ZERO),
  warmup: integer(COUNT_OR_ZERO),
  seed: integer({ min: 0, max: 2 ** 32 - 1 }),
  backend: (value, where) => requireChoice(value, where, BACKENDS),
  validationFraction: (value, where) => requireNumber(value, where, { min: 0, max: 0.5 }),
  evaluateEvery: integer(COUNT),
  patience: integer(COUNT_OR_ZERO),
  saveEvery: integer(COUNT),
  out: requireText,
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
  requireKnownKeys(values, where);
  const given = CONFIG_KEYS.filter((key) => values[key] !== undefined);
  const checked = Object.fromEntries(given.map((key) => [key, CHECKS[key](values[key], where(key))]));
  if (checked.steps !== undefined && checked.epochs !== undefined) {
    throw new KronogradError('OPTION', `${where('steps')} and ${where('epochs')} exclude each other`, {
      where: where('epochs'),
      fix: 'give only one of the two',
    });
  }
  const { steps, ...defaults } = TRAIN_DEFAULTS;
  const length = checked.epochs === undefined ? { steps } : {};
  const config = { ...defaults, ...length, ...checked } as TrainConfig;
  if (config.steps !== undefined && config.warmup >= config.steps) {
    throw refused(config.warmup, where('warmup'), `an integer below the number of steps, ${config.steps}`);
  }
  if (config.schedule === 'plateau' && config.validationFraction === 0)
    throw new KronogradError('OPTION', 'there is no plateau to see without validation', {
      where: `${where('schedule')}, ${where('validationFraction')}`,
      fix: 'keep a validationFraction above 0, or choose another schedule',
    });
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

function requireKnownKeys(values: object, where: (key: string) => string): void {
  const unknown = Object.keys(values).filter((key) => !Object.hasOwn(CHECKS, key));
  if (unknown.length === 0) return;
  const names = unknown.map((key) => JSON.stringify(key)).join(', ');
  throw new KronogradError('OPTION', `unknown ${unknown.length === 1 ? 'key' : 'keys'} ${names}`, {
    where: unknown.map(where).join(', '),
    fix: `use only ${CONFIG_KEYS.join(', ')}`,
  });
}

function requireBoolean(value: unknown, where: string): boolean {
  if (typeof value === 'boolean') return value;
  throw refused(value, where, 'true or false');
}

function requireEmbedding(value: unknown, where: string): number | 'one-hot' {
  if (value === 'one-hot') return value;
  if (typeof value === 'number') return requireInteger(value, where, WIDTH);
  throw refused(value, where, `"one-hot" or an integer from ${WIDTH.min} to ${WIDTH.max}`);
}
