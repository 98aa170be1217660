/**
 * Synthetic traffic for the ReLU-RNN 24-200-3: days of 24 hourly counts in, which of three lanes are congested on the
 * day after out. Nothing in it is measured anywhere; this is all of it.
 *
 * A sequence is K days in a row, beginning on a random day of the week. Demand drifts from day to day,
 *
 *     a[d+1] = 0.9 a[d] + 0.4 sqrt(1 - 0.9^2) eps,    a[0] = 0.4 eps,    eps ~ N(0, 1),
 *
 * and hour h of day d counts, in units of a mean weekday's busiest hour,
 *
 *     x[d, h] = max(0, profile(weekday, h) exp(a[d]) + 0.05 eps).
 *
 * A working day has peaks at 8 and at 17.5 hours, Saturday and Sunday one broad and lower peak at 14. On the day after
 * the last one shown, lane j is congested with probability sigmoid(8 (load_j - 1)), where load_j = exp(a) share_j of
 * that day of the week: lane 0 is the commuters', lane 1 the shoppers', who come on Friday and Saturday, lane 2 takes
 * what is left. So the answer takes the drift, which the last days show, and the day of the week, which only the place
 * of the last week-end among the days shows.
 */
import { requireInteger } from '../ranges.js';
import { CounterRandom } from './random.js';
import { DATA_STREAMS, type SequenceSource, type Slot } from './sequences.js';

export interface TrafficOptions {
  readonly seed: number;
  /** K: how many days are shown; from a week on, every sequence shows a week-end. */
  readonly days?: number;
  /** How many sequences there are; without it, as many as are asked for. */
  readonly count?: number;
  /** The number of the first, so that one seed gives parts that do not overlap. */
  readonly first?: number;
}

export const TRAFFIC_LANES = 3;
const HOURS = 24;

const DRIFT = 0.9;
const DRIFT_DEVIATION = 0.4;
const COUNT_NOISE = 0.05;
const STEEPNESS = 8;

/** [day of the week from Monday][lane] */
const SHARES: readonly (readonly number[])[] = [
  [1.2, 0.7, 0.9],
  [1.1, 0.7, 0.8],
  [1.1, 0.7, 0.8],
  [1.1, 0.8, 0.8],
  [1.0, 1.3, 1.1],
  [0.5, 1.4, 0.7],
  [0.4, 0.5, 1.2],
];

/** An example draws at most so many numbers. */
const DRAWS = 2 ** 20;

/** Sequences of traffic: inputs [K, 24], targets three values of 0 or 1. */
export class Traffic implements SequenceSource {
  readonly count: number;
  readonly steps: number;
  readonly features = HOURS;
  readonly target = { kind: 'values', size: TRAFFIC_LANES, perStep: false } as const;
  readonly masked = false;
  readonly #seed: number;
  readonly #first: number;

  /** Throws OPTION for sizes or a seed out of range. */
  constructor({ seed, days = 14, count, first = 0 }: TrafficOptions) {
    this.#seed = requireInteger(seed, 'seed', { min: 0, max: 2 ** 32 - 1 });
    this.steps = requireInteger(days, 'days', { min: 1, max: 2 ** 14 });
    this.count =
      count === undefined
        ? Number.POSITIVE_INFINITY
        : requireInteger(count, 'count', { min: 1, max: 2 ** 31 });
    this.#first = requireInteger(first, 'first', { min: 0, max: 2 ** 32 });
  }

  write(index: number, { inputs, targets, place, batch }: Slot): void {
    const { counts, probabilities, random } = this.#draw(index);
    for (let day = 0; day < this.steps; day += 1)
      inputs.set(counts.subarray(day * HOURS, (day + 1) * HOURS), (day * batch + place) * HOURS);
    for (const [lane, probability] of probabilities.entries())
      targets[place * TRAFFIC_LANES + lane] = random.uniform() < probability ? 1 : 0;
  }

  /** The targets of sequence `index`. */
  targetsOf(index: number): readonly number[] {
    const { probabilities, random } = this.#draw(index);
    return probabilities.map((probability) => (random.uniform() < probability ? 1 : 0));
  }

  /** With what probability each lane is congested, given the next day's drift, which no model sees. */
  probabilitiesOf(index: number): readonly number[] {
    return this.#draw(index).probabilities;
  }

  /**
   * Sigmoid cross entropy of the three lanes together, in nats, that `probabilitiesOf` has on sequences 0 .. n - 1 on
   * average: a bound that no model gets under.
   */
  bestLoss(n: number): number {
    requireInteger(n, 'n', { min: 1 });
    let loss = 0;
    for (let index = 0; index < n; index += 1)
      for (const probability of this.probabilitiesOf(index)) loss += entropy(probability);
    return loss / n;
  }

  #draw(index: number): {
    readonly counts: Float32Array;
    readonly probabilities: readonly number[];
    readonly random: CounterRandom;
  } {
    const random = new CounterRandom(this.#seed, DATA_STREAMS.traffic, (this.#first + index) * DRAWS);
    const firstWeekday = random.integer(7);
    const counts = new Float32Array(this.steps * HOURS);
    let drift = DRIFT_DEVIATION * random.normal();
    for (let day = 0; day < this.steps; day += 1) {
      const weekday = (firstWeekday + day) % 7;
      for (let hour = 0; hour < HOURS; hour += 1)
        counts[day * HOURS + hour] = Math.max(
          0,
          profile(weekday, hour) * Math.exp(drift) + COUNT_NOISE * random.normal(),
        );
      drift = DRIFT * drift + DRIFT_DEVIATION * Math.sqrt(1 - DRIFT ** 2) * random.normal();
    }
    const probabilities = SHARES[(firstWeekday + this.steps) % 7]!.map((share) =>
      sigmoid(STEEPNESS * (Math.exp(drift) * share - 1)),
    );
    return { counts, probabilities, random };
  }
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** Of a coin, in nats. */
const entropy = (p: number): number => (p <= 0 || p >= 1 ? 0 : -p * Math.log(p) - (1 - p) * Math.log1p(-p));

/** A bump of height 1 around an hour; `width` is its standard deviation. */
const bump = (hour: number, centre: number, width: number): number =>
  Math.exp(-((hour - centre) ** 2) / (2 * width ** 2));

function profile(weekday: number, hour: number): number {
  if (weekday >= 5) return 0.1 + 0.6 * bump(hour, 14, 3.5);
  return 0.1 + 0.8 * bump(hour, 8, 1.2) + 0.9 * bump(hour, 17.5, 1.8) + 0.3 * bump(hour, 13, 3);
}
