/**
 * What a model without memory reaches: the figures that a recurrent net has to beat.
 * All in bits per character; ids are in 0 .. vocabularySize - 1.
 */

export interface BigramBaseline {
  /** Mean of -log2 p(next | current) over the validation ids. */
  readonly bitsPerCharacter: number;
  /** The k of the add-k smoothing. */
  readonly smoothing: number;
}

/** The smoothing constants that are tried: halves from 4 down to 2^-12. */
const SMOOTHING_CANDIDATES = Array.from({ length: 15 }, (_, index) => 2 ** (2 - index));

/**
 * The bigram model p(b | a) = (n(a, b) + k) / (n(a) + k V), fitted on the training ids, measured on the
 * validation ids.
 *
 * k is the candidate with the best leave-one-out likelihood of the training ids, so the baseline is a tuned
 * one and has still never seen the validation text.
 */
export function bigramBaseline(
  training: Int32Array,
  validation: Int32Array,
  vocabularySize: number,
): BigramBaseline {
  const counts = new BigramCounts(training, vocabularySize);
  let smoothing = SMOOTHING_CANDIDATES[0]!;
  let best = Number.POSITIVE_INFINITY;
  for (const candidate of SMOOTHING_CANDIDATES) {
    const bits = counts.leaveOneOutBits(candidate);
    if (bits < best) {
      best = bits;
      smoothing = candidate;
    }
  }
  return { bitsPerCharacter: counts.bitsPerCharacter(validation, smoothing), smoothing };
}

/**
 * Entropy of the characters' own frequencies, -sum p log2 p: what knowing nothing but them costs on these
 * ids.
 */
export function unigramEntropy(ids: Int32Array, vocabularySize: number): number {
  const counts = new Float64Array(vocabularySize);
  for (const id of ids) counts[id]! += 1;
  let bits = 0;
  for (const count of counts) if (count > 0) bits -= (count / ids.length) * Math.log2(count / ids.length);
  return bits;
}

/** How often each character follows each other one in a sequence. */
export class BigramCounts {
  readonly #size: number;
  /** [V, V]: element (a, b) counts b after a. */
  readonly #pairs: Float64Array;
  /** [V]: how often a is followed by anything. */
  readonly #totals: Float64Array;

  constructor(ids: Int32Array, vocabularySize: number) {
    this.#size = vocabularySize;
    this.#pairs = new Float64Array(vocabularySize * vocabularySize);
    this.#totals = new Float64Array(vocabularySize);
    for (let i = 1; i < ids.length; i += 1) {
      this.#pairs[ids[i - 1]! * vocabularySize + ids[i]!]! += 1;
      this.#totals[ids[i - 1]!]! += 1;
    }
  }

  /** Mean of -log2 p(next | current) over `ids`, with add-k smoothing; NaN for fewer than two ids. */
  bitsPerCharacter(ids: Int32Array, k: number): number {
    let bits = 0;
    for (let i = 1; i < ids.length; i += 1) {
      const pair = this.#pairs[ids[i - 1]! * this.#size + ids[i]!]!;
      bits -= Math.log2((pair + k) / (this.#totals[ids[i - 1]!]! + k * this.#size));
    }
    return bits / (ids.length - 1);
  }

  /** Mean bits of each counted pair under the model fitted on all the others. */
  leaveOneOutBits(k: number): number {
    let bits = 0;
    let number = 0;
    for (let index = 0; index < this.#pairs.length; index += 1) {
      const pair = this.#pairs[index]!;
      if (pair === 0) continue;
      const total = this.#totals[Math.floor(index / this.#size)]!;
      bits -= pair * Math.log2((pair - 1 + k) / (total - 1 + k * this.#size));
      number += pair;
    }
    return bits / number;
  }
}
