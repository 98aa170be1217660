import { attentionRnn } from '../cells/attention-rnn.js';
import type { LossSteps } from '../data/loss-steps.js';
import type { SegmentLengths } from '../data/segments.js';
import { refused, requireBoolean, requireChoice, requireInteger } from '../ranges.js';
import {
  type Checks,
  type ConfigInput,
  integer,
  LENGTH,
  RUN_CHECKS,
  RUN_DEFAULTS,
  type RunConfig,
  resolveConfig,
} from './run-config.js';

export const SEGMENT_STATES = ['zero', 'carried'] as const;
export const NETWORKS = ['recurrent', 'attention', 'feed-forward'] as const;

/** What a training run on sequences is made of. Plain JSON. */
export interface SequenceTrainConfig extends RunConfig {
  /**
   * Recurrent layers of the cell, without or with attention to all steps so far, or a feed-forward network of as many
   * tanh layers that sees all steps at once. With the cell `attention-rnn`, attention unless given.
   */
  readonly network: (typeof NETWORKS)[number];
  /** Whether recurrent layers run in both directions of time. */
  readonly bidirectional: boolean;
  /** L of `augmented-lstm`: a step sees its input and the L - 1 that follow; without it, 1. */
  readonly contextWindow?: number;
  /** Steps of the segments that sequences are cut into, one number for all or one for each; 0 for whole sequences. */
  readonly segmentLength: SegmentLengths;
  /** What a segment begins with: a state of zero, or the one that the segment before has left. */
  readonly segmentState: (typeof SEGMENT_STATES)[number];
  /** t = a..tau, the steps that the loss is a sum over, counted from 1; without it, all. */
  readonly lossSteps?: LossSteps;
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
  segmentLength: 0,
  segmentState: 'zero',
};

/** The keys that make the model what it is. */
export const SEQUENCE_MODEL_KEYS = [
  'network',
  'cell',
  'heads',
  'hidden',
  'projection',
  'contextWindow',
  'layers',
  'bidirectional',
  'segmentState',
] as const satisfies (keyof SequenceTrainConfig)[];

const CHECKS: Checks<SequenceTrainConfig> = {
  ...RUN_CHECKS,
  network: (value, where) => requireChoice(value, where, NETWORKS),
  bidirectional: requireBoolean,
  contextWindow: integer(LENGTH),
  segmentLength: requireSegmentLength,
  segmentState: (value, where) => requireChoice(value, where, SEGMENT_STATES),
  lossSteps: requireLossSteps,
};

function requireSegmentLength(value: unknown, where: string): SegmentLengths {
  if (!Array.isArray(value)) return requireInteger(value, where, { ...LENGTH, min: 0 });
  if (value.length === 0) throw refused(value, where, 'at least one length');
  return value.map((each, m) => requireInteger(each, `${where}[${m}]`, LENGTH));
}

function requireLossSteps(value: unknown, where: string): LossSteps {
  if (!Array.isArray(value) || value.length !== 2) throw refused(value, where, 'the first step and the last');
  const tau = requireInteger(value[1], `${where}[1]`, LENGTH);
  return [requireInteger(value[0], `${where}[0]`, { min: 1, max: tau }), tau];
}

/** As `resolveTrainConfig`, for runs on sequences. @throws KronogradError OPTION */
export const resolveSequenceConfig = (
  values: SequenceTrainConfigInput,
  where: (key: string) => string = (key) => key,
): SequenceTrainConfig => {
  const network = values.cell === attentionRnn.name ? 'attention' : SEQUENCE_DEFAULTS.network;
  return resolveConfig(values, { checks: CHECKS, defaults: { ...SEQUENCE_DEFAULTS, network } }, where);
};
