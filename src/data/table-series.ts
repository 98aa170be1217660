/** Columns of a table as a series of windows. */
import { refused } from '../ranges.js';
import { type Table, tableValues } from './table.js';
import type { Series } from './windows.js';

export interface CsvSeriesOptions {
  /** The column to forecast. */
  readonly target: string;
  /** The columns a window shows; by default the target alone. */
  readonly features?: readonly string[];
  /** T */
  readonly window: number;
  /** H */
  readonly horizon: number;
}

/** The columns that a series needs: its features, and the target when it is none of them. */
export function seriesColumns({
  target,
  features = [target],
}: Pick<CsvSeriesOptions, 'target' | 'features'>): string[] {
  if (features.length === 0) throw refused(features, 'features', 'the name of at least one column');
  return [...new Set([...features, target])];
}

/**
 * Columns of a table as a series of windows: the table's own numbers where they are these columns in this order, a copy
 * otherwise. Throws DATA for a name that the table does not have.
 */
export function tableSeries(table: Table, options: CsvSeriesOptions): Series {
  const { target, features = [target], window, horizon } = options;
  const names = seriesColumns(options);
  return {
    values: isOf(table, names) ? table.values : tableValues(table, names),
    columns: names.length,
    targetColumn: names.indexOf(target),
    inputColumns: [...new Set(features)].map((name) => names.indexOf(name)),
    window,
    horizon,
  };
}

const isOf = (table: Table, names: readonly string[]): boolean =>
  names.length === table.names.length && names.every((name, place) => name === table.names[place]);
