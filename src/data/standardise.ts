/** Standardisation, Sherstinsky eq. 118-120: every feature to mean 0 and variance 1 over the training rows. */
import { KronogradError } from '../errors.js';
import { isRecord, type JsonRecord } from '../interop/json.js';
import { requireInteger } from '../ranges.js';

/** Rows of features, [n, f]: element (i, j) is at index i * f + j. */
export type Rows = Float32Array | Float64Array;

/** What `toJSON` gives: all that is needed to standardise again, and to go on fitting. */
export interface StandardiserState extends JsonRecord {
  /** How many rows were seen. */
  readonly rows: number;
  readonly mean: readonly number[];
  /** Sum of squared distances from the mean. */
  readonly squares: readonly number[];
  readonly min: readonly number[];
  readonly max: readonly number[];
}

/**
 * Means and standard deviations of features, fitted row by row (Welford), so that the data need not fit in memory.
 * Fit it on training rows only; the validation and test rows are transformed with the training rows' numbers.
 *
 * A feature is constant when its least and its greatest value are the same number, whatever rounding makes of its
 * variance; its divisor is 1, so it becomes 0.
 */
export class Standardiser {
  readonly features: number;
  #rows = 0;
  readonly #mean: Float64Array;
  readonly #squares: Float64Array;
  readonly #min: Float64Array;
  readonly #max: Float64Array;

  /** Throws OPTION unless `features` is a positive integer. */
  constructor(features: number) {
    this.features = requireInteger(features, 'features', { min: 1 });
    this.#mean = new Float64Array(features);
    this.#squares = new Float64Array(features);
    this.#min = new Float64Array(features).fill(Number.POSITIVE_INFINITY);
    this.#max = new Float64Array(features).fill(Number.NEGATIVE_INFINITY);
  }

  /** Of all rows at once. */
  static fit(rows: Rows, features: number): Standardiser {
    return new Standardiser(features).add(rows);
  }

  /** The inverse of `toJSON`. Throws DATA for a value that is not one of its results; `where` names the source. */
  static fromJSON(value: unknown, where: string): Standardiser {
    const bad = (what: string) =>
      new KronogradError('DATA', `the standardisation cannot be used: ${what}`, {
        where,
        fix: 'use the standardisation that was saved with the model',
      });
    if (!isRecord(value)) throw bad('it is not a JSON object');
    const { rows } = value;
    if (!Number.isSafeInteger(rows) || (rows as number) < 1) throw bad('"rows" is not a positive integer');
    const listed = (key: string): number[] => {
      const list = value[key];
      if (!Array.isArray(list) || list.length === 0 || !list.every((each) => Number.isFinite(each)))
        throw bad(`"${key}" is not a list of finite numbers`);
      return list as number[];
    };
    const [mean, squares, min, max] = [listed('mean'), listed('squares'), listed('min'), listed('max')];
    if ([squares, min, max].some((list) => list.length !== mean.length))
      throw bad('its lists have different lengths');
    for (const [feature, low] of min.entries())
      if (low > max[feature]! || squares[feature]! < 0)
        throw bad(`feature ${feature} has an impossible range`);
    const result = new Standardiser(mean.length);
    result.#rows = rows as number;
    result.#mean.set(mean);
    result.#squares.set(squares);
    result.#min.set(min);
    result.#max.set(max);
    return result;
  }

  /** How many rows were seen. */
  get rows(): number {
    return this.#rows;
  }

  /** [f]. Throws DATA when no rows were seen. */
  get mean(): Float64Array {
    this.#requireFitted();
    return this.#mean.slice();
  }

  /** [f], with the divisor N - 1; 0 for a constant feature. Throws DATA when no rows were seen. */
  get std(): Float64Array {
    this.#requireFitted();
    return this.#squares.map((squares, feature) =>
      this.#isConstant(feature) ? 0 : Math.sqrt(squares / (this.#rows - 1)),
    );
  }

  /** Per feature, whether all rows seen have the same value. */
  get constant(): boolean[] {
    return Array.from({ length: this.features }, (_, feature) => this.#isConstant(feature));
  }

  /**
   * Takes rows [n, f] into account. Throws SHAPE for a part of a row, DATA for a number that is not finite; then no
   * row from the bad one on was taken.
   */
  add(rows: Rows): this {
    const number = this.#countRows(rows);
    for (let row = 0; row < number; row += 1) {
      const begin = row * this.features;
      for (let feature = 0; feature < this.features; feature += 1)
        if (!Number.isFinite(rows[begin + feature]!)) {
          throw new KronogradError('DATA', `the value ${rows[begin + feature]} is not a finite number`, {
            where: `row ${this.#rows + 1}, column ${feature + 1}`,
            fix: 'remove or replace the value',
          });
        }
      this.#rows += 1;
      for (let feature = 0; feature < this.features; feature += 1) {
        const value = rows[begin + feature]!;
        const distance = value - this.#mean[feature]!;
        this.#mean[feature]! += distance / this.#rows;
        this.#squares[feature]! += distance * (value - this.#mean[feature]!);
        if (value < this.#min[feature]!) this.#min[feature] = value;
        if (value > this.#max[feature]!) this.#max[feature] = value;
      }
    }
    return this;
  }

  /**
   * (x - mean) / std of rows [n, f], written into `result`: new rows of the same type unless given, and `rows` itself
   * for rows that there is no room to have twice. Throws SHAPE for a part of a row.
   */
  transform<R extends Rows>(rows: R, result = rows.slice() as R): R {
    return this.#map(rows, result, (value, mean, std) => (value - mean) / std);
  }

  /** The inverse of `transform`; a constant feature gets its value back. */
  inverse<R extends Rows>(rows: R): R {
    return this.#map(rows, rows.slice() as R, (value, mean, std) => value * std + mean);
  }

  /** The inverse for one feature alone, as a forecast of it needs. */
  inverseOf(feature: number, value: number): number {
    requireInteger(feature, 'feature', { min: 0, max: this.features - 1 });
    return value * this.#divisors()[feature]! + this.#centres()[feature]!;
  }

  toJSON(): StandardiserState {
    this.#requireFitted();
    return {
      rows: this.#rows,
      mean: [...this.#mean],
      squares: [...this.#squares],
      min: [...this.#min],
      max: [...this.#max],
    };
  }

  #map<R extends Rows>(rows: R, result: R, of: (value: number, mean: number, std: number) => number): R {
    this.#countRows(rows);
    const [centres, divisors] = [this.#centres(), this.#divisors()];
    for (let index = 0; index < result.length; index += 1) {
      const feature = index % this.features;
      result[index] = of(rows[index]!, centres[feature]!, divisors[feature]!);
    }
    return result;
  }

  /** A constant feature's mean may be a rounding away from its value. */
  #centres(): Float64Array {
    this.#requireFitted();
    return this.#mean.map((mean, feature) => (this.#isConstant(feature) ? this.#min[feature]! : mean));
  }

  /**
   * A variance can be lost to underflow although the values differ, and overflow though they are finite: dividing by
   * it would make infinities or zeros of them.
   */
  #divisors(): Float64Array {
    return this.std.map((std, feature) => {
      if (this.#isConstant(feature)) return 1;
      if (std > 0 && std < Number.POSITIVE_INFINITY) return std;
      throw new KronogradError('DATA', `the values are too ${std === 0 ? 'close' : 'far'} to standardise`, {
        where: `column ${feature + 1}`,
        fix: 'give the values in another unit, or leave the feature out',
      });
    });
  }

  #isConstant(feature: number): boolean {
    return this.#min[feature] === this.#max[feature];
  }

  #countRows(rows: Rows): number {
    if (rows.length % this.features === 0) return rows.length / this.features;
    throw new KronogradError(
      'SHAPE',
      `${rows.length} numbers are no whole rows of ${this.features} features`,
      { where: 'standardisation', fix: `give rows of ${this.features} features` },
    );
  }

  #requireFitted(): void {
    if (this.#rows > 0) return;
    throw new KronogradError('DATA', 'there are no rows to standardise by', {
      where: 'standardisation',
      fix: 'fit it on the training rows first',
    });
  }
}
