/** Named columns of numbers, row after row: what a CSV file becomes. */
import { KronogradError } from '../errors.js';
import { shorten } from './shorten.js';

/** Some consecutive rows of a table. */
export interface TableChunk {
  /** The number of the first row, counted from 1; the header is no row. */
  readonly firstRow: number;
  readonly rows: number;
  /** [rows, columns]: element (i, j) is at index i * columns + j. */
  readonly values: Float64Array;
}

export interface Table {
  readonly names: readonly string[];
  readonly rows: number;
  /** [rows, columns], a column for each name: element (i, j) is at index i * columns + j. */
  readonly values: Float64Array;
  /** For each column of class names: the name of id 0, 1, ... */
  readonly labels: ReadonlyMap<string, readonly string[]>;
}

/** Room to spare in what the rest of a table is guessed to need: memory that is not written to costs nothing. */
const MARGIN = 1.25;

/**
 * The chunks of a reader, put together. Each is copied once, into memory that is there for all of them where it can be
 * told how much of the whole they are: a large table is never held twice.
 */
export class TableBuilder {
  #values = new Float64Array(0);
  #length = 0;
  #rows = 0;

  /** `share` of the whole, from 0 to 1, that has been read up to the end of this chunk; 0: not known. */
  add({ rows, values }: TableChunk, share = 0): void {
    const length = this.#length + values.length;
    if (length > this.#values.length) {
      const whole = share > 0 ? (MARGIN * length) / share : 2 * length;
      const larger = new Float64Array(Math.ceil(whole));
      larger.set(this.#values.subarray(0, this.#length));
      this.#values = larger;
    }
    this.#values.set(values, this.#length);
    this.#length = length;
    this.#rows += rows;
  }

  /** The table of all chunks. */
  build({ names, labels }: Pick<Table, 'names' | 'labels'>): Table {
    return { names, rows: this.#rows, values: this.#values.subarray(0, this.#length), labels };
  }
}

/** Named columns of a table as rows, [n, f], copied. Throws DATA for a name that the table does not have. */
export function tableValues(table: Table, names: readonly string[] = table.names): Float64Array {
  const places = names.map((name) => placeOf(table, name));
  const values = new Float64Array(table.rows * names.length);
  for (let row = 0; row < table.rows; row += 1)
    for (const [column, place] of places.entries())
      values[row * names.length + column] = table.values[row * table.names.length + place]!;
  return values;
}

/** A column of a table by its name, copied. Throws DATA for a name that the table does not have. */
export const columnOf = (table: Table, name: string): Float64Array => tableValues(table, [name]);

/**
 * Named columns of yes-or-no labels, [n, c] of 0 and 1. Throws DATA for a name that the table does not have, and, with
 * row and column, for any other value; `where` names the table.
 */
export function tableLabels(table: Table, names: readonly string[], where: string): Uint8Array {
  const places = names.map((name) => placeOf(table, name));
  const labels = new Uint8Array(table.rows * names.length);
  for (let row = 0; row < table.rows; row += 1)
    for (const [column, place] of places.entries()) {
      const value = table.values[row * table.names.length + place]!;
      if (value !== 0 && value !== 1)
        throw new KronogradError('DATA', `the label ${value} is neither 0 nor 1`, {
          where: `${where}: row ${row + 1}, column ${JSON.stringify(names[column])}`,
          fix: 'give 1 where the label holds and 0 where it does not',
        });
      labels[row * names.length + column] = value;
    }
  return labels;
}

function placeOf({ names }: Table, name: string): number {
  const place = names.indexOf(name);
  if (place !== -1) return place;
  throw new KronogradError('DATA', `there is no column ${JSON.stringify(name)}`, {
    where: 'table',
    fix: `give one of ${shorten(names.join(', '), 1000)}`,
  });
}
