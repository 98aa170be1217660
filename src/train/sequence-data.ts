import type { Backend } from '../backend/backend.js';
import { bucketLengths } from '../data/buckets.js';
import { sequenceBatches } from '../data/segments.js';
import type { SequenceBatch, SequenceBatches, SequenceShape, SequenceSource } from '../data/sequences.js';
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

/** Sequences made ready for a training run, shuffled anew in each epoch; whole, or in segments. */
export class SequenceData implements TrainingData<SequenceSource> {
  readonly noun = 'data set';
  readonly characters = [];
  readonly resumeKeys = [...SEQUENCE_MODEL_KEYS, 'segmentLength', 'lossSteps', 'batch', 'optimizer', 'seed'];
  readonly sizeKeys = ['hidden', 'batch'];
  readonly stream: SequenceBatches;
  readonly steps: number;
  readonly loss: LossName;
  readonly largestLoss: number;
  readonly identity: JsonRecord;
  readonly description: JsonRecord;
  readonly #sets: SequenceSets;
  /** As the model sees them. */
  readonly #shape: SequenceShape;

  /**
   * @throws KronogradError DATA when there are too few sequences for one batch, OPTION for a warm-up longer than the
   * run, for epochs of a generator, for a plateau that no validation would show, and for segments
   * or steps of the loss that do not fit.
   */
  constructor(sets: SequenceSets, config: SequenceTrainConfig) {
    const { batch, seed } = config;
    this.#sets = sets;
    if (sets.validation === null) requireNoPlateau(config, 'schedule');
    this.stream = sequenceBatches(sets.training, { batch, shuffle: { seed } }, config);
    const masked = this.stream.shape.masked || (sets.validation?.masked ?? false);
    this.#shape = { ...this.stream.shape, masked };
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
   * attention in both directions, and for a state carried on where it cannot be.
   */
  model(config: SequenceTrainConfig): Model {
    const { network, hidden, layers, bidirectional } = config;
    const { steps, features, target, masked } = this.#shape;
    const targets = { outputs: target.size, perStep: target.perStep, loss: this.loss };
    if (network !== 'feed-forward') {
      const attention = network === 'attention';
      const carried = config.segmentState === 'carried';
      const { contextWindow } = config;
      const sizes = { features, bidirectional, attention, masked, carried, contextWindow };
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
    return this.#shape.steps;
  }

  lengths(): readonly number[] {
    const { steps, masked } = this.#shape;
    return masked ? bucketLengths(steps) : [steps];
  }

  parts(batch: SequenceBatch, length: number) {
    return sequenceParts(batch, this.#shape, length);
  }

  evaluator(backend: Backend, model: Model, config: SequenceTrainConfig): SequenceEvaluator {
    return new SequenceEvaluator(backend, model, config);
  }

  glimpse({ batch }: SequenceTrainConfig): SequenceSource {
    return firstOf(this.#sets.training, batch);
  }
}
