/** Time series as windows: T steps in, the value H steps later out, split by time. */
import { requireInteger, requireNumber } from '../ranges.js';
import { type RowRange, type RowSeries, RowWindows } from './row-windows.js';
import type { Slot, TargetSpec } from './sequences.js';
import { Standardiser } from './standardise.js';

export interface Series extends RowSeries {
  /** The column that is forecast. */
  readonly targetColumn: number;
  /** H: how many steps after the window's last the forecast value is. */
  readonly horizon: number;
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
export class SeriesWindows extends RowWindows<Series> {
  readonly target: TargetSpec = { kind: 'values', size: 1, perStep: false };

  /** Throws as RowWindows, and OPTION for a horizon or a target column out of range. */
  constructor(series: Series, rows?: RowRange) {
    const horizon = requireInteger(series.horizon, 'horizon', { min: 1 });
    super(series, rows, { ahead: horizon, alsoRead: [series.targetColumn] });
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

  write(index: number, slot: Slot): void {
    this.writeInputs(index, slot);
    slot.targets[slot.place] = this.targetOf(index);
  }

  #targetAt(row: number): number {
    return this.series.values[row * this.series.columns + this.series.targetColumn]!;
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
 * `standardiser.inverseOf(targetColumn, forecast)`. The values are new ones, or those of the series, overwritten.
 */
export function standardiseSeries<S extends RowSeries>(
  series: S,
  training: RowRange,
  { overwrite = false } = {},
): { readonly series: S; readonly standardiser: Standardiser } {
  const { values, columns } = series;
  const standardiser = new Standardiser(columns).add(
    values.subarray(training.begin * columns, training.end * columns),
  );
  const standardised = standardiser.transform(values, overwrite ? values : undefined);
  return { series: { ...series, values: standardised }, standardiser };
}
