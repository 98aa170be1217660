/** Sequences as batches: whatever a sequence comes from, a model sees time-major inputs, targets and a mask. */
import { KronogradError } from '../errors.js';
import { requireInteger } from '../ranges.js';
import { requireLength } from './masks.js';
import { CounterRandom } from './random.js';
import { requireSound } from './sound.js';

/** Streams of a seed for what data draws, beside those of a training run. */
export const DATA_STREAMS = { shuffle: 64, tasks: 65, traffic: 66 } as const;

/** What the targets of a sequence are. */
export interface TargetSpec {
  /** Numbers to hit, or the id of one of `size` classes. */
  readonly kind: 'values' | 'classes';
  /** c: how many numbers, or how many classes there are. */
  readonly size: number;
  /** Whether every step has a target, or the sequence has one. */
  readonly perStep: boolean;
}

/** Where an example of a batch goes: place `place` of `batch` in time-major arrays. */
export interface Slot {
  /** [T, r, f] */
  readonly inputs: Float32Array;
  /** As in SequenceBatch. */
  readonly targets: Float32Array | Int32Array;
  /** [T, r], all 1; only for a source whose sequences end early. */
  readonly mask: Float32Array | undefined;
  readonly place: number;
  readonly batch: number;
}

/** What a model has to know of the sequences it sees. */
export interface SequenceShape {
  /** T */
  readonly steps: number;
  /** f */
  readonly features: number;
  readonly target: TargetSpec;
  /** Whether sequences may be shorter than T. */
  readonly masked: boolean;
}

/** Examples by number: the same number gives the same example, for ever. */
export interface SequenceSource extends SequenceShape {
  /** How many there are; Infinity for a generator. */
  readonly count: number;
  /** Writes an example into a batch whose numbers are all 0, and its mask all 1. */
  write(index: number, slot: Slot): void;
}

export interface SequenceBatch {
  /** [T, r, f]: element (t, s, j) is at index (t * r + s) * f + j. */
  readonly inputs: Float32Array;
  /**
   * Values [r, c] and class ids [r], or [T, r, c] and [T, r] where every step has a target. A step that the mask
   * leaves out has zeros.
   */
  readonly targets: Float32Array | Int32Array;
  /** [T, r]: 1 up to a sequence's end, 0 after it; left out when every sequence has T steps. */
  readonly mask?: Float32Array;
  /**
   * What each target counts in the mean over all that count: [r], or [T, r] where every step has a target. 0 past a
   * sequence's end and for sequences that are not real.
   */
  readonly weight: Float32Array;
  /** How many targets count: to average the losses of batches, weigh them by it. */
  readonly targetCount: number;
  /**
   * How many of the r sequences are real: the rest, at the end of an evaluation, repeat the last real one and must
   * not count. Always r in training.
   */
  readonly count: number;
  /** Steps up to the end of the longest sequence: all T, or fewer. */
  readonly longest: number;
  /** Whether its sequences begin, and do not go on from the batch before: false only within segments (SegmentStream). */
  readonly resetsState: boolean;
  readonly epoch: number;
  /** Which batch this is, counted from 0 over all epochs. To resume after it, start at `position + 1`. */
  readonly position: number;
}

export interface SequenceStreamOptions {
  /** r: how many sequences one batch holds. */
  readonly batch: number;
  /** Another order in each epoch, decided by this seed; without one, the source's own order. */
  readonly shuffle?: { readonly seed: number };
  /**
   * What becomes of the fewer than r sequences left at the end of an epoch: dropped (the default, for training; a
   * shuffled epoch drops others each time) or kept in a last batch that is filled up (for evaluation).
   */
  readonly remainder?: 'drop' | 'keep';
}

/** Batches by position, epoch after epoch. */
export interface SequenceBatches {
  /** Of what is in a batch. */
  readonly shape: SequenceShape;
  /** Infinity for a generator. */
  readonly batchesPerEpoch: number;
  /**
   * The batch at a position. Throws OPTION unless it is an integer of at least 0, DATA for what is not finite, no class
   * or no mask of right-padded sequences.
   */
  at(position: number): SequenceBatch;
  /** The batches at positions `start` .. `end - 1`; without an end, epoch after epoch for ever. */
  batches(start?: number, end?: number): AsyncGenerator<SequenceBatch, void, undefined>;
  /** One pass over the source, for evaluation; endless for a generator. */
  epoch(): AsyncGenerator<SequenceBatch, void, undefined>;
}

/**
 * A source's sequences as batches, epoch after epoch. A batch depends on its position alone: the stream can be
 * entered anywhere. A generator's stream is one endless epoch.
 */
export class SequenceStream implements SequenceBatches {
  readonly source: SequenceSource;
  readonly batch: number;
  readonly batchesPerEpoch: number;
  readonly #seed: number | undefined;
  /** The order of the epoch that was read last. */
  #order: { readonly epoch: number; readonly indices: Int32Array } | undefined;

  /** Throws OPTION for a bad size or seed, DATA when the source has too few sequences for one batch. */
  constructor(source: SequenceSource, options: SequenceStreamOptions) {
    const { batch, shuffle, remainder = 'drop' } = options;
    this.source = source;
    this.batch = requireInteger(batch, 'batch', { min: 1 });
    this.#seed = shuffle && requireInteger(shuffle.seed, 'seed', { min: 0, max: 2 ** 32 - 1 });
    const batches = source.count / batch;
    this.batchesPerEpoch = remainder === 'keep' ? Math.ceil(batches) : Math.floor(batches);
    if (this.batchesPerEpoch === 0) {
      throw new KronogradError(
        'DATA',
        `a batch takes ${batch} sequences, there ${source.count === 1 ? 'is' : 'are'} ${source.count}`,
        {
          where: 'sequence batches',
          fix:
            source.count === 0 ? 'give more data' : `give more data, or a batch of at most ${source.count}`,
        },
      );
    }
  }

  get shape(): SequenceShape {
    return this.source;
  }

  at(position: number): SequenceBatch {
    requireInteger(position, 'position', { min: 0 });
    const { batch, batchesPerEpoch, source } = this;
    const endless = batchesPerEpoch === Number.POSITIVE_INFINITY;
    const chunk = endless ? position : position % batchesPerEpoch;
    const epoch = endless ? 0 : Math.floor(position / batchesPerEpoch);
    const { steps, features, target } = source;
    const inputs = new Float32Array(steps * batch * features);
    const places = target.perStep ? steps * batch : batch;
    const targets =
      target.kind === 'classes' ? new Int32Array(places) : new Float32Array(places * target.size);
    const mask = source.masked ? new Float32Array(steps * batch).fill(1) : undefined;
    const count = Math.min(batch, source.count - chunk * batch);
    for (let place = 0; place < batch; place += 1) {
      const number = chunk * batch + Math.min(place, count - 1);
      source.write(this.#indexOf(number, epoch), { inputs, targets, mask, place, batch });
    }
    const longest = requireSound({ inputs, targets, mask }, this.shape, batch);
    return {
      inputs,
      targets,
      ...(mask === undefined ? {} : { mask }),
      ...weigh(target.perStep ? (mask ?? new Float32Array(steps * batch).fill(1)) : undefined, batch, count),
      count,
      longest,
      resetsState: true,
      epoch,
      position,
    };
  }

  async *batches(start = 0, end = Number.POSITIVE_INFINITY): AsyncGenerator<SequenceBatch, void, undefined> {
    requireInteger(start, 'start', { min: 0 });
    for (let position = start; position < end; position += 1) yield this.at(position);
  }

  epoch(): AsyncGenerator<SequenceBatch, void, undefined> {
    return this.batches(0, this.batchesPerEpoch);
  }

  #indexOf(number: number, epoch: number): number {
    if (this.#seed === undefined || this.source.count === Number.POSITIVE_INFINITY) return number;
    if (this.#order?.epoch !== epoch)
      this.#order = { epoch, indices: permutation(this.source.count, this.#seed, epoch) };
    return this.#order.indices[number]!;
  }
}

/** The weights of the targets that count, all alike and 1 together, and how many they are. */
function weigh(
  /** [T, r], where every step has a target. */
  steps: Float32Array | undefined,
  batch: number,
  count: number,
): Pick<SequenceBatch, 'weight' | 'targetCount'> {
  const counts = steps ?? new Float32Array(batch).fill(1);
  const weight = counts.map((each, index) => (index % batch < count ? each : 0));
  const targetCount = weight.reduce((sum, each) => sum + each, 0);
  return { weight: weight.map((each) => each / targetCount), targetCount };
}

/** 0 .. count - 1 in the order of an epoch (Fisher and Yates). */
export function permutation(count: number, seed: number, epoch: number): Int32Array {
  const random = new CounterRandom(seed, DATA_STREAMS.shuffle, (epoch % 2 ** 21) * 2 ** 32);
  const indices = Int32Array.from({ length: count }, (_, index) => index);
  for (let last = count - 1; last > 0; last -= 1) {
    const other = random.integer(last + 1);
    [indices[last], indices[other]] = [indices[other]!, indices[last]!];
  }
  return indices;
}

/** One sequence of a set: its steps, and what it stands for. */
export interface LabelledSequence {
  /** [length, f], length from 1 to T. */
  readonly inputs: Float32Array | Float64Array;
  /** A class id, or c numbers; where every step has a target, those of all steps, [length] or [length, c]. */
  readonly target: number | ArrayLike<number>;
}

export interface SequenceSetOptions {
  /** f */
  readonly features: number;
  /** How many classes, when targets are class ids; otherwise targets are lists of one length. */
  readonly classes?: number;
  /** T: by default, the longest sequence's length. */
  readonly steps?: number;
  /** Whether every step has a target; false unless given. */
  readonly perStep?: boolean;
}

/** Sequences in memory, of one length or of many, each with one target or with one at every step. */
export class SequenceSet implements SequenceSource {
  readonly count: number;
  readonly steps: number;
  readonly features: number;
  readonly target: TargetSpec;
  readonly masked: boolean;
  readonly #sequences: readonly LabelledSequence[];

  /**
   * Throws DATA, naming the sequence, for a number that is not finite, a length that is zero or beyond T, or a target
   * out of range; SHAPE for a part of a step or targets of different sizes.
   */
  constructor(
    sequences: readonly LabelledSequence[],
    { features, classes, steps, perStep = false }: SequenceSetOptions,
  ) {
    this.features = requireInteger(features, 'features', { min: 1 });
    if (classes !== undefined) requireInteger(classes, 'classes', { min: 2 });
    const lengths = sequences.map(({ inputs }) => inputs.length / features);
    this.steps = requireInteger(
      steps ?? lengths.reduce((longest, length) => Math.max(longest, Math.ceil(length)), 1),
      'steps',
      { min: 1 },
    );
    const size = classes ?? sizeOfTarget(sequences[0]?.target ?? 0) / (perStep ? (lengths[0] ?? 1) : 1);
    this.count = sequences.length;
    this.target = { kind: classes === undefined ? 'values' : 'classes', size, perStep };
    this.masked = lengths.some((length) => length !== this.steps);
    this.#sequences = sequences;
    for (const [sequence, { inputs, target }] of sequences.entries()) {
      if (inputs.length % features !== 0) {
        throw new KronogradError('SHAPE', `${inputs.length} numbers are no whole steps of ${features}`, {
          where: `sequence ${sequence}`,
          fix: `give ${features} numbers for each step`,
        });
      }
      requireLength(lengths[sequence]!, this.steps, sequence);
      requireFinite(inputs, features, sequence);
      requireTarget(target, this.target, lengths[sequence]!, sequence);
    }
  }

  lengthOf(index: number): number {
    return this.#sequences[index]!.inputs.length / this.features;
  }

  targetOf(index: number): number | ArrayLike<number> {
    return this.#sequences[index]!.target;
  }

  write(index: number, { inputs, targets, mask, place, batch }: Slot): void {
    const { inputs: steps, target } = this.#sequences[index]!;
    const length = this.lengthOf(index);
    for (let time = 0; time < this.steps; time += 1) {
      if (time >= length) mask![time * batch + place] = 0;
      else
        inputs.set(
          steps.subarray(time * this.features, (time + 1) * this.features),
          (time * batch + place) * this.features,
        );
    }
    const { kind, size, perStep } = this.target;
    const numbers = typeof target === 'number' ? [target] : Array.from(target);
    const width = kind === 'classes' ? 1 : size;
    for (let row = 0; row < (perStep ? length : 1); row += 1)
      targets.set(numbers.slice(row * width, (row + 1) * width), (row * batch + place) * width);
  }
}

const sizeOfTarget = (target: number | ArrayLike<number>): number =>
  typeof target === 'number' ? 1 : target.length;

function requireFinite(inputs: Float32Array | Float64Array, features: number, sequence: number): void {
  const bad = inputs.findIndex((value) => !Number.isFinite(value));
  if (bad === -1) return;
  throw new KronogradError('DATA', `the value ${inputs[bad]} is not a finite number`, {
    where: `sequence ${sequence}, step ${Math.floor(bad / features)}, feature ${bad % features}`,
    fix: 'remove or replace the value',
  });
}

function requireTarget(
  target: number | ArrayLike<number>,
  { kind, size, perStep }: TargetSpec,
  length: number,
  sequence: number,
): void {
  const numbers = typeof target === 'number' ? [target] : Array.from(target);
  const wanted = (perStep ? length : 1) * (kind === 'classes' ? 1 : size);
  if (numbers.length !== wanted)
    throw new KronogradError('SHAPE', `the target has ${numbers.length} numbers, not ${wanted}`, {
      where: `sequence ${sequence}, target`,
      fix: perStep ? 'give as many for every step of every sequence' : 'give every sequence as many',
    });
  const isTarget = kind === 'classes' ? (x: number) => isClass(x, size) : Number.isFinite;
  const bad = numbers.findIndex((x) => !isTarget(x));
  if (bad === -1) return;
  const step = perStep ? `, step ${Math.floor((bad * length) / wanted)}` : '';
  throw new KronogradError(
    'DATA',
    kind === 'classes' ? `${numbers[bad]} is no class` : `the target ${numbers[bad]} is not a finite number`,
    {
      where: `sequence ${sequence}${step}, target`,
      fix: kind === 'classes' ? `give an integer from 0 to ${size - 1}` : 'remove or replace the value',
    },
  );
}

const isClass = (x: number, size: number): boolean => Number.isInteger(x) && x >= 0 && x < size;
