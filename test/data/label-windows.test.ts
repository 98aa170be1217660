import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LabelWindows } from '../../src/data/label-windows.js';
import { SequenceStream } from '../../src/data/sequences.js';
import { type Table, tableLabels } from '../../src/data/table.js';

describe('LabelWindows', () => {
  test('shows T rows of the input columns, and stands for the labels of the last', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 13 }),
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 3 }),
        fc.nat(5),
        (count, T, c, begin) => {
          const n = begin + T + count - 1 + 2;
          // Row i is [-1, i].
          const values = Float64Array.from({ length: 2 * n }, (_, at) => (at % 2 === 0 ? -1 : (at - 1) / 2));
          const labels = Uint8Array.from({ length: n * c }, (_, at) => ((at * at + at) % 3) & 1);
          const series = { values, columns: 2, inputColumns: [1], window: T, labels };
          const windows = new LabelWindows(series, { begin, end: n - 2 });
          expect(windows).toMatchObject({ count, features: 1, steps: T, target: { size: c } });
          const r = count;
          const { inputs, targets } = new SequenceStream(windows, { batch: r }).at(0);
          for (let j = 0; j < r; j += 1) {
            for (let t = 0; t < T; t += 1) expect(inputs[t * r + j]).toBe(begin + j + t);
            const row = begin + j + T - 1;
            expect([...targets.subarray(j * c, (j + 1) * c)]).toEqual([
              ...labels.subarray(row * c, (row + 1) * c),
            ]);
          }
          expect([...windows.labels]).toEqual([...targets]);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('refuses labels that are not as many for each row, and too few rows', () => {
    const series = { values: new Float64Array(4), columns: 1, window: 2 };
    expect(() => new LabelWindows({ ...series, labels: new Uint8Array(6) })).toThrow(
      expect.objectContaining({ code: 'SHAPE', where: 'labels' }),
    );
    expect(() => new LabelWindows({ ...series, labels: new Uint8Array(0) })).toThrow(
      expect.objectContaining({ code: 'OPTION', where: 'labels of a row' }),
    );
    expect(() => new LabelWindows({ ...series, window: 5, labels: new Uint8Array(4) })).toThrow(
      expect.objectContaining({ code: 'DATA', message: 'a window of 5 steps takes 5 rows, there are 4' }),
    );
  });
});

describe('tableLabels', () => {
  const table = (values: number[]): Table => ({
    ...{ names: ['x', 'A', 'B'], rows: values.length / 3, labels: new Map() },
    values: Float64Array.from(values),
  });

  test('takes columns of 0 and 1 out of a table', () => {
    expect([...tableLabels(table([7, 0, 1, 8, 1, 1]), ['B', 'A'], 't')]).toEqual([1, 0, 1, 1]);
  });

  test.each([2, 0.5, -1])('refuses %d with its row and column', (bad) => {
    expect(() => tableLabels(table([7, 0, 1, 8, 1, bad]), ['A', 'B'], 't.csv')).toThrow(
      expect.objectContaining({ code: 'DATA', where: 't.csv: row 2, column "B"' }),
    );
  });

  test('refuses a column that is not there', () => {
    expect(() => tableLabels(table([7, 0, 1]), ['C'], 't')).toThrow(
      expect.objectContaining({ code: 'DATA' }),
    );
  });
});
