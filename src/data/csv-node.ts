/** CSV files in Node, read as a stream: a file of any size takes the memory of the columns that are wanted. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { CsvError, type Options, parse } from 'csv-parse';
import { KronogradError } from '../errors.js';
import { type CsvOptions, CsvReader } from './csv.js';
import { type Table, TableBuilder, type TableChunk } from './table.js';

/** No record is longer, in characters: an unclosed quote must not swallow the file. */
const LONGEST_RECORD = 2 ** 20;

/**
 * The wanted columns of a CSV file. The first record is the header; lines may end in LF, CRLF or CR, and a byte-order
 * mark may come first. Throws DATA, with row and column, for anything that is not a finite number in a wanted column,
 * for a record that is not as long as the header, and for columns that are missing, nameless or there twice; STORAGE
 * for a file that cannot be read.
 */
export async function readCsv(path: string, options: CsvOptions = {}): Promise<Table> {
  const source = createReadStream(path);
  // What is no file has no size, and what cannot be read says so when it is read.
  const { size } = await stat(path).catch(() => ({ size: 0 }));
  const share = () => (size > 0 ? Math.min(1, source.bytesRead / size) : 0);
  return collect(source, new CsvReader(options, path), path, share);
}

/** The same of a text in memory; `where` names it in errors. */
export async function parseCsv(
  text: string | Uint8Array,
  options: CsvOptions = {},
  where = 'CSV',
): Promise<Table> {
  return collect(Readable.from([Buffer.from(text)]), new CsvReader(options, where), where);
}

/** The wanted columns of a CSV file in chunks of rows, one in memory at a time: for what is fitted by streaming. */
export function csvChunks(
  path: string,
  options: CsvOptions = {},
): AsyncGenerator<TableChunk, void, undefined> {
  return chunks(createReadStream(path), new CsvReader(options, path), path);
}

/** `share` of the source, from 0 to 1, that has been read; 0: not known. */
async function collect(
  source: Readable,
  reader: CsvReader,
  where: string,
  share: () => number = () => 0,
): Promise<Table> {
  const table = new TableBuilder();
  for await (const chunk of chunks(source, reader, where)) table.add(chunk, share());
  return table.build(reader);
}

async function* chunks(
  source: Readable,
  reader: CsvReader,
  where: string,
): AsyncGenerator<TableChunk, void, undefined> {
  // What the reader gives back takes the record's place in the stream: a chunk, or nothing.
  const takeRecord = (record: string[], { lines }: { readonly lines: number }) => reader.add(record, lines);
  const parser = parse({
    bom: true,
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_column_count: true, // the reader says where, and which column
    max_record_size: LONGEST_RECORD,
    on_record: takeRecord as unknown as NonNullable<Options['on_record']>, // its type knows records of text only
  });
  // Closes both when either fails or nobody reads on; the error itself comes out of the loop below.
  pipeline(source, parser, () => {});
  try {
    yield* parser as unknown as AsyncIterable<TableChunk>;
  } catch (error) {
    throw typed(error, where);
  }
  const last = reader.end();
  if (last !== undefined) yield last;
}

function typed(error: unknown, where: string): unknown {
  if (error instanceof KronogradError) return error;
  if (error instanceof CsvError) {
    const { lines } = error as CsvError & { readonly lines?: number };
    const unclosed = error.code === 'CSV_QUOTE_NOT_CLOSED' || error.code === 'CSV_MAX_RECORD_SIZE';
    const what = unclosed
      ? 'a quote is opened and never closed, or a row is longer than a million characters'
      : `this is not CSV: ${error.message}`;
    return new KronogradError('DATA', what, {
      where: lines === undefined ? where : `${where}: line ${lines}`,
      fix: 'close the quote, or double the quotes inside a quoted value',
      cause: error,
    });
  }
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  const what =
    code === 'ENOENT'
      ? 'there is no such file'
      : code === 'EISDIR'
        ? 'this is a folder, not a file'
        : `the file cannot be read (${code})`;
  return new KronogradError('STORAGE', what, {
    where,
    fix: 'give the path of a file you can read',
    cause: error,
  });
}
