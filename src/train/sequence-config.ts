import { requireBoolean, requireChoice } from '../ranges.js';
import {
  type Checks,
  type ConfigInput,
  RUN_CHECKS,
  RUN_DEFAULTS,
  type RunConfig,
  resolveConfig,
} from './run-config.js';

export const NETWORKS = ['recurrent', 'attention', 'feed-forward'] as const;

/** What a training run on sequences is made of. Plain JSON. */
export interface SequenceTrainConfig extends RunConfig {
  /**
   * Recurrent layers of the cell, without or with attention to all steps so far, or a feed-forward network of as many
   * tanh layers that sees all steps at once.
   */
  readonly network: (typeof NETWORKS)[number];
  /** Whether recurrent layers run in both directions of time. */
  readonly bidirectional: boolean;
}

/** Any part of a configuration, not validated yet. */
export type SequenceTrainConfigInput = ConfigInput<SequenceTrainConfig>;

/** What holds where nothing is given. */
export const SEQUENCE_DEFAULTS: SequenceTrainConfig = {
  ...RUN_DEFAULTS,
  hidden: 32,
  clip: 1,
  network: 'recurrent',
  bidirectional: false,
};

/** The keys that make the model what it is. */
export const SEQUENCE_MODEL_KEYS = [
  'network',
  'cell',
  'heads',
  'hidden',
  'layers',
  'bidirectional',
] as const satisfies (keyof SequenceTrainConfig)[];

const CHECKS: Checks<SequenceTrainConfig> = {
  ...RUN_CHECKS,
  network: (value, where) => requireChoice(value, where, NETWORKS),
  bidirectional: requireBoolean,
};

/** As `resolveTrainConfig`, for runs on sequences. @throws KronogradError OPTION */
export const resolveSequenceConfig = (
  values: SequenceTrainConfigInput,
  where: (key: string) => string = (key) => key,
): SequenceTrainConfig => resolveConfig(values, { checks: CHECKS, defaults: SEQUENCE_DEFAULTS }, where);
