import { threefry2x32 } from '../program/threefry.js';
import { requireInteger } from '../ranges.js';

/** Where a generator stands: enough to continue it bit for bit. Plain JSON. */
export interface RandomState {
  readonly seed: number;
  readonly stream: number;
  readonly counter: number;
}

const WORD = 2 ** 32;
const WORD_RANGE = { min: 0, max: WORD - 1 };

/**
 * Random numbers on the host, for initialisation and sampling: Threefry-2x32 under the key (seed, stream).
 *
 * Each draw uses one counter value (`integer` may use more), so the whole state is three numbers. Different
 * streams of one seed are independent; give each purpose its own, and adding draws to one moves no other.
 */
export class CounterRandom {
  readonly seed: number;
  readonly stream: number;
  #counter: number;

  /**
   * `seed` and `stream` are integers in 0 .. 2^32 - 1, `counter` one in 0 .. 2^53 - 1; throws OPTION
   * otherwise.
   */
  constructor(seed: number, stream = 0, counter = 0) {
    this.seed = requireInteger(seed, 'seed', WORD_RANGE);
    this.stream = requireInteger(stream, 'stream', WORD_RANGE);
    this.#counter = requireInteger(counter, 'counter', { min: 0, max: Number.MAX_SAFE_INTEGER });
  }

  static fromState(state: RandomState): CounterRandom {
    return new CounterRandom(state.seed, state.stream, state.counter);
  }

  /** The state after the draws made so far; also what `JSON.stringify` writes. */
  toJSON(): RandomState {
    return { seed: this.seed, stream: this.stream, counter: this.#counter };
  }

  /** Uniform in [0, 1), with all 53 bits of a double. */
  uniform(): number {
    const [high, low] = this.#draw();
    return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
  }

  /** Normal with mean 0 and variance 1 (Box and Muller); the tails reach 6.6 standard deviations. */
  normal(): number {
    const [word0, word1] = this.#draw();
    const radius = Math.sqrt(-2 * Math.log((word0 + 1) / WORD)); // in (0, 1]: the logarithm is finite
    return radius * Math.cos((2 * Math.PI * word1) / WORD);
  }

  /** A uniform integer in 0 .. n - 1, for n in 1 .. 2^32; throws OPTION for another n. */
  integer(n: number): number {
    requireInteger(n, 'n', { min: 1, max: WORD });
    // Words past the last whole multiple of n would favour small results: they are drawn again.
    const limit = WORD - (WORD % n);
    for (;;) {
      const [word] = this.#draw();
      if (word < limit) return word % n;
    }
  }

  #draw(): [number, number] {
    const counter = this.#counter++;
    return threefry2x32(this.seed, this.stream, counter % WORD, Math.floor(counter / WORD));
  }
}
