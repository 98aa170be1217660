import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { csvChunks, parseCsv, readCsv } from '../../src/data/csv-node.js';
import { columnOf, tableValues } from '../../src/data/table.js';
import { seriesColumns, tableSeries } from '../../src/data/table-series.js';
import { SeriesWindows } from '../../src/data/windows.js';
import { KronogradError } from '../../src/errors.js';

async function refusal(action: Promise<unknown>): Promise<KronogradError> {
  const error = await action.then(
    () => new Error('nothing was thrown'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof KronogradError) return error;
  throw error;
}

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kronograd-csv-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('CSV', () => {
  test('gives the wanted columns in the wanted order; the others may hold anything', async () => {
    const table = await parseCsv('day,b,a,note\nmon,1,-2.5e1,x\ntue, +3 ,.5,\n', { columns: ['a', 'b'] });
    expect(table.names).toEqual(['a', 'b']);
    expect(table.rows).toBe(2);
    expect(table.values).toEqual(Float64Array.of(-25, 1, 0.5, 3));
    expect([...tableValues(table, ['b', 'a'])]).toEqual([1, -25, 3, 0.5]);
    expect(() => columnOf(table, 'day')).toThrow(expect.objectContaining({ code: 'DATA' }));
  });

  test.each([
    ['LF', 'a,b\n1,2\n3,4\n'],
    ['no line end at the end', 'a,b\n1,2\n3,4'],
    ['CRLF', 'a,b\r\n1,2\r\n3,4\r\n'],
    ['CR', 'a,b\r1,2\r3,4\r'],
    ['mixed line ends', 'a,b\n1,2\r\n3,4\r\n'],
    ['a byte-order mark', '\uFEFFa,b\r\n1,2\r\n3,4\r\n'],
    ['quotes', '"a","b"\n"1",2\n3,"4"\n'],
    ['spaces', ' a , b \n 1 , 2 \n3,4\n'],
    ['empty lines at the end', 'a,b\n1,2\n3,4\n\n\r\n  \n'],
    ['empty lines before the header', '\n\na,b\n1,2\n3,4\n'],
  ])('accepts %s', async (_name, text) => {
    const table = await parseCsv(text, { columns: ['b', 'a'] });
    expect(table.values).toEqual(Float64Array.of(2, 1, 4, 3));
  });

  test('reads back any finite numbers', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer()), {
          minLength: 1,
          maxLength: 50,
        }),
        fc.constantFrom('\n', '\r\n'),
        async (rows, end) => {
          const text = ['x,y', ...rows.map((row) => row.map(String).join(','))].join(end);
          const table = await parseCsv(text);
          expect(tableValues(table)).toEqual(Float64Array.from(rows.flat(), (value) => value + 0)); // String(-0) is 0
        },
      ),
      { numRuns: 50 },
    );
  });

  test('takes other columns too where they begin with a number, or with none where one could be', async () => {
    const options = { columns: ['y'], numericOthers: true };
    const table = await parseCsv('day,a,y,note,b\n2026-01-01,1,0,x,-2e3\n2026-01-02,2,1,3,4\n', options);
    expect(table.names).toEqual(['y', 'a', 'b']);
    expect(table.values).toEqual(Float64Array.of(0, 1, -2000, 1, 2, 4));
    const text = await refusal(parseCsv('a,y\n1,0\nx,1\n', options));
    expect(text).toMatchObject({ code: 'DATA', where: 'CSV: row 2 (line 3), column "a"' });
    const missing = await refusal(parseCsv('a,y\nNA,0\n2,1\n', options));
    expect(missing).toMatchObject({ code: 'DATA', where: 'CSV: row 1 (line 2), column "a"' });
  });

  test('numbers classes in order of first appearance', async () => {
    const table = await parseCsv('x,kind\n1,sun\n2,rain\n3, sun\n', { labels: ['kind'] });
    expect([...columnOf(table, 'kind')]).toEqual([0, 1, 0]);
    expect(table.labels.get('kind')).toEqual(['sun', 'rain']);
    const error = await refusal(parseCsv('x,kind\n1,\n', { labels: ['kind'] }));
    expect(error.where).toBe('CSV: row 1 (line 2), column "kind"');
  });

  const ROW_2_B = 't.csv: row 2 (line 3), column "b"';
  test.each([
    ['an empty file', '', 'the file is empty', 't.csv'],
    ['a byte-order mark alone', '\uFEFF', 'the file is empty', 't.csv'],
    ['empty lines alone', '\n\r\n', 'the file is empty', 't.csv'],
    ['a header alone', 'a,b\n', 'no rows', 't.csv'],
    ['no header', '1,2\n3,4\n', 'numbers where names are expected', 't.csv: header'],
    ['a missing value', 'a,b\n1,2\n3,\n', 'there is no value', ROW_2_B],
    ['a blank value', 'a,b\n1,2\n3,"  "\n', 'there is no value', ROW_2_B],
    ['NA', 'a,b\n1,2\n3,NA\n', '"NA" is no value', ROW_2_B],
    ['NaN', 'a,b\n1,2\n3,NaN\n', '"NaN" is no value', ROW_2_B],
    ['infinity', 'a,b\r\n1,2\r\n3,-Infinity\r\n', '-Infinity is infinite', ROW_2_B],
    ['inf', 'a,b\n1,2\n3,inf\n', 'inf is infinite', ROW_2_B],
    ['a number too large', 'a,b\n1,2\n3,1e999\n', '1e999 is infinite', ROW_2_B],
    ['text', 'a,b\n1,2\n3,12 kg\n', '"12 kg" is no number', ROW_2_B],
    ['a decimal comma', 'a,b\n1,2\n3,"1,5"\n', '"1,5" is no number', ROW_2_B],
    ['a hexadecimal number', 'a,b\n1,2\n3,0x10\n', '"0x10" is no number', ROW_2_B],
    ['NUL', 'a,b\n1,2\n3,\0\n', '"\\u0000" is no number', ROW_2_B],
    ['a short row', 'a,b\n1,2\n3\n', 'has 1 value, the header 2', 'row 2 (line 3): column "b" is missing'],
    ['a long row', 'a,b\n1,2\n3,4,5\n', 'has 3 values, the header 2', '"5" is past the last column'],
    ['an empty line between rows', 'a,b\n1,2\n\n3,4\n', 'the line is empty', 't.csv: row 2 (line 3)'],
    ['a duplicate header', 'a,b,a\n1,2,3\n', 'two columns have the name "a"', 'header, columns 1 and 3'],
    ['a nameless column', 'a,,b\n1,2,3\n', 'a column has no name', 'header, column 2'],
    ['a quote never closed', 'a,b\n1,"2\n3,4\n5,6\n', 'never closed', 't.csv: line'],
    ['a quote inside a value', 'a,b\n1,2"3\n', 'this is not CSV', 't.csv: line 2'],
  ])('refuses %s', async (_name, text, what, where) => {
    const error = await refusal(parseCsv(text, {}, 't.csv'));
    expect(error.code).toBe('DATA');
    expect(error.message).toContain(what);
    expect(error.where).toContain(where);
    expect(error.fix).toBeTruthy();
  });

  test('counts rows without the header and lines with everything', async () => {
    const error = await refusal(parseCsv('a,note\n1,"two\nlines"\n2,x\nbad,y\n', { columns: ['a'] }));
    expect(error.where).toBe('CSV: row 3 (line 5), column "a"');
  });

  test.each([
    ['Temp', 'did you mean "temp"?'],
    ['wind', 'give one of day, temp, rain'],
  ])('an unknown column %s lists the known ones', async (name, fix) => {
    const error = await refusal(parseCsv('day,temp,rain\n1,2,3\n', { columns: [name] }, 'weather.csv'));
    expect(error).toMatchObject({
      code: 'DATA',
      message: `there is no column "${name}"`,
      where: 'weather.csv: header',
      fix,
    });
  });

  test('knows semicolons, and columns asked for twice', async () => {
    const error = await refusal(parseCsv('a;b\n1;2\n', { columns: ['a'] }));
    expect(error.fix).toBe('separate the values with commas, not ";"');
    expect((await refusal(parseCsv('a\n1\n', { columns: ['a', 'a'] }))).code).toBe('DATA');
  });

  test('refuses a file that is not there, and a folder', async () => {
    const missing = join(folder, 'missing.csv');
    expect(await refusal(readCsv(missing))).toMatchObject({ code: 'STORAGE', where: missing });
    expect((await refusal(readCsv(folder))).message).toBe('this is a folder, not a file');
  });

  test('a file of many chunks is the same rows, and reading can stop early', async () => {
    const path = join(folder, 'long.csv');
    const rows = 10_000;
    const lines = Array.from({ length: rows }, (_, i) => `${i},note ${i},${i / 8}`);
    await writeFile(path, `i,note,x\r\n${lines.join('\r\n')}\r\n`);
    const table = await readCsv(path, { columns: ['x', 'i'] });
    expect(table.rows).toBe(rows);
    expect(columnOf(table, 'i').every((value, i) => value === i)).toBe(true);
    expect(columnOf(table, 'x').every((value, i) => value === i / 8)).toBe(true);
    let next = 1;
    for await (const { firstRow, rows: length, values } of csvChunks(path, { columns: ['i'] })) {
      expect(firstRow).toBe(next);
      expect(values.length).toBe(length);
      next += length;
      if (next > 5000) break;
    }
    expect(next).toBeLessThan(rows);
  });

  test('a table of a file has its rows in one place, with little to spare', async () => {
    const path = join(folder, 'many.csv');
    const rows = 60_000;
    await writeFile(path, `x,y\n${Array.from({ length: rows }, (_, i) => `${i},${-i}\n`).join('')}`);
    const { values } = await readCsv(path);
    expect(values.length).toBe(2 * rows);
    expect(values.every((value, i) => value === (i % 2 === 0 ? i / 2 : -(i - 1) / 2))).toBe(true);
    expect(values.buffer.byteLength).toBeLessThan(2 * values.byteLength);
    // Without a size to go by, as of a text.
    const text = await parseCsv(await readFile(path));
    expect(text.values).toEqual(values);
  });

  test('memory stays flat: a file of 40 MB passes in far less', async () => {
    const path = join(folder, 'large.csv');
    const line = `1.5,${'-'.repeat(995)}\n`;
    await writeFile(path, `x,note\n${line.repeat(40_000)}`);
    let most = 0;
    let rows = 0;
    const held = () => process.memoryUsage().external;
    const before = held();
    for await (const chunk of csvChunks(path, { columns: ['x'] })) {
      rows += chunk.rows;
      most = Math.max(most, held() - before);
    }
    expect(rows).toBe(40_000);
    expect(most).toBeLessThan(20e6);
  });
});

describe('a table as a series', () => {
  const text = 'day,temp,rain\nx,1,10\nx,2,20\nx,3,30\nx,4,40\n';

  test('the target alone by default', async () => {
    const options = { target: 'rain', window: 2, horizon: 1 };
    expect(seriesColumns(options)).toEqual(['rain']);
    const series = tableSeries(await parseCsv(text, { columns: seriesColumns(options) }), options);
    expect(series).toMatchObject({ columns: 1, targetColumn: 0, inputColumns: [0] });
    const all = await parseCsv(text, { columns: ['temp', 'rain'] });
    expect(tableSeries(all, options)).toEqual(series);
    // What is there already is not copied.
    const both = tableSeries(all, { ...options, features: ['temp', 'rain'] });
    expect(both.values).toBe(all.values);
    expect(new SeriesWindows(series).targetOf(0)).toBe(30);
  });

  test('a target that is no feature is forecast and not shown', async () => {
    const options = { target: 'rain', features: ['temp'], window: 2, horizon: 2 };
    const series = tableSeries(await parseCsv(text, { columns: seriesColumns(options) }), options);
    const windows = new SeriesWindows(series);
    expect(windows.features).toBe(1);
    expect(windows.targetOf(0)).toBe(40);
    expect(() => seriesColumns({ target: 'rain', features: [] })).toThrow(
      expect.objectContaining({ code: 'OPTION' }),
    );
  });
});
