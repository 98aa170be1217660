import { cellNamed, cells } from '../cells/index.js';
import { KronogradError } from '../errors.js';
import type { RecurrentOptions } from '../model/recurrent.js';
import { FIRST_ORDER, SECOND_ORDER } from '../optim/index.js';
import {
  refused,
  requireBoolean,
  requireChoice,
  requireInteger,
  requireNumber,
  requireText,
} from '../ranges.js';
import { type ParameterGroup, requireGroups } from './parameter-groups.js';
import { requireOneFunction } from './second-order-config.js';
import { PRECISIONS, type Precision } from './step-program.js';

export const CELLS = Object.keys(cells);
export const OPTIMIZERS = [...FIRST_ORDER, ...SECOND_ORDER] as const;
export const SCHEDULES = ['constant', 'step', 'cosine', 'plateau'] as const;
export const BACKENDS = ['auto', 'webgpu', 'cpu'] as const;

/** What every training run has, whatever it learns from. Plain JSON. */
export interface RunConfig {
  /** The recurrent cell, by its name in `src/cells/index.ts`. */
  readonly cell: string;
  /** Heads of `multi-head-lstm`; without it, as many as the cell has by itself. */
  readonly heads?: number;
  /** Units of each layer. */
  readonly hidden: number;
  /** Features that each layer's output is projected to, with `lstm` and `augmented-lstm`; without it, none. */
  readonly projection?: number;
  /** Recurrent layers, stacked. */
  readonly layers: number;
  /** r: how many sequences, or places of a text, are read side by side. */
  readonly batch: number;
  /** How many updates to make. Exactly one of `steps` and `epochs` is set. */
  readonly steps?: number;
  /** How many passes over the training data to make. */
  readonly epochs?: number;
  /** The largest learning rate. */
  readonly lr: number;
  /** The global norm that gradients are clipped to; 0 for no clipping. */
  readonly clip: number;
  /** What each element of the gradient is limited to, after `clip`; 0 for no limit. */
  readonly clipValue: number;
  /** What the derivatives by the cells' accumulations are limited to inside BPTT, at each step; 0 for no limit. */
  readonly clipAccumulations: number;
  /**
   * Whether BPTT computes the steps of recurrent layers again instead of storing what it needs of them: memory for about
   * sqrt(T) steps, for about a forward pass more. Without it, only where storing does not fit the device.
   */
  readonly recompute?: boolean;
  /**
   * `mixed`: products of 16-bit floats, added up in float32, with dynamic loss scaling. Parameters, the optimizer's memory
   * and all other arithmetic stay in float32.
   */
  readonly precision: Precision;
  /** The probability that a unit between two layers is dropped in training. */
  readonly dropout: number;
  /** The share of h' that the products of a sequence's steps do not see in training, the same at each step. */
  readonly recurrentDropout: number;
  /** The probability that a unit of the state keeps its value over a step of training. */
  readonly zoneout: number;
  /** Those of second order (`hf`, `lbfgs`, `kfac`) find the length of a step themselves: no learning rate or clipping is for them. */
  readonly optimizer: (typeof OPTIMIZERS)[number];
  /** lambda of second-order optimizers at the beginning: what is added to the diagonal of the curvature. */
  readonly damping: number;
  /** mu of `hf`: how much a change of hidden states counts, beside lambda; 0 for nothing. */
  readonly structuralDamping: number;
  /** Samples of a batch that `hf` takes the curvature on; 0 for all. */
  readonly curvatureBatch: number;
  /** The most iterations of conjugate gradients in a step of `hf`. */
  readonly cgIterations: number;
  /** The weights' decay: with `adamw` decoupled from the gradient, with the others an L2 penalty. */
  readonly weightDecay: number;
  /** Parameters with a learning rate or a weight decay of their own; [{ "vectors": true, "weightDecay": 0 }] leaves biases. */
  readonly groups: readonly ParameterGroup[];
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
  /** Validate after every so many steps. */
  readonly evaluateEvery: number;
  /** Stop after so many validations in a row without a new best one; 0 never stops early. */
  readonly patience: number;
  /** Save a checkpoint after every so many steps. */
  readonly saveEvery: number;
  /** The folder of the run's checkpoints. */
  readonly out: string;
}

/** What holds where nothing is given; a kind of run may have other defaults. */
export const RUN_DEFAULTS: RunConfig = {
  cell: 'lstm',
  hidden: 128,
  layers: 1,
  batch: 32,
  steps: 1000,
  lr: 0.002,
  clip: 5,
  clipValue: 0,
  clipAccumulations: 0,
  precision: 'float32',
  dropout: 0,
  recurrentDropout: 0,
  zoneout: 0,
  optimizer: 'adam',
  damping: 0.1,
  structuralDamping: 0,
  curvatureBatch: 0,
  cgIterations: 250,
  weightDecay: 0,
  groups: [],
  schedule: 'cosine',
  plateauFactor: 0.1,
  plateauPatience: 2,
  warmup: 0,
  seed: 1,
  backend: 'auto',
  evaluateEvery: 250,
  patience: 0,
  saveEvery: 250,
  out: 'runs/latest',
};

/** Sizes beyond these are slips of the pen; what really fits depends on the device and is checked there. */
export const WIDTH = { min: 1, max: 32_768 };
const LAYERS = { min: 1, max: 64 };
export const LENGTH = { min: 1, max: 65_536 };
const COUNT = { min: 1, max: 1_000_000_000 };
const COUNT_OR_ZERO = { min: 0, max: COUNT.max };

export type Check<Value> = (value: unknown, where: string) => Value;

export const integer =
  (range: { min: number; max: number }): Check<number> =>
  (value, where) =>
    requireInteger(value, where, range);

/** A check for each key of a configuration. */
export type Checks<Config> = { readonly [Key in keyof Config]-?: Check<NonNullable<Config[Key]>> };

export const RUN_CHECKS: Checks<RunConfig> = {
  cell: (value, where) => requireChoice(value, where, CELLS),
  heads: integer(WIDTH),
  hidden: integer(WIDTH),
  projection: integer(WIDTH),
  layers: integer(LAYERS),
  batch: integer(LENGTH),
  steps: integer(COUNT),
  epochs: integer({ min: 1, max: 1_000_000 }),
  lr: (value, where) => requireNumber(value, where, { above: 0 }),
  clip: (value, where) => requireNumber(value, where, { min: 0, max: 1e6 }),
  clipValue: (value, where) => requireNumber(value, where, { min: 0, max: 1e6 }),
  clipAccumulations: (value, where) => requireNumber(value, where, { min: 0, max: 1e6 }),
  recompute: requireBoolean,
  precision: (value, where) => requireChoice(value, where, PRECISIONS),
  dropout: requireShare,
  recurrentDropout: requireShare,
  zoneout: requireShare,
  optimizer: (value, where) => requireChoice(value, where, OPTIMIZERS),
  damping: (value, where) => requireNumber(value, where, { above: 0, max: 1e6 }),
  structuralDamping: (value, where) => requireNumber(value, where, { min: 0, max: 1e6 }),
  curvatureBatch: integer({ min: 0, max: LENGTH.max }),
  cgIterations: integer({ min: 1, max: 100_000 }),
  weightDecay: (value, where) => requireNumber(value, where, { min: 0, max: 1 }),
  groups: requireGroups,
  schedule: (value, where) => requireChoice(value, where, SCHEDULES),
  plateauFactor: (value, where) => requireNumber(value, where, { above: 0, below: 1 }),
  plateauPatience: integer(COUNT_OR_ZERO),
  warmup: integer(COUNT_OR_ZERO),
  seed: integer({ min: 0, max: 2 ** 32 - 1 }),
  backend: (value, where) => requireChoice(value, where, BACKENDS),
  evaluateEvery: integer(COUNT),
  patience: integer(COUNT_OR_ZERO),
  saveEvery: integer(COUNT),
  out: requireText,
};

/** Any part of a configuration, not validated yet. */
export type ConfigInput<Config> = { readonly [Key in keyof Config]?: unknown };

/**
 * The whole configuration that the values mean, with defaults where they are undefined. Throws OPTION for an
 * unknown key and for a value that its key does not take. `where` gives a key's name in errors, for example
 * `--hidden`.
 */
export function resolveConfig<Config extends RunConfig>(
  values: ConfigInput<Config>,
  { checks, defaults }: { readonly checks: Checks<Config>; readonly defaults: Config },
  where: (key: string) => string,
): Config {
  const keys = Object.keys(checks) as (keyof Config & string)[];
  requireKnownKeys(values, keys, where);
  const given = keys.filter((key) => values[key] !== undefined);
  const checked: Partial<RunConfig> = Object.fromEntries(
    given.map((key) => [key, checks[key](values[key], where(key))]),
  );
  if (checked.steps !== undefined && checked.epochs !== undefined) {
    throw new KronogradError('OPTION', `${where('steps')} and ${where('epochs')} exclude each other`, {
      where: where('epochs'),
      fix: 'give only one of the two',
    });
  }
  const { steps, ...rest } = defaults;
  const length = checked.epochs === undefined ? { steps } : {};
  const config = { ...rest, ...length, ...checked } as Config;
  if (config.steps !== undefined && config.warmup >= config.steps) {
    throw refused(config.warmup, where('warmup'), `an integer below the number of steps, ${config.steps}`);
  }
  if (config.heads !== undefined) cellNamed(config.cell, config);
  requireOneFunction(config, where);
  return config;
}

/** The part of a configuration that makes the recurrent layers what they are. */
export function recurrentOptions(config: RunConfig): RecurrentOptions {
  const { cell, heads, hidden, projection, layers } = config;
  const { recurrentDropout, zoneout, clipAccumulations, recompute } = config;
  const sizes = { hidden, layers, ...(projection && { projection }) };
  return { cell, heads, ...sizes, recurrentDropout, zoneout, clipAccumulations, recompute };
}

/** For runs without validation. @throws KronogradError OPTION */
export function requireNoPlateau({ schedule }: RunConfig, where: string): void {
  if (schedule !== 'plateau') return;
  throw new KronogradError('OPTION', 'there is no plateau to see without validation', {
    where,
    fix: 'keep a part for validation, or choose another schedule',
  });
}

/**
 * How many steps a run has whose data has so many batches an epoch.
 * @throws KronogradError OPTION for epochs of data without an end, and for a warm-up longer than the run.
 */
export function stepsOf({ steps, epochs, warmup }: RunConfig, batchesPerEpoch: number): number {
  const total = steps ?? epochs! * batchesPerEpoch;
  if (total === Number.POSITIVE_INFINITY)
    throw new KronogradError('OPTION', 'a generator has no epochs: there is always more of it', {
      where: 'epochs',
      fix: 'give the number of steps instead',
    });
  if (warmup >= total) throw refused(warmup, 'warmup', `an integer below the number of steps, ${total}`);
  return total;
}

function requireShare(value: unknown, where: string): number {
  return requireNumber(value, where, { min: 0, below: 1 });
}

function requireKnownKeys(values: object, keys: readonly string[], where: (key: string) => string): void {
  const unknown = Object.keys(values).filter((key) => !keys.includes(key));
  if (unknown.length === 0) return;
  const names = unknown.map((key) => JSON.stringify(key)).join(', ');
  throw new KronogradError('OPTION', `unknown ${unknown.length === 1 ? 'key' : 'keys'} ${names}`, {
    where: unknown.map(where).join(', '),
    fix: `use only ${keys.join(', ')}`,
  });
}
