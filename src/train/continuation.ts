import { KronogradError } from '../errors.js';
import { type Checkpoint, requireSameConfig } from './checkpoint.js';
import { MODEL_KEYS, type TrainConfig } from './config.js';

/** What must be the same for a resumed run to continue the one that was saved. */
const RESUME_KEYS = [
  ...MODEL_KEYS,
  'batch',
  'unroll',
  'optimizer',
  'seed',
  'validationFraction',
] as const satisfies (keyof TrainConfig)[];

/**
 * Checks that a run with this configuration, on the text with this digest, continues the saved one.
 * @throws KronogradError CHECKPOINT
 */
export function requireContinuation(
  checkpoint: Checkpoint,
  config: TrainConfig,
  textDigest: string,
  where: string,
): void {
  requireSameConfig(checkpoint.config, { ...config }, RESUME_KEYS, where);
  if (checkpoint.config.textSha256 !== textDigest)
    throw new KronogradError('CHECKPOINT', 'the checkpoint is of another text', {
      where,
      fix: 'resume with the text that the run began with, or train into another folder',
    });
}
