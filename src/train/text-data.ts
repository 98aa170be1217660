import type { Backend } from '../backend/backend.js';
import { type TextBatch, TextStream } from '../data/batches.js';
import { splitByPosition } from '../data/split.js';
import { Vocabulary } from '../data/text.js';
import type { JsonRecord } from '../interop/json.js';
import type { LanguageModel } from '../model/language-model.js';
import { sha256 } from './checkpoint.js';
import { MODEL_KEYS, type TrainConfig } from './config.js';
import { Evaluator } from './evaluator.js';
import { stepsOf } from './run-config.js';
import { LARGEST_CROSS_ENTROPY, type TrainingData } from './training-data.js';
import { languageModel } from './weights.js';

/** A text made ready for a training run. */
export class TextData implements TrainingData<Int32Array> {
  readonly noun = 'text';
  readonly largestLoss = LARGEST_CROSS_ENTROPY;
  readonly description = {};
  readonly resumeKeys = [...MODEL_KEYS, 'batch', 'unroll', 'optimizer', 'seed', 'validationFraction'];
  readonly sizeKeys = ['hidden', 'batch', 'unroll'];

  constructor(
    readonly vocabulary: Vocabulary,
    /** Ids of the part that is trained on. */
    readonly training: Int32Array,
    /** The same as batches. */
    readonly stream: TextStream,
    /** Ids of the part that is kept for validation; empty for none. */
    readonly validation: Int32Array,
    readonly steps: number,
    /** SHA-256 of the text: a run can only be resumed on the text it began with. */
    readonly sha256: string,
  ) {}

  get heldOut(): Int32Array | null {
    return this.validation.length === 0 ? null : this.validation;
  }

  get identity(): JsonRecord {
    return { textSha256: this.sha256 };
  }

  get characters(): readonly string[] {
    return this.vocabulary.characters;
  }

  model(config: TrainConfig): LanguageModel {
    return languageModel(config, this.vocabulary);
  }

  unroll(config: TrainConfig): number {
    return config.unroll;
  }

  lengths({ unroll }: TrainConfig): readonly number[] {
    return [unroll];
  }

  parts({ inputs, targets }: TextBatch) {
    return { characters: inputs, targets };
  }

  evaluator(backend: Backend, model: LanguageModel, config: TrainConfig): Evaluator {
    return new Evaluator(backend, model, config);
  }

  glimpse({ unroll }: TrainConfig): Int32Array {
    return this.training.subarray(0, unroll + 1);
  }
}

/**
 * Numbers the characters of a text, splits it and cuts it into batches.
 * @throws KronogradError TEXT when it is too short for the configuration, OPTION for a warm-up longer than the run.
 */
export async function prepareText(text: string, config: TrainConfig): Promise<TextData> {
  const vocabulary = Vocabulary.fromText(text);
  const { training, validation } = splitByPosition(vocabulary.encode(text), config.validationFraction);
  const stream = new TextStream(training, config);
  const steps = stepsOf(config, stream.batchesPerEpoch);
  const digest = await sha256(new TextEncoder().encode(text));
  return new TextData(vocabulary, training, stream, validation, steps, digest);
}
