/** How a run makes its steps: in one program each, or by several that wait for one another. */
import type { Tensor } from '../backend/backend.js';
import type { TensorMap } from '../interop/safetensors.js';
import type { Model } from '../model/model.js';
import type { StepMetrics } from './trainer.js';
import type { TrainingBatch } from './training-data.js';

/** Owns the parameters and whatever else steps change. */
export interface TrainingSteps extends Disposable {
  readonly model: Model;
  /** [parameters.size] */
  readonly theta: Tensor;
  /** The optimizer's name. */
  readonly optimizer: string;
  /** Of a step of all T steps in time, where every step is the same; null where the numbers decide what it takes. */
  readonly cost: { readonly arenaBytes: number; readonly dispatches: number } | null;
  /** Compiles, once, what steps on batches of so many steps in time take. @throws KronogradError MEMORY */
  prepare(length: number): Promise<void>;
  /** The step of this number, counted from 1. With a cost it is queued when the call returns. */
  step(batch: TrainingBatch, step: number, learningRate: number): Promise<void>;
  /** What was measured in steps first .. last, all of them among the last RING_LENGTH. */
  losses(first: number, last: number): Promise<StepMetrics[]>;
  /** What the optimizer keeps between steps. */
  memory(): Promise<TensorMap>;
  /** The carried state; a part that is not there is zero. */
  state(): Promise<TensorMap>;
  /** Goes on from both. @throws KronogradError CHECKPOINT for what is not of this optimizer and model */
  restore(memory: TensorMap, state: TensorMap, where: string): void;
}

/** Measurements are kept for so many steps before they are written over. */
export const RING_LENGTH = 64;
