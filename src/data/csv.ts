/**
 * Records of a CSV file as columns of numbers. What splits bytes into records is elsewhere (csv-node.ts): here each
 * field is checked, whatever parser it came from.
 */
import { KronogradError } from '../errors.js';
import { shorten } from './shorten.js';
import type { TableChunk } from './table.js';

export interface CsvOptions {
  /** The columns that are wanted, in this order; by default all. The others may hold anything. */
  readonly columns?: readonly string[];
  /** Beside them, all columns that begin with a number, or with none where one could be: not those of text or dates. */
  readonly numericOthers?: boolean;
  /** Those of the wanted columns that hold class names: they become ids, in order of first appearance. */
  readonly labels?: readonly string[];
}

/** How many rows a chunk has at most. */
const CHUNK_ROWS = 4096;

/** What people write where they have no number. */
const MISSING = new Set(['', 'na', 'n/a', 'nan', 'null', 'none', 'nil', '?', '-', '.']);
const INFINITE = /^[+-]?inf(inity)?$/i;
/** Hexadecimal, octal and binary numbers, which Number() reads and no table means. */
const PREFIXED = /^[+-]?0[xob]/i;

/**
 * Takes a CSV file's records one by one, the header first, and gives chunks of rows: memory stays flat however long
 * the file is. Every error is a DATA error that names the file, and the row and column.
 */
export class CsvReader {
  /** The wanted columns; empty before the header. */
  names: readonly string[] = [];
  readonly labels = new Map<string, string[]>();
  readonly #options: CsvOptions;
  readonly #where: string;
  readonly #ids = new Map<string, Map<string, number>>();
  #header: readonly string[] | undefined;
  /** For each wanted column: its place in a record. */
  #places: readonly number[] = [];
  #rows = 0;
  /** The line of a record without a field: allowed after the last row only. */
  #blank: number | undefined;
  #chunk = new Float64Array(0);
  #chunkRows = 0;

  /** `where` names the file in errors. */
  constructor(options: CsvOptions, where: string) {
    this.#options = options;
    this.#where = where;
  }

  /** Takes the record that ends in a line of the file; gives a chunk whenever one is full. */
  add(record: readonly string[], line: number): TableChunk | undefined {
    const isBlank = record.length === 0 || (record.length === 1 && record[0]!.trim() === '');
    if (isBlank) {
      this.#blank ??= line;
      return undefined;
    }
    if (this.#header === undefined) {
      this.#blank = undefined; // lines before the header mean nothing
      this.#readHeader(record);
      return undefined;
    }
    if (this.#blank !== undefined) {
      throw this.#bad(
        'the line is empty, and rows follow it',
        `row ${this.#rows + 1} (line ${this.#blank})`,
        'remove the line, or fill in its values',
      );
    }
    if (record.length !== this.#header.length) throw this.#ragged(record, line);
    if (this.#rows === 0 && this.#options.numericOthers) this.#take(this.#withNumbers(record));
    const begin = this.#chunkRows * this.names.length;
    for (let column = 0; column < this.names.length; column += 1) {
      const text = record[this.#places[column]!]!;
      const ids = this.#ids.get(this.names[column]!);
      this.#chunk[begin + column] =
        ids === undefined ? this.#number(text, column, line) : this.#label(text, column, line, ids);
    }
    this.#rows += 1;
    this.#chunkRows += 1;
    return this.#chunkRows === CHUNK_ROWS ? this.#takeChunk() : undefined;
  }

  /** The last chunk. Throws DATA for a file without a header or without rows. */
  end(): TableChunk | undefined {
    if (this.#header === undefined)
      throw this.#bad('the file is empty', undefined, 'give a CSV file with a header and rows');
    if (this.#rows === 0)
      throw this.#bad('the file has a header and no rows', undefined, 'give a file with rows in it');
    return this.#chunkRows === 0 ? undefined : this.#takeChunk();
  }

  #readHeader(record: readonly string[]): void {
    const header = record.map((name) => name.trim());
    const nameless = header.indexOf('');
    if (nameless !== -1)
      throw this.#bad('a column has no name', `header, column ${nameless + 1}`, 'give every column a name');
    const twice = header.findIndex((name, place) => header.indexOf(name) !== place);
    if (twice !== -1) {
      const places = `columns ${header.indexOf(header[twice]!) + 1} and ${twice + 1}`;
      const what = `two columns have the name ${JSON.stringify(header[twice])}`;
      throw this.#bad(what, `header, ${places}`, 'give every column a name of its own');
    }
    if (header.every((name) => isNumber(name))) {
      throw this.#bad(
        `the first line has numbers where names are expected: ${shorten(header.join(', '))}`,
        'header',
        'add a first line with the names of the columns',
      );
    }
    const { columns = header, labels = [] } = this.#options;
    for (const name of [...columns, ...labels]) if (!header.includes(name)) throw this.#unknown(name, header);
    const repeated = columns.find((name, index) => columns.indexOf(name) !== index);
    if (repeated !== undefined) {
      const what = `the column ${JSON.stringify(repeated)} is asked for twice`;
      throw this.#bad(what, 'columns', 'name each column once');
    }
    this.#header = header;
    this.#take(columns);
  }

  /** The wanted columns, and the others that the first row has numbers in. */
  #withNumbers(record: readonly string[]): string[] {
    const { columns = [] } = this.#options;
    const others = this.#header!.filter((name, place) => {
      const text = record[place]!.trim();
      return !columns.includes(name) && (isNumber(text) || MISSING.has(text.toLowerCase()));
    });
    return [...columns, ...others];
  }

  #take(columns: readonly string[]): void {
    this.names = columns;
    this.#places = columns.map((name) => this.#header!.indexOf(name));
    this.#chunk = new Float64Array(CHUNK_ROWS * columns.length);
    for (const name of this.#options.labels ?? []) {
      if (!columns.includes(name)) continue;
      this.labels.set(name, []);
      this.#ids.set(name, new Map());
    }
  }

  #number(text: string, column: number, line: number): number {
    const value = Number(text);
    // Number() reads blank text as 0.
    if (Number.isFinite(value) && (value !== 0 || text.trim() !== '') && !PREFIXED.test(text)) return value;
    const trimmed = text.trim();
    if (MISSING.has(trimmed.toLowerCase())) {
      const shown = trimmed === '' ? 'there is no value' : `${JSON.stringify(trimmed)} is no value`;
      throw this.#bad(
        shown,
        this.#place(column, line),
        'fill in the value, remove the row, or leave out the column',
      );
    }
    if (INFINITE.test(trimmed) || Math.abs(value) === Number.POSITIVE_INFINITY) {
      throw this.#bad(
        `${shorten(trimmed)} is infinite`,
        this.#place(column, line),
        'replace the value, remove the row, or leave out the column',
      );
    }
    throw this.#bad(
      `${JSON.stringify(shorten(trimmed))} is no number`,
      this.#place(column, line),
      'leave out the column by naming the ones to use, or replace the value (a decimal point, no units)',
    );
  }

  #label(text: string, column: number, line: number, ids: Map<string, number>): number {
    const name = text.trim();
    if (name === '') throw this.#bad('there is no class', this.#place(column, line), 'fill in the value');
    let id = ids.get(name);
    if (id === undefined) {
      id = ids.size;
      ids.set(name, id);
      this.labels.get(this.names[column]!)!.push(name);
    }
    return id;
  }

  #takeChunk(): TableChunk {
    const rows = this.#chunkRows;
    this.#chunkRows = 0;
    const values = this.#chunk.slice(0, rows * this.names.length);
    return { firstRow: this.#rows - rows + 1, rows, values };
  }

  #place(column: number, line: number): string {
    return `row ${this.#rows + 1} (line ${line}), column ${JSON.stringify(this.names[column])}`;
  }

  #ragged(record: readonly string[], line: number): KronogradError {
    const expected = this.#header!.length;
    const what = `the row has ${count(record.length)}, the header ${expected}`;
    const column = record.length < expected ? this.#header![record.length]! : record[expected]!;
    const where =
      record.length < expected
        ? `row ${this.#rows + 1} (line ${line}): column ${JSON.stringify(column)} is missing`
        : `row ${this.#rows + 1} (line ${line}): ${JSON.stringify(shorten(column))} is past the last column`;
    return this.#bad(what, where, 'give every row as many values as the header, with commas quoted');
  }

  #unknown(name: string, header: readonly string[]): KronogradError {
    const same = header.find((known) => known.toLowerCase() === name.toLowerCase());
    const separator =
      header.length === 1 ? [';', '\t', '|'].find((mark) => header[0]!.includes(mark)) : undefined;
    const fix =
      separator !== undefined
        ? `separate the values with commas, not ${JSON.stringify(separator)}`
        : same !== undefined
          ? `did you mean ${JSON.stringify(same)}?`
          : `give one of ${shorten(header.join(', '), 1000)}`;
    return this.#bad(`there is no column ${JSON.stringify(name)}`, 'header', fix);
  }

  #bad(what: string, place: string | undefined, fix: string): KronogradError {
    const where = place === undefined ? this.#where : `${this.#where}: ${place}`;
    return new KronogradError('DATA', what, { where, fix });
  }
}

const isNumber = (text: string): boolean => text !== '' && Number.isFinite(Number(text));
const count = (fields: number): string => `${fields} ${fields === 1 ? 'value' : 'values'}`;
