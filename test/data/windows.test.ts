import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  classPrior,
  constantForecast,
  meanTarget,
  persistence,
  ratePrior,
  seasonalNaive,
} from '../../src/data/baselines.js';
import { SequenceStream } from '../../src/data/sequences.js';
import { SeriesWindows, seriesWindows, splitRows, standardiseSeries } from '../../src/data/windows.js';

/** Row i is [i, 100 + i]. */
const rising = (rows: number) =>
  Float64Array.from({ length: 2 * rows }, (_, i) => (i % 2) * 100 + Math.floor(i / 2));
const base = { columns: 2, targetColumn: 1, window: 3, horizon: 2 };

describe('SeriesWindows', () => {
  test('shows T steps and asks for the value H steps after the last', () => {
    const windows = new SeriesWindows({ ...base, values: rising(7) });
    expect(windows.count).toBe(3);
    const { inputs, targets } = new SequenceStream(windows, { batch: 2 }).at(0);
    expect([...inputs]).toEqual([0, 100, 1, 101, 1, 101, 2, 102, 2, 102, 3, 103]);
    expect([...targets]).toEqual([104, 105]);
  });

  test('shows the named columns only', () => {
    const windows = new SeriesWindows({ ...base, values: rising(7), inputColumns: [0] });
    expect(windows.features).toBe(1);
    expect([...new SequenceStream(windows, { batch: 1 }).at(2).inputs]).toEqual([2, 3, 4]);
  });

  test('no window reaches across the split, every one is in its part, none is missing', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 20, max: 120 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        fc.double({ min: 0.4, max: 0.45, noNaN: true }),
        fc.double({ min: 0.4, max: 0.45, noNaN: true }),
        (rows, window, horizon, validation, testPart) => {
          fc.pre(
            Object.values(splitRows(rows, { validation, test: testPart })).every(
              ({ begin, end }) => end - begin >= window + horizon,
            ),
          );
          const series = { values: rising(rows), columns: 2, targetColumn: 0, window, horizon };
          const parts = seriesWindows(series, { validation, test: testPart });
          let before = 0;
          for (const part of [parts.training, parts.validation!, parts.test!]) {
            expect(part.rows.begin).toBe(before);
            before = part.rows.end;
            expect(part.count).toBe(part.rows.end - part.rows.begin - window - horizon + 1);
            const stream = new SequenceStream(part, { batch: part.count, shuffle: { seed: 1 } });
            const { inputs, targets } = stream.at(0);
            for (let i = 0; i < inputs.length; i += 2) {
              expect(inputs[i]!).toBeGreaterThanOrEqual(part.rows.begin);
              expect(inputs[i]!).toBeLessThan(part.rows.end - horizon);
            }
            for (const target of targets) expect(target).toBeLessThan(part.rows.end);
            expect(new Set(targets).size).toBe(part.count);
            // Each target is H after the last input of its own window.
            for (let s = 0; s < part.count; s += 1)
              expect(targets[s]).toBe(inputs[((window - 1) * part.count + s) * 2]! + horizon);
          }
          expect(before).toBe(rows);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a fraction of 0 leaves a part out', () => {
    const parts = seriesWindows({ ...base, values: rising(20) }, { validation: 0.5, test: 0 });
    expect(parts.test).toBeUndefined();
    expect(parts.validation!.rows).toEqual({ begin: 10, end: 20 });
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses %s with its row and column', (bad) => {
    const values = rising(10);
    values[7] = bad;
    expect(() => new SeriesWindows({ ...base, values })).toThrow(
      expect.objectContaining({ code: 'DATA', where: 'row 4, column 2' }),
    );
    // A column that nothing reads may hold anything.
    expect(new SeriesWindows({ ...base, values, targetColumn: 0, inputColumns: [0] }).count).toBe(6);
  });

  test('refuses too few rows, saying how many it takes', () => {
    expect(() => new SeriesWindows({ ...base, values: rising(4) })).toThrow(
      expect.objectContaining({
        code: 'DATA',
        message: expect.stringMatching(/take 5 rows, there are 4/),
      }),
    );
  });

  test.each([
    { window: 0 },
    { window: 1.5 },
    { horizon: 0 },
    { targetColumn: 2 },
    { inputColumns: [2] },
    { inputColumns: [] },
    { columns: 0 },
  ])('refuses %j', (options) => {
    const series = { ...base, values: rising(20), ...options };
    expect(() => seriesWindows(series)).toThrow(expect.objectContaining({ code: 'OPTION' }));
  });

  test('refuses parts of rows and impossible fractions', () => {
    expect(() => new SeriesWindows({ ...base, values: new Float64Array(21) })).toThrow(
      expect.objectContaining({ code: 'SHAPE' }),
    );
    for (const fractions of [
      { validation: 1, test: 0 },
      { validation: 0.5, test: 0.5 },
      { validation: -0.1, test: 0 },
      { validation: Number.NaN, test: 0 },
    ])
      expect(() => splitRows(10, fractions)).toThrow(expect.objectContaining({ code: 'OPTION' }));
  });
});

describe('standardiseSeries', () => {
  test('knows the training rows only, and turns forecasts back', () => {
    const series = { ...base, values: rising(40) };
    const { training } = splitRows(40);
    const { series: standardised, standardiser } = standardiseSeries(series, training);
    expect(standardiser.rows).toBe(training.end);
    const column = standardised.values.filter((_, i) => i % 2 === 1);
    const mean = column.slice(0, training.end).reduce((sum, value) => sum + value, 0) / training.end;
    expect(mean).toBeCloseTo(0, 12);
    const changed = rising(40);
    changed.fill(1e6, 2 * training.end);
    const other = standardiseSeries({ ...base, values: changed }, training);
    expect(other.standardiser.toJSON()).toEqual(standardiser.toJSON());
    const target = new SeriesWindows(standardised).targetOf(0);
    expect(standardiser.inverseOf(1, target)).toBeCloseTo(new SeriesWindows(series).targetOf(0), 10);
    expect(series.values).toEqual(rising(40));
    const same = standardiseSeries(series, training, { overwrite: true });
    expect(same.series.values).toBe(series.values);
    expect(same.series.values).toEqual(standardised.values);
    expect(same.standardiser.toJSON()).toEqual(standardiser.toJSON());
  });
});

describe('baselines', () => {
  test('persistence is off by the slope times the horizon', () => {
    const windows = new SeriesWindows({ ...base, values: rising(30) });
    expect(persistence(windows)).toEqual({ meanAbsolute: 2, meanSquared: 4, count: 26 });
  });

  test('seasonal-naive is exact on a periodic series, at any horizon', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 4 }),
        (period, horizon, window) => {
          const values = Float64Array.from({ length: 80 }, (_, i) => Math.sin(i % period));
          const series = { values, columns: 1, targetColumn: 0, window, horizon };
          const windows = new SeriesWindows(series, { begin: 30, end: 80 });
          expect(seasonalNaive(windows, period)).toMatchObject({ meanAbsolute: 0, meanSquared: 0 });
        },
      ),
      { numRuns: 50 },
    );
  });

  test('seasonal-naive looks no further than the window ends, and falls back where nothing is known', () => {
    const windows = new SeriesWindows({ ...base, values: rising(30), horizon: 3 });
    expect(seasonalNaive(windows, 2).meanAbsolute).toBe(4); // two periods of 2, not one
    expect(seasonalNaive(windows, 100)).toEqual(persistence(windows));
  });

  test('the mean is the best constant', () => {
    const windows = new SeriesWindows({ ...base, values: rising(30) });
    const mean = meanTarget(windows);
    expect(mean).toBeCloseTo(116.5, 10);
    const { meanSquared } = constantForecast(windows, mean);
    expect(constantForecast(windows, mean + 0.1).meanSquared).toBeGreaterThan(meanSquared);
  });

  test('the class prior, by hand', () => {
    const { crossEntropy, accuracy } = classPrior([0, 0, 1], [0, 1, 2, 0], 3);
    expect(crossEntropy).toBeCloseTo(-(2 * Math.log(3 / 6) + Math.log(2 / 6) + Math.log(1 / 6)) / 4, 12);
    expect(accuracy).toBe(0.5);
    for (const bad of [3, -1, 0.5, Number.NaN])
      expect(() => classPrior([0], [bad], 3)).toThrow(expect.objectContaining({ code: 'DATA' }));
    expect(() => classPrior([0], [], 3)).toThrow(expect.objectContaining({ code: 'DATA' }));
  });

  test('the rate prior, by hand', () => {
    const { crossEntropy, accuracy } = ratePrior([1, 0, 1, 0], [1, 1], 2);
    expect(crossEntropy).toBeCloseTo(-Math.log(3 / 4) - Math.log(1 / 4), 12);
    expect(accuracy).toBe(0.5);
  });
});
