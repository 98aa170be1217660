/**
 * Tasks with known answers, which ask for memory over long times. H&S is Hochreiter and Schmidhuber, Long Short-Term
 * Memory (1997), section 5; Martens and Sutskever (2011) train on the same ones. Example i of a seed is always the same.
 */
import { refused, requireInteger } from '../ranges.js';
import { CounterRandom } from './random.js';
import { DATA_STREAMS, type SequenceSource, type Slot } from './sequences.js';

/** What a model scores that knows the task's form and nothing of the example: the best guess without inputs. */
export interface LearnedNothing {
  /** Mean squared error of one number, or mean cross entropy of one class (over the steps that have one), in nats. */
  readonly loss: number;
  readonly measure: 'meanSquared' | 'crossEntropy';
  /** The share of classes guessed right, over the steps that have one; undefined for values. */
  readonly accuracy?: number;
}

export interface Task extends SequenceSource {
  readonly learnedNothing: LearnedNothing;
}

export interface TaskOptions {
  readonly seed: number;
}

export interface LongTaskOptions extends TaskOptions {
  /** T, the least length. */
  readonly steps: number;
  /** Lengths uniform from T to T + T / 10 as in H&S, with a mask; otherwise all are T. */
  readonly varyLength?: boolean;
}

/** An example draws at most so many numbers, so that every example has its own. */
const DRAWS = 2 ** 20;
/** Far below DRAWS with the draws that `integer` may repeat. */
const LARGEST_STEPS = 2 ** 18;

const randomOf = (seed: number, index: number): CounterRandom =>
  new CounterRandom(seed, DATA_STREAMS.tasks, index * DRAWS);

const requireSeed = (seed: unknown): number => requireInteger(seed, 'seed', { min: 0, max: 2 ** 32 - 1 });

/**
 * The adding problem, H&S 5.4. A step is a pair: a value uniform in [-1, 1) and a marker. Two pairs have the marker 1:
 * the first of them is one of the first ten (X1), the second one of the first T / 2 - 1 that is still unmarked (X2).
 * The first and the last pair have the marker -1, all others 0. When the first pair of all is one of the two, its
 * marker is 1 and its value 0. The target, at the end: 0.5 + (X1 + X2) / 4. H&S count an absolute error below 0.04 as
 * right. T is at least 10; where T / 2 - 1 is less than ten, it bounds the first mark too.
 */
export function addingProblem({ seed, steps, varyLength = false }: LongTaskOptions): Task {
  requireSeed(seed);
  const lengths = new Lengths(steps, varyLength);
  const half = Math.floor(steps / 2) - 1;
  const first = Math.min(10, half);
  // The first pair is marked by either draw; its value is then 0 instead of one with the variance 1/3.
  const firstPairMarked = 1 / first + (1 - 1 / first) / (half - 1);
  return {
    count: Number.POSITIVE_INFINITY,
    steps: lengths.longest,
    features: 2,
    target: { kind: 'values', size: 1, perStep: false },
    masked: varyLength,
    learnedNothing: { loss: (2 - firstPairMarked) / 3 / 16, measure: 'meanSquared' },
    write(index, { inputs, targets, mask, place, batch }) {
      const random = randomOf(seed, index);
      const length = lengths.draw(random);
      const mark1 = random.integer(first);
      const other = random.integer(half - 1);
      const mark2 = other < mark1 ? other : other + 1;
      let sum = 0;
      for (let time = 0; time < length; time += 1) {
        const marked = time === mark1 || time === mark2;
        const value = time === 0 && marked ? 0 : Math.fround(2 * random.uniform() - 1);
        const at = (time * batch + place) * 2;
        inputs[at] = value;
        inputs[at + 1] = marked ? 1 : time === 0 || time === length - 1 ? -1 : 0;
        if (marked) sum += value;
      }
      targets[place] = 0.5 + sum / 4;
      lengths.write(length, mask, place, batch);
    },
  };
}

export interface CopyMemoryOptions extends TaskOptions {
  /** S: how many symbols there are to remember. */
  readonly symbols: number;
  /** K: how many of them are shown. */
  readonly length: number;
  /** D: steps from the last symbol to the mark to reproduce them, that mark included. */
  readonly delay: number;
}

/**
 * Copy memory: K symbols, drawn from 1 .. S, then D - 1 blanks, the mark to go, and K blanks; T = 2 K + D. The target
 * of a step is a class: blank (0), and over the last K steps the symbols in their order. Inputs are one-hot of S + 2:
 * blank, the symbols, the mark; classes S + 1. Martens and Sutskever's 5-bit memory is S = 2, K = 5; Arjovsky and
 * others' (2016) copy task S = 8, K = 10.
 */
export function copyMemory({ seed, symbols, length, delay }: CopyMemoryOptions): Task {
  requireSeed(seed);
  requireInteger(symbols, 'symbols', { min: 2, max: 2 ** 16 });
  requireInteger(length, 'length', { min: 1, max: LARGEST_STEPS / 4 });
  requireInteger(delay, 'delay', { min: 1, max: LARGEST_STEPS / 2 });
  const steps = 2 * length + delay;
  const features = symbols + 2;
  return {
    count: Number.POSITIVE_INFINITY,
    steps,
    features,
    target: { kind: 'classes', size: symbols + 1, perStep: true },
    masked: false,
    learnedNothing: {
      loss: (length * Math.log(symbols)) / steps,
      measure: 'crossEntropy',
      accuracy: (length + delay + length / symbols) / steps,
    },
    write(index, { inputs, targets, place, batch }) {
      const random = randomOf(seed, index);
      for (let time = 0; time < steps; time += 1) {
        const isMark = time === length + delay - 1;
        const symbol = time < length ? 1 + random.integer(symbols) : isMark ? symbols + 1 : 0;
        inputs[(time * batch + place) * features + symbol] = 1;
        if (time < length) targets[(time + length + delay) * batch + place] = symbol;
      }
    },
  };
}

export interface TemporalOrderOptions extends LongTaskOptions {
  /** How many symbols have an order: 2 (H&S 6a, the default) or 3 (6b). */
  readonly marks?: 2 | 3;
}

/** Where the marks are, in parts of T: H&S's 10-20 and 50-60, or 10-20, 33-43 and 66-76, of 100. */
const MARK_PLACES = {
  2: [
    [0.1, 0.2],
    [0.5, 0.6],
  ],
  3: [
    [0.1, 0.2],
    [0.33, 0.43],
    [0.66, 0.76],
  ],
} as const;

/**
 * Temporal order, H&S 5.6. A sequence begins with E and ends with B; every other step is drawn from a, b, c, d, but
 * for two (or three) far apart that are X or Y. The class, at the end, is their order: XX, XY, YX, YY (XXX to YYY), a
 * binary number with X = 0, the first mark the highest digit. Inputs are one-hot of E, B, a, b, c, d, X, Y. The marks
 * are at steps floor(p T) with p as in H&S for T = 100, both bounds included. T is at least 10.
 */
export function temporalOrder({ seed, steps, varyLength = false, marks = 2 }: TemporalOrderOptions): Task {
  requireSeed(seed);
  if (marks !== 2 && marks !== 3) throw refused(marks, 'marks', '2 or 3');
  const lengths = new Lengths(steps, varyLength);
  const classes = 2 ** marks;
  return {
    count: Number.POSITIVE_INFINITY,
    steps: lengths.longest,
    features: 8,
    target: { kind: 'classes', size: classes, perStep: false },
    masked: varyLength,
    learnedNothing: { loss: Math.log(classes), measure: 'crossEntropy', accuracy: 1 / classes },
    write(index, { inputs, targets, mask, place, batch }) {
      const random = randomOf(seed, index);
      const length = lengths.draw(random);
      const marked = MARK_PLACES[marks].map(([low, high]) => {
        const begin = Math.floor(low * steps);
        return begin + random.integer(Math.floor(high * steps) - begin + 1);
      });
      let order = 0;
      for (let time = 0; time < length; time += 1) {
        let symbol = 2 + random.integer(4);
        if (time === 0) symbol = 0;
        else if (time === length - 1) symbol = 1;
        else if (marked.includes(time)) {
          const isY = random.integer(2);
          symbol = 6 + isY;
          order = 2 * order + isY;
        }
        inputs[(time * batch + place) * 8 + symbol] = 1;
      }
      targets[place] = order;
      lengths.write(length, mask, place, batch);
    },
  };
}

export interface ParityOptions extends TaskOptions {
  /** T */
  readonly steps: number;
  /** Ask for the parity so far at every step, instead of that of all at the end. */
  readonly perStep?: boolean;
}

/** Parity: T random bits, 0 or 1; the class is whether the number of ones is odd. */
export function parity({ seed, steps, perStep = false }: ParityOptions): Task {
  requireSeed(seed);
  requireInteger(steps, 'steps', { min: 1, max: LARGEST_STEPS });
  return {
    count: Number.POSITIVE_INFINITY,
    steps,
    features: 1,
    target: { kind: 'classes', size: 2, perStep },
    masked: false,
    learnedNothing: { loss: Math.LN2, measure: 'crossEntropy', accuracy: 0.5 },
    write(index, { inputs, targets, place, batch }) {
      const random = randomOf(seed, index);
      let odd = 0;
      for (let time = 0; time < steps; time += 1) {
        const bit = random.integer(2);
        odd ^= bit;
        inputs[time * batch + place] = bit;
        if (perStep) targets[time * batch + place] = odd;
      }
      if (!perStep) targets[place] = odd;
    },
  };
}

/** Lengths from T to T + T / 10. */
class Lengths {
  readonly longest: number;
  readonly #steps: number;

  constructor(steps: number, vary: boolean) {
    this.#steps = requireInteger(steps, 'steps', { min: 10, max: LARGEST_STEPS });
    this.longest = vary ? steps + Math.floor(steps / 10) : steps;
  }

  draw(random: CounterRandom): number {
    return this.longest === this.#steps
      ? this.#steps
      : this.#steps + random.integer(this.longest - this.#steps + 1);
  }

  write(length: number, mask: Slot['mask'], place: number, batch: number): void {
    for (let time = length; time < this.longest; time += 1) mask![time * batch + place] = 0;
  }
}
