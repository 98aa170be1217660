import { TextStream } from '../data/batches.js';
import { splitByPosition } from '../data/split.js';
import { Vocabulary } from '../data/text.js';
import { refused } from '../ranges.js';
import { sha256 } from './checkpoint.js';
import type { TrainConfig } from './config.js';

/** A text made ready for a training run. */
export interface TextData {
  readonly vocabulary: Vocabulary;
  /** Ids of the part that is trained on. */
  readonly training: Int32Array;
  /** The same as batches. */
  readonly stream: TextStream;
  /** Ids of the part that is kept for validation; empty for none. */
  readonly validation: Int32Array;
  /** The number of the run's last step. */
  readonly steps: number;
  /** SHA-256 of the text: a run can only be resumed on the text it began with. */
  readonly sha256: string;
}

/**
 * Numbers the characters of a text, splits it and cuts it into batches.
 * @throws KronogradError TEXT when it is too short for the configuration, OPTION for a warm-up longer than the run.
 */
export async function prepareText(text: string, config: TrainConfig): Promise<TextData> {
  const vocabulary = Vocabulary.fromText(text);
  const { training, validation } = splitByPosition(vocabulary.encode(text), config.validationFraction);
  const stream = new TextStream(training, config);
  const steps = config.steps ?? config.epochs! * stream.batchesPerEpoch;
  if (config.warmup >= steps)
    throw refused(config.warmup, 'warmup', `an integer below the number of steps, ${steps}`);
  const digest = await sha256(new TextEncoder().encode(text));
  return { vocabulary, training, stream, validation, steps, sha256: digest };
}
