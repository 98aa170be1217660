import { KronogradError } from '../errors.js';
import { type Checkpoint, requireSameConfig } from './checkpoint.js';
import { RUN_DEFAULTS, type RunConfig } from './run-config.js';
import type { TrainingData } from './training-data.js';

/**
 * Checks that a run with this configuration, on this data, continues the saved one.
 * @throws KronogradError CHECKPOINT
 */
export function requireContinuation(
  checkpoint: Checkpoint,
  config: RunConfig,
  { identity, noun, resumeKeys }: TrainingData,
  where: string,
): void {
  // What was saved before there was a choice is of float32.
  const saved = { precision: RUN_DEFAULTS.precision, ...checkpoint.config };
  requireSameConfig(saved, { ...config }, [...resumeKeys, 'precision'], where);
  const same = Object.entries(identity).every(([key, value]) => checkpoint.config[key] === value);
  if (!same)
    throw new KronogradError('CHECKPOINT', `the checkpoint is of another ${noun}`, {
      where,
      fix: `resume with the ${noun} that the run began with, or train into another folder`,
    });
}
