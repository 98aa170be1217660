/** Optimizers that drive several programs in a step, and decide by the numbers that come back how to go on. */
import type { Numbers } from '../backend/backend.js';
import type { CurvatureBatch } from '../curvature/batch-products.js';

/** What it changes, theta, it is given when it is made. */
export interface SecondOrderOptimizer extends Disposable {
  readonly name: string;
  /** One update of theta, in place, by a batch. Steps do not overlap. */
  step(batch: CurvatureBatch): Promise<SecondOrderStep>;
  /** What it keeps between steps: all that it takes, besides theta, to go on to the same bits. */
  memory(): Promise<Record<string, Numbers>>;
  /** Goes on from what `memory` gave. `where` names its origin in errors. @throws KronogradError CHECKPOINT */
  restore(memory: Readonly<Record<string, Numbers>>, where: string): void;
}

export interface SecondOrderStep {
  /** Of the batch, before the update. */
  readonly loss: number;
  /** Of its gradient. */
  readonly gradientNorm: number;
  /** The state behind the batch, under the parameters before the update. */
  readonly state: Readonly<Record<string, Numbers>>;
}
