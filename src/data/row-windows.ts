/** Rows in the order of time, seen T at a time. */
import { KronogradError } from '../errors.js';
import { requireInteger } from '../ranges.js';
import type { SequenceSource, Slot, TargetSpec } from './sequences.js';

export interface RowSeries {
  /** [n, columns], oldest row first: element (i, j) is at index i * columns + j. */
  readonly values: Float32Array | Float64Array;
  readonly columns: number;
  /** The columns that a window shows; by default all. */
  readonly inputColumns?: readonly number[];
  /** T: how many steps a window shows. */
  readonly window: number;
}

/** Rows `begin` .. `end - 1`. */
export interface RowRange {
  readonly begin: number;
  readonly end: number;
}

/** The windows of a range of rows, none of which reaches out of the range; what they stand for is a subclass's. */
export abstract class RowWindows<S extends RowSeries> implements SequenceSource {
  readonly series: S;
  readonly rows: RowRange;
  readonly count: number;
  readonly steps: number;
  readonly features: number;
  abstract readonly target: TargetSpec;
  readonly masked = false;
  readonly #inputColumns: readonly number[];

  /**
   * `ahead`: how many rows after a window's last its target is; `alsoRead`: columns beside those that it shows.
   * Throws OPTION for sizes, columns or rows out of range, SHAPE for values that are no whole rows, DATA for a value
   * in the range that is not finite, with its row and column, and for a range too short for one window.
   */
  constructor(
    series: S,
    rows: RowRange | undefined,
    { ahead, alsoRead = [] }: { readonly ahead: number; readonly alsoRead?: readonly number[] },
  ) {
    const { values, columns, window } = series;
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
    requireInteger(this.#inputColumns.length, 'number of inputColumns', { min: 1 });
    for (const column of this.#inputColumns)
      requireInteger(column, 'inputColumns', { min: 0, max: columns - 1 });
    for (const column of alsoRead) requireInteger(column, 'targetColumn', { min: 0, max: columns - 1 });
    this.features = this.#inputColumns.length;
    this.steps = requireInteger(window, 'window', { min: 1 });
    const length = this.rows.end - this.rows.begin;
    this.count = Math.max(0, length - window - ahead + 1);
    if (this.count === 0) {
      const taken =
        ahead === 0
          ? `a window of ${window} steps takes ${window} rows`
          : `a window of ${window} steps and its value ${ahead} later take ${window + ahead} rows`;
      throw new KronogradError('DATA', `${taken}, there are ${length}`, {
        where: `rows ${this.rows.begin} to ${this.rows.end - 1}`,
        fix: 'give more rows, a shorter window or horizon, or a larger part of the rows',
      });
    }
    this.#requireFinite([...new Set([...this.#inputColumns, ...alsoRead])]);
  }

  abstract write(index: number, slot: Slot): void;

  /** The row of the window's last step. */
  lastRow(index: number): number {
    return this.rows.begin + index + this.steps - 1;
  }

  protected writeInputs(index: number, { inputs, place, batch }: Slot): void {
    const { values, columns } = this.series;
    const begin = this.rows.begin + index;
    for (let time = 0; time < this.steps; time += 1) {
      const to = (time * batch + place) * this.features;
      for (let feature = 0; feature < this.features; feature += 1)
        inputs[to + feature] = values[(begin + time) * columns + this.#inputColumns[feature]!]!;
    }
  }

  #requireFinite(read: readonly number[]): void {
    const { values, columns } = this.series;
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
