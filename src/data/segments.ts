/** Long sequences in segments (Sherstinsky, eq. 37-77; math.md sections 4 and 11). */
import { KronogradError } from '../errors.js';
import { requireInteger } from '../ranges.js';
import { longestOf } from './buckets.js';
import { LossStepStream, type LossSteps } from './loss-steps.js';
import {
  type SequenceBatch,
  type SequenceBatches,
  type SequenceShape,
  type SequenceSource,
  SequenceStream,
  type SequenceStreamOptions,
} from './sequences.js';

/** K_m, steps of each segment in turn, T together; or one number for all, with what is left over in the last. */
export type SegmentLengths = number | readonly number[];

/**
 * The batches of a stream cut in time: segment after segment of the same r sequences, then of the next. A model that
 * begins each batch with a state of zero sees independent sequences (Sherstinsky's Proposition 1); one that carries
 * its state over, truncated back-propagation through time. Segments shorter than the longest are padded and masked. An
 * input window that looks ahead sees zeros behind a segment's end.
 */
export class SegmentStream implements SequenceBatches {
  readonly shape: SequenceShape;
  readonly batchesPerEpoch: number;
  readonly #sequences: SequenceStream;
  /** Where segments begin, and the end. */
  readonly #cuts: readonly number[];
  /** The batch of whole sequences that was read last. */
  #whole: SequenceBatch | undefined;

  /** @throws KronogradError OPTION for sequences with one target each, and for lengths that do not make up T. */
  constructor(sequences: SequenceStream, lengths: SegmentLengths) {
    const { steps, target, features, masked } = sequences.shape;
    if (!target.perStep)
      throw new KronogradError(
        'OPTION',
        'segments need a target at every step, these sequences have one each',
        {
          where: 'segmentLength',
          fix: 'use whole sequences',
        },
      );
    this.#sequences = sequences;
    this.#cuts = cutsOf(lengths, steps);
    const each = this.#cuts.slice(1).map((end, m) => end - this.#cuts[m]!);
    const longest = Math.max(...each);
    const padded = each.some((length) => length !== longest);
    this.shape = { steps: longest, features, target, masked: masked || padded };
    this.batchesPerEpoch = sequences.batchesPerEpoch * each.length;
  }

  /** As SequenceStream has it. A segment that no sequence reaches has a `targetCount` of 0 and weights of 0. */
  at(position: number): SequenceBatch {
    requireInteger(position, 'position', { min: 0 });
    const segments = this.#cuts.length - 1;
    const segment = position % segments;
    const whole = this.#wholeAt(Math.floor(position / segments));
    const { steps, masked } = this.shape;
    const total = this.#cuts.at(-1)!;
    const [begin, end] = [this.#cuts[segment]!, this.#cuts[segment + 1]!];
    const cut = <Numbers extends Float32Array | Int32Array>(numbers: Numbers): Numbers => {
      const perStep = numbers.length / total;
      const padded = new (numbers.constructor as new (length: number) => Numbers)(steps * perStep);
      padded.set(numbers.subarray(begin * perStep, end * perStep));
      return padded;
    };
    const { batch } = this.#sequences;
    const mask = masked ? cut(whole.mask ?? new Float32Array(total * batch).fill(1)) : undefined;
    const weight = cut(whole.weight);
    const targetCount = weight.reduce((count, each) => (each > 0 ? count + 1 : count), 0);
    return {
      inputs: cut(whole.inputs),
      targets: cut(whole.targets),
      ...(mask === undefined ? {} : { mask }),
      weight: weight.map((each) => (each > 0 ? 1 / targetCount : 0)),
      targetCount,
      count: whole.count,
      longest: mask ? longestOf(mask, batch) : steps,
      resetsState: segment === 0,
      epoch: whole.epoch,
      position,
    };
  }

  /** As SequenceStream has them, but for the segments that no sequence reaches. */
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

  #wholeAt(position: number): SequenceBatch {
    if (this.#whole?.position !== position) this.#whole = this.#sequences.at(position);
    return this.#whole;
  }
}

/** What of its sequences a batch holds, and what of that counts. */
export interface SequenceParts {
  /** 0: whole sequences. */
  readonly segmentLength: SegmentLengths;
  /** All that have a target unless given. */
  readonly lossSteps?: LossSteps;
}

/**
 * A source's batches: of whole sequences, or of segments of them.
 * @throws KronogradError as the streams do, OPTION for steps of the loss in segments, which have steps of their own
 */
export function sequenceBatches(
  source: SequenceSource,
  options: SequenceStreamOptions,
  { segmentLength, lossSteps }: SequenceParts,
): SequenceBatches {
  const sequences = new SequenceStream(source, options);
  if (lossSteps !== undefined && segmentLength !== 0)
    throw new KronogradError('OPTION', 'steps of the loss are counted in whole sequences, not in segments', {
      where: 'lossSteps',
      fix: 'leave out either lossSteps or segmentLength',
    });
  if (segmentLength !== 0) return new SegmentStream(sequences, segmentLength);
  return lossSteps === undefined ? sequences : new LossStepStream(sequences, lossSteps);
}

function cutsOf(lengths: SegmentLengths, steps: number): number[] {
  const where = 'segmentLength';
  if (typeof lengths === 'number') {
    requireInteger(lengths, where, { min: 1, max: steps });
    const count = Math.ceil(steps / lengths);
    return Array.from({ length: count + 1 }, (_, m) => Math.min(m * lengths, steps));
  }
  const cuts = [0];
  for (const [m, length] of lengths.entries())
    cuts.push(cuts.at(-1)! + requireInteger(length, `${where}[${m}]`, { min: 1 }));
  if (cuts.at(-1) === steps) return cuts;
  throw new KronogradError(
    'OPTION',
    `the segments have ${cuts.at(-1)} steps together, the sequences ${steps}`,
    {
      where,
      fix: `give lengths that make up ${steps}, or one length for all`,
    },
  );
}
