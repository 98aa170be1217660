import { KronogradError } from '../errors.js';
import { requireInteger } from '../ranges.js';

export interface TextStreamOptions {
  /** r: how many streams are read side by side. */
  readonly batch: number;
  /** T: how many characters of each stream one batch holds. */
  readonly unroll: number;
}

export interface TextBatch {
  /** [T, r], time-major: element (t, s) is at index t * r + s. */
  readonly inputs: Int32Array;
  /** [T, r], time-major: the character after each input. */
  readonly targets: Int32Array;
  /** Whether its streams begin, as they do with an epoch, so that the carried state must be reset. */
  readonly resetsState: boolean;
  readonly epoch: number;
  /** Which batch this is, counted from 0 over all epochs. To resume after it, start at `position + 1`. */
  readonly position: number;
}

/**
 * A text as batches for truncated back-propagation through time: r contiguous streams side by side, each
 * batch continuing every stream where the batch before left it, so that the recurrent state can be carried
 * over.
 *
 * Stream s covers characters s * L .. (s + 1) * L with L = T * batchesPerEpoch; the fewer than r * T
 * characters left at the end are not used. A batch depends on its position alone: the stream can be entered
 * anywhere.
 */
export class TextStream {
  readonly batch: number;
  readonly unroll: number;
  readonly batchesPerEpoch: number;
  readonly #ids: Int32Array;

  /** Throws OPTION for sizes that are not positive integers, TEXT when `ids` is too short for one batch. */
  constructor(ids: Int32Array, { batch, unroll }: TextStreamOptions) {
    this.batch = requireInteger(batch, 'batch', { min: 1 });
    this.unroll = requireInteger(unroll, 'unroll', { min: 1 });
    this.batchesPerEpoch = Math.max(0, Math.floor((ids.length - 1) / (batch * unroll)));
    this.#ids = ids;
    if (this.batchesPerEpoch === 0) throw tooShort(ids.length, batch, unroll);
  }

  /** The batch at a position. Throws OPTION unless it is an integer of at least 0. */
  at(position: number): TextBatch {
    requireInteger(position, 'position', { min: 0 });
    const { batch, unroll, batchesPerEpoch } = this;
    const chunk = position % batchesPerEpoch;
    const streamLength = unroll * batchesPerEpoch;
    const inputs = new Int32Array(unroll * batch);
    const targets = new Int32Array(unroll * batch);
    for (let stream = 0; stream < batch; stream += 1) {
      const begin = stream * streamLength + chunk * unroll;
      for (let time = 0; time < unroll; time += 1) {
        inputs[time * batch + stream] = this.#ids[begin + time]!;
        targets[time * batch + stream] = this.#ids[begin + time + 1]!;
      }
    }
    return {
      inputs,
      targets,
      resetsState: chunk === 0,
      epoch: Math.floor(position / batchesPerEpoch),
      position,
    };
  }

  /** The batches at positions `start` .. `end - 1`; without an end, epoch after epoch for ever. */
  async *batches(start = 0, end = Number.POSITIVE_INFINITY): AsyncGenerator<TextBatch, void, undefined> {
    requireInteger(start, 'start', { min: 0 });
    for (let position = start; position < end; position += 1) yield this.at(position);
  }

  /** One pass over the text, for evaluation. */
  epoch(): AsyncGenerator<TextBatch, void, undefined> {
    return this.batches(0, this.batchesPerEpoch);
  }
}

function tooShort(length: number, batch: number, unroll: number): KronogradError {
  const largestBatch = Math.floor((length - 1) / unroll);
  const largestUnroll = Math.floor((length - 1) / batch);
  const fits = [
    ...(largestBatch >= 1 ? [`a batch of at most ${largestBatch} at unroll ${unroll}`] : []),
    ...(largestUnroll >= 1 ? [`an unroll of at most ${largestUnroll} at batch ${batch}`] : []),
  ];
  const needed = `one batch of ${batch} streams of ${unroll} characters needs ${batch * unroll + 1} characters`;
  return new KronogradError('TEXT', `${needed}, the text has ${length}`, {
    where: 'text batches',
    fix: fits.length === 0 ? 'give a longer text' : `give a longer text, ${fits.join(', or ')}`,
  });
}
