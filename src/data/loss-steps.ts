/** Which steps of a sequence the loss is a sum over (Naumov, section 4; math.md section 3). */
import { KronogradError } from '../errors.js';
import { requireInteger } from '../ranges.js';
import type { SequenceBatch, SequenceBatches, SequenceShape } from './sequences.js';

/** t = a..tau, counted from 1. */
export type LossSteps = readonly [a: number, tau: number];

/**
 * The batches of a stream with weights of 0 outside of t = a..tau: the loss is the mean over the targets within. A
 * sequence that ends before a does not count, and a batch of none but such is left out.
 */
export class LossStepStream implements SequenceBatches {
  readonly shape: SequenceShape;
  readonly batchesPerEpoch: number;
  readonly #sequences: SequenceBatches;
  readonly #lossSteps: LossSteps;

  /** @throws KronogradError OPTION for sequences with one target each, and unless 1 <= a <= tau <= T. */
  constructor(sequences: SequenceBatches, [a, tau]: LossSteps) {
    const { steps, target } = sequences.shape;
    if (!target.perStep)
      throw new KronogradError('OPTION', 'the loss of one target for a whole sequence is no sum over steps', {
        where: 'lossSteps',
        fix: 'leave it out, or give a target at every step',
      });
    requireInteger(tau, 'lossSteps[1]', { min: 1, max: steps });
    requireInteger(a, 'lossSteps[0]', { min: 1, max: tau });
    this.shape = sequences.shape;
    this.batchesPerEpoch = sequences.batchesPerEpoch;
    this.#sequences = sequences;
    this.#lossSteps = [a, tau];
  }

  /** As the stream has it; a `targetCount` of 0 and weights of 0 where no sequence has a target within. */
  at(position: number): SequenceBatch {
    const whole = this.#sequences.at(position);
    const [a, tau] = this.#lossSteps;
    const r = whole.weight.length / this.shape.steps;
    const counts = whole.weight.map((each, index) => {
      const t = Math.floor(index / r) + 1;
      return each > 0 && t >= a && t <= tau ? 1 : 0;
    });
    const targetCount = counts.reduce((sum, each) => sum + each, 0);
    return { ...whole, weight: counts.map((each) => (each > 0 ? 1 / targetCount : 0)), targetCount };
  }

  async *batches(start = 0, end = Number.POSITIVE_INFINITY): AsyncGenerator<SequenceBatch, void, undefined> {
    requireInteger(start, 'start', { min: 0 });
    for (let position = start; position < end; position += 1) {
      const batch = this.at(position);
      if (batch.targetCount > 0) yield batch;
    }
  }

  epoch(): AsyncGenerator<SequenceBatch, void, undefined> {
    return this.batches(0, this.batchesPerEpoch);
  }
}
