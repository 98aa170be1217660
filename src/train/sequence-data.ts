import type { Backend } from '../backend/backend.js';
import { type SequenceBatch, type SequenceSource, SequenceStream } from '../data/sequences.js';
import { KronogradError } from '../errors.js';
import type { JsonRecord } from '../interop/json.js';
import { FeedForwardModel } from '../model/feedforward-model.js';
import type { LossName } from '../model/losses.js';
import type { Model } from '../model/model.js';
import { SequenceModel } from '../model/sequence-model.js';
import { recurrentOptions, requireNoPlateau, stepsOf } from './run-config.js';
import { SEQUENCE_MODEL_KEYS, type SequenceTrainConfig } from './sequence-config.js';
import { SequenceEvaluator } from './sequence-evaluator.js';
import { firstOf, sequenceParts } from './sequence-parts.js';
import { LARGEST_CROSS_ENTROPY, type TrainingData } from './training-data.js';

export interface SequenceSets {
  readonly training: SequenceSource;
  /** Finite; null for none. */
  readonly validation: SequenceSource | null;
  /** By default the mean squared error of values and the softmax cross-entropy of classes. */
  readonly loss?: LossName;
  /** What tells this data from other data: a name and sizes, or a digest. */
  readonly identity: JsonRecord;
  /** What a checkpoint shall keep beside that: the standardisation, for one. */
  readonly description?: JsonRecord;
}

/** Sequences made ready for a training run: shuffled anew in each epoch, each beginning with a state of zero. */
export class SequenceData implements TrainingData<SequenceSource> {
  readonly noun = 'data set';
  readonly characters = [];
  readonly resumeKeys = [...SEQUENCE_MODEL_KEYS, 'batch', 'optimizer', 'seed'];
  readonly sizeKeys = ['hidden', 'batch'];
  readonly stream: SequenceStream;
  readonly steps: number;
  readonly loss: LossName;
  readonly largestLoss: number;
  readonly identity: JsonRecord;
  readonly description: JsonRecord;
  readonly #sets: SequenceSets;

  /**
   * @throws KronogradError DATA when there are too few sequences for one batch, OPTION for a warm-up longer than the
   * run, for epochs of a generator, and for a plateau that no validation would show.
   */
  constructor(sets: SequenceSets, config: SequenceTrainConfig) {
    const { batch, seed } = config;
    this.#sets = sets;
    if (sets.validation === null) requireNoPlateau(config, 'schedule');
    this.stream = new SequenceStream(sets.training, { batch, shuffle: { seed } });
    this.steps = stepsOf(config, this.stream.batchesPerEpoch);
    this.loss =
      sets.loss ?? (sets.training.target.kind === 'values' ? 'mean-squared-error' : 'softmax-cross-entropy');
    // The squares of values may be of any size.
    this.largestLoss = this.loss.endsWith('cross-entropy') ? LARGEST_CROSS_ENTROPY : Number.MAX_VALUE;
    this.identity = { data: JSON.stringify(sets.identity) };
    this.description = sets.description ?? {};
  }

  get heldOut(): SequenceSource | null {
    return this.#sets.validation;
  }

  /**
   * @throws KronogradError OPTION for a feed-forward network on targets at every step, or lengths that vary, and for
   * attention in both directions.
   */
  model(config: SequenceTrainConfig): Model {
    const { network, hidden, layers, bidirectional } = config;
    const { steps, features, target, masked } = this.#sets.training;
    const targets = { outputs: target.size, perStep: target.perStep, loss: this.loss };
    if (network !== 'feed-forward') {
      const attention = network === 'attention';
      const sizes = { features, bidirectional, attention, masked };
      return new SequenceModel({ ...recurrentOptions(config), ...sizes, ...targets });
    }
    if (masked)
      throw new KronogradError('OPTION', 'a feed-forward network takes sequences of one length only', {
        where: 'network',
        fix: 'use the recurrent network',
      });
    const sizes = Array.from({ length: layers }, () => hidden);
    return new FeedForwardModel({ steps, features, hidden: sizes, activation: 'tanh', ...targets });
  }

  unroll(): number {
    return this.#sets.training.steps;
  }

  parts(batch: SequenceBatch) {
    return sequenceParts(batch);
  }

  evaluator(backend: Backend, model: Model, { batch }: SequenceTrainConfig): SequenceEvaluator {
    return new SequenceEvaluator(backend, model, batch);
  }

  glimpse({ batch }: SequenceTrainConfig): SequenceSource {
    return firstOf(this.#sets.training, batch);
  }
}
