/** What a trainer needs to know of what it learns from, be it text or sequences. */
import type { Backend, Numbers, Tensor } from '../backend/backend.js';
import type { JsonRecord } from '../interop/json.js';
import type { Model } from '../model/model.js';
import type { RunConfig } from './run-config.js';

export interface TrainingBatch {
  /** Whether what it holds begins, and does not go on from the batch before: a carried state is reset. */
  readonly resetsState: boolean;
  /** Steps that are no padding of all its sequences; absent: all T. */
  readonly longest?: number;
  /** Which batch this is, counted from 0 over all epochs. */
  readonly position: number;
}

/** Measures the loss of a model on some data, changing nothing. */
export interface DataEvaluator<Part> extends Disposable {
  /** The mean loss under the parameters in `theta`. */
  loss(theta: Tensor, part: Part): Promise<number>;
}

/** Methods take the configuration of their own kind of run; a trainer hands on the one it was made with. */
export interface TrainingData<Part = unknown> {
  /** What errors call it: `text`, `data set`. */
  readonly noun: string;
  /** The number of the run's last step. */
  readonly steps: number;
  readonly stream: {
    readonly batchesPerEpoch: number;
    at(position: number): TrainingBatch;
    batches(start?: number): AsyncIterable<TrainingBatch>;
  };
  /** A loss beyond it means that nothing is being learnt any more. Finite. */
  readonly largestLoss: number;
  /** What is kept for validation; null for nothing. */
  readonly heldOut: Part | null;
  /** What a checkpoint says of the data. A run can only be resumed on data of which it says the same. */
  readonly identity: JsonRecord;
  /** What a checkpoint says beside that. */
  readonly description: JsonRecord;
  /** The characters of a vocabulary, in the order of their ids; none for what is no text. */
  readonly characters: readonly string[];
  /** The keys of a configuration that a resumed run cannot change. */
  readonly resumeKeys: readonly string[];
  /** The keys of those sizes that make a step smaller. */
  readonly sizeKeys: readonly string[];
  model(config: RunConfig): Model;
  /** T: steps in time of a batch. */
  unroll(config: RunConfig): number;
  /** The lengths that batches may be cut to behind their longest sequences, ascending; T is the last of them. */
  lengths(config: RunConfig): readonly number[];
  /** A batch by the names of the model's inputs, its first `length` steps. */
  parts(batch: TrainingBatch, length: number): Readonly<Record<string, Numbers>>;
  evaluator(backend: Backend, model: Model, config: RunConfig): DataEvaluator<Part>;
  /** A little of the training part: what one look at the loss is taken of. */
  glimpse(config: RunConfig): Part;
}

/**
 * Nats beyond which no classifier learns any more: to guess blindly among all characters of Unicode costs 14. An
 * exploding loss often stays below infinity, since every gate is saturated.
 */
export const LARGEST_CROSS_ENTROPY = 10_000;

export type BatchOf<Data extends TrainingData> = ReturnType<Data['stream']['at']>;
export type ConfigOf<Data extends TrainingData> = Parameters<Data['model']>[0];
export type ModelOf<Data extends TrainingData> = ReturnType<Data['model']>;
export type PartOf<Data extends TrainingData> = NonNullable<Data['heldOut']>;
