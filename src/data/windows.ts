/** Time series as windows: T steps in, the value H steps later out, split by time. */
import { KronogradError } from '../errors.js';
import { requireInteger, requireNumber } from '../ranges.js';
import type { SequenceSource, Slot, TargetSpec } from './sequences.js';
import { Standardiser } from './standardise.js';

export interface Series {
  /** [n, columns], oldest row first: element (i, j) is at index i * columns + j. */
  readonly values: Float32Array | Float64Array;
  readonly columns: number;
  /** The column that is forecast. */
  readonly targetColumn: number;
  /** The columns that a window shows; by default all, the target among them. */
  readonly inputColumns?: readonly number[];
  /** T: how many steps a window shows. */
  readonly window: number;
  /** H: how many steps after the window's last the forecast value is. */
  readonly horizon: number;
}

/** Rows `begin` .. `end - 1`. */
export interface RowRange {
  readonly begin: number;
  readonly end: number;
}

export interface SplitByTime<Part> {
  readonly training: Part;
  readonly validation: Part;
  readonly test: Part;
}

export interface SplitFractions {
  readonly validation: number;
  readonly test: number;
}

/** Of the rows, the last go to the test, those before them to validation. */
export const SPLIT_DEFAULTS: SplitFractions = { validation: 0.15, test: 0.15 };

/**
 * Splits n rows by time: training first, then validation, then test, all of them whole. A random split would leak,
 * since neighbouring rows know each other. Throws OPTION for fractions that leave no training part.
 */
export function splitRows(rows: number, fractions: SplitFractions = SPLIT_DEFAULTS): SplitByTime<RowRange> {
  requireInteger(rows, 'rows', { min: 0 });
  requireNumber(fractions.validation, 'validation', { min: 0, below: 1 });
  requireNumber(fractions.test, 'test', { min: 0, below: 1 - fractions.validation });
  const testBegin = rows - Math.round(rows * fractions.test);
  const validationBegin = Math.max(0, testBegin - Math.round(rows * fractions.validation));
  return {
    training: { begin: 0, end: validationBegin },
    validation: { begin: validationBegin, end: testBegin },
    test: { begin: testBegin, end: rows },
  };
}

/** The windows of a range of rows. None of them, nor its forecast value, reaches out of the range. */
export class SeriesWindows implements SequenceSource {
  readonly series: Series;
  readonly rows: RowRange;
  readonly count: number;
  readonly steps: number;
  readonly features: number;
  readonly target: TargetSpec = { kind: 'values', size: 1, perStep: false };
  readonly masked = false;
  readonly #inputColumns: readonly number[];

  /**
   * Throws OPTION for sizes, columns or rows out of range, SHAPE for values that are no whole rows, DATA for a value
   * in the range that is not finite, with its row and column, and for a range too short for one window.
   */
  constructor(series: Series, rows?: RowRange) {
    const { values, columns } = series;
    requireInteger(columns, 'columns', { min: 1 });
    if (values.length % columns !== 0) {
      throw new KronogradError('SHAPE', `${values.length} numbers are no whole rows of ${columns} columns`, {
        where: 'series',
        fix: `give ${columns} numbers for each step`,
      });
    }
    const total = values.length / columns;
    this.series = series;
    this.rows = rows ?? { begin: 0, end: total };
    requireInteger(this.rows.begin, 'rows.begin', { min: 0, max: total });
    requireInteger(this.rows.end, 'rows.end', { min: this.rows.begin, max: total });
    this.#inputColumns = series.inputColumns ?? Array.from({ length: columns }, (_, column) => column);
    requireInteger(series.targetColumn, 'targetColumn', { min: 0, max: columns - 1 });
    requireInteger(this.#inputColumns.length, 'number of inputColumns', { min: 1 });
    for (const column of this.#inputColumns)
      requireInteger(column, 'inputColumns', { min: 0, max: columns - 1 });
    this.features = this.#inputColumns.length;
    this.steps = requireInteger(series.window, 'window', { min: 1 });
    const horizon = requireInteger(series.horizon, 'horizon', { min: 1 });
    const length = this.rows.end - this.rows.begin;
    this.count = Math.max(0, length - this.steps - horizon + 1);
    if (this.count === 0) {
      throw new KronogradError(
        'DATA',
        `a window of ${this.steps} steps and its value ${horizon} later take ${this.steps + horizon} rows, there are ${length}`,
        {
          where: `rows ${this.rows.begin} to ${this.rows.end - 1}`,
          fix: 'give more rows, a shorter window or horizon, or a larger part of the rows',
        },
      );
    }
    this.#requireFinite();
  }

  /** The row of the window's last step. */
  lastRow(index: number): number {
    return this.rows.begin + index + this.steps - 1;
  }

  /** The value to forecast. */
  targetOf(index: number): number {
    return this.#targetAt(this.lastRow(index) + this.series.horizon);
  }

  /**
   * The forecast column's value `back` steps before the one to forecast. It may lie before the range of rows, since
   * the past is known to a forecast; undefined before the first row of all.
   */
  before(index: number, back: number): number | undefined {
    const row = this.lastRow(index) + this.series.horizon - back;
    return row >= 0 ? this.#targetAt(row) : undefined;
  }

  write(index: number, { inputs, targets, place, batch }: Slot): void {
    const { values, columns } = this.series;
    const begin = this.rows.begin + index;
    for (let time = 0; time < this.steps; time += 1) {
      const to = (time * batch + place) * this.features;
      for (let feature = 0; feature < this.features; feature += 1)
        inputs[to + feature] = values[(begin + time) * columns + this.#inputColumns[feature]!]!;
    }
    targets[place] = this.targetOf(index);
  }

  #targetAt(row: number): number {
    return this.series.values[row * this.series.columns + this.series.targetColumn]!;
  }

  #requireFinite(): void {
    const { values, columns, targetColumn } = this.series;
    const read = [...new Set([...this.#inputColumns, targetColumn])];
    for (let row = this.rows.begin; row < this.rows.end; row += 1)
      for (const column of read) {
        const value = values[row * columns + column]!;
        if (Number.isFinite(value)) continue;
        throw new KronogradError('DATA', `the value ${value} is not a finite number`, {
          where: `row ${row + 1}, column ${column + 1}`,
          fix: 'remove or replace the value',
        });
      }
  }
}

/** The windows of every part of a series. A part whose fraction is 0 is undefined. */
export function seriesWindows(
  series: Series,
  fractions: SplitFractions = SPLIT_DEFAULTS,
): {
  readonly training: SeriesWindows;
  readonly validation: SeriesWindows | undefined;
  readonly test: SeriesWindows | undefined;
} {
  requireInteger(series.columns, 'columns', { min: 1 });
  const parts = splitRows(Math.floor(series.values.length / series.columns), fractions);
  return {
    training: new SeriesWindows(series, parts.training),
    validation: fractions.validation === 0 ? undefined : new SeriesWindows(series, parts.validation),
    test: fractions.test === 0 ? undefined : new SeriesWindows(series, parts.test),
  };
}

/**
 * A series with every column standardised by its training rows alone, and what turns forecasts back:
 * `standardiser.inverseOf(targetColumn, forecast)`.
 */
export function standardiseSeries<S extends Series>(
  series: S,
  training: RowRange,
): { readonly series: S; readonly standardiser: Standardiser } {
  const { values, columns } = series;
  const standardiser = new Standardiser(columns).add(
    values.subarray(training.begin * columns, training.end * columns),
  );
  return { series: { ...series, values: standardiser.transform(values) }, standardiser };
}
