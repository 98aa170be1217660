import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Standardiser } from '../../src/data/standardise.js';

const { cases } = JSON.parse(readFileSync(new URL('preprocessing.json', import.meta.url), 'utf8'));
const fixture = cases.find((each: { name: string }) => each.name === 'standardise');

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < actual.length; i += 1)
    expect(Math.abs(actual[i]! - expected[i]!), `element ${i}`).toBeLessThanOrEqual(
      tolerance * Math.max(1, Math.abs(expected[i]!)),
    );
}

/** Mean and N - 1 deviation by definition, in two passes. */
function twoPass(rows: Float64Array, features: number) {
  const n = rows.length / features;
  return Array.from({ length: features }, (_, j) => {
    let mean = 0;
    for (let i = 0; i < n; i += 1) mean += rows[i * features + j]! / n;
    let squares = 0;
    for (let i = 0; i < n; i += 1) squares += (rows[i * features + j]! - mean) ** 2;
    return { mean, std: n === 1 ? 0 : Math.sqrt(squares / (n - 1)) };
  });
}

describe('Standardiser', () => {
  test('gives the golden values of Sherstinsky eq. 118-120', () => {
    const input = Float64Array.from(fixture.input.data);
    const fitted = Standardiser.fit(input, 4);
    expectClose(fitted.mean, fixture.expected.mean.data, 1e-12);
    expectClose(fitted.std, fixture.expected.std.data, 1e-10);
    expect(fitted.constant).toEqual(fixture.expected.constant);
    expectClose(fitted.transform(input), fixture.expected.output.data, 1e-10);
    expectClose(fitted.inverse(fitted.transform(input)), input, 1e-12);
  });

  test('equals two passes, however the rows are cut, and inverts', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }).chain((features) =>
          fc.tuple(
            fc.constant(features),
            fc.double({ min: -1e6, max: 1e6, noNaN: true }), // far from 0, where the naive formula fails
            fc.array(
              fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: features, maxLength: features }),
              { minLength: 1, maxLength: 40 },
            ),
            fc.nat(),
          ),
        ),
        ([features, offset, rows, cut]) => {
          const all = Float64Array.from(rows.flat(), (value) => offset + value / 64);
          const at = (cut % (rows.length + 1)) * features;
          const fitted = new Standardiser(features).add(all.subarray(0, at)).add(all.subarray(at));
          const expected = twoPass(all, features);
          expectClose(
            fitted.mean,
            Float64Array.from(expected, (e) => e.mean),
            1e-9,
          );
          fitted.std.forEach((std, j) => {
            if (fitted.constant[j]) expect(std).toBe(0);
            else expect(Math.abs(std - expected[j]!.std)).toBeLessThanOrEqual(1e-6 * expected[j]!.std);
          });
          const transformed = fitted.transform(all);
          expectClose(fitted.inverse(transformed), all, 1e-9);
          expect(transformed.every(Number.isFinite)).toBe(true);
        },
      ),
      { numRuns: 200 },
    );
  });

  test('a constant feature becomes 0, also where rounding would leave a variance', () => {
    // The mean of ten 0.1 is not 0.1 when summed up naively.
    const rows = new Float64Array(10).fill(0.1);
    const fitted = Standardiser.fit(rows, 1);
    expect(fitted.constant).toEqual([true]);
    expect([...fitted.transform(rows)]).toEqual(new Array(10).fill(0));
    expect([...fitted.transform(Float64Array.of(1.1))]).toEqual([1]);
    expect([...fitted.inverse(Float64Array.of(0))]).toEqual([0.1]);
    expect(Standardiser.fit(Float64Array.of(7), 1).constant).toEqual([true]); // one row
  });

  test('keeps the type of the rows and leaves them alone', () => {
    const rows = Float32Array.of(1, 2, 3, 5);
    const fitted = Standardiser.fit(rows, 2);
    expect(fitted.transform(rows)).toBeInstanceOf(Float32Array);
    expect([...rows]).toEqual([1, 2, 3, 5]);
    expect(fitted.inverseOf(1, fitted.transform(rows)[1]!)).toBeCloseTo(2, 6);
  });

  test('survives JSON bit for bit, and goes on fitting', () => {
    const rows = Float64Array.from({ length: 60 }, (_, i) => Math.sin(i * i) * 10 ** (i % 3));
    const half = Standardiser.fit(rows.subarray(0, 30), 3);
    const copy = Standardiser.fromJSON(JSON.parse(JSON.stringify(half)), 'checkpoint');
    expect(copy.transform(rows)).toEqual(half.transform(rows));
    expect(copy.add(rows.subarray(30)).toJSON()).toEqual(Standardiser.fit(rows, 3).toJSON());
  });

  const saved = Standardiser.fit(Float64Array.of(1, 2), 1).toJSON();
  test.each([
    ['null', null],
    ['a list', []],
    ['no rows', { ...saved, rows: 0 }],
    ['rows that are no number', { ...saved, rows: '2' }],
    ['NaN, which JSON makes null', { ...saved, mean: [null] }],
    ['no features', { rows: 1, mean: [], squares: [], min: [], max: [] }],
    ['different lengths', { ...saved, squares: [1, 2] }],
    ['a missing list', { ...saved, max: undefined }],
    ['min above max', { ...saved, min: [3] }],
    ['a negative variance', { ...saved, squares: [-1] }],
  ])('refuses %s as JSON', (_name, value) => {
    expect(() => Standardiser.fromJSON(value, 'checkpoint')).toThrow(
      expect.objectContaining({ code: 'DATA', where: 'checkpoint' }),
    );
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses %s with its row and column', (bad) => {
    const fitted = Standardiser.fit(Float64Array.of(1, 2, 3, 4), 2);
    expect(() => fitted.add(Float64Array.of(1, 2, 3, bad))).toThrow(
      expect.objectContaining({ code: 'DATA', where: 'row 4, column 2' }),
    );
    expect(fitted.rows).toBe(3);
  });

  test('refuses a part of a row, no rows, and numbers too far apart', () => {
    expect(() => Standardiser.fit(new Float64Array(5), 2)).toThrow(
      expect.objectContaining({ code: 'SHAPE' }),
    );
    const data = expect.objectContaining({ code: 'DATA' });
    expect(() => new Standardiser(2).transform(new Float64Array(2))).toThrow(data);
    expect(() => new Standardiser(2).toJSON()).toThrow(data);
    const far = Standardiser.fit(Float64Array.of(-1e300, 1e300), 1);
    expect(() => far.transform(Float64Array.of(0))).toThrow(data);
    expect(() => new Standardiser(0)).toThrow(expect.objectContaining({ code: 'OPTION' }));
  });
});
