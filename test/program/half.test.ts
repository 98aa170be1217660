/** Rounding to 16-bit floats against all of them, and against what lies between. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { bitsOfHalf, halfOfBits, roundToHalf } from '../../src/program/half.js';

const LARGEST = 0x7bff; // 65504
/** All halves from 0 to the largest, in order. */
const halves = Array.from({ length: LARGEST + 1 }, (_, bits) => halfOfBits(bits));

it('knows the halves by their bits', () => {
  expect([0x0000, 0x0001, 0x0400, 0x3555, 0x3c00, 0x7bff, 0xc000].map(halfOfBits)).toEqual([
    ...[0, 2 ** -24, 2 ** -14, 0.333251953125, 1, 65504, -2],
  ]);
  for (let bits = 0; bits < 0x10000; bits++) {
    const half = halfOfBits(bits);
    if (Number.isNaN(half)) expect(bitsOfHalf(half)).toBe(0x7e00);
    else if (bitsOfHalf(half) !== bits) throw new Error(`${bits} came back as ${bitsOfHalf(half)}`);
  }
  expect(halves.every((half, i) => i === 0 || half > halves[i - 1]!)).toBe(true);
});

it('leaves halves as they are, -0, infinities and NaN as well', () => {
  for (const half of [...halves, Number.POSITIVE_INFINITY])
    if (!Object.is(roundToHalf(half), half) || !Object.is(roundToHalf(-half), -half))
      throw new Error(`${half} is rounded to ${roundToHalf(half)}`);
  expect(roundToHalf(Number.NaN)).toBeNaN();
});

it('rounds to the nearest, half way to the one whose last bit is 0', () => {
  const around = [...halves, 2 ** 16];
  for (let i = 0; i < halves.length; i++) {
    const [below, above] = [around[i]!, around[i + 1]!];
    const middle = (below + above) / 2;
    const even = i % 2 === 0 ? below : above;
    // Nearer to the middle than float32 can tell: to round to float32 first would be wrong.
    const wanted = [below, even, above].map((x) => (x === 2 ** 16 ? Number.POSITIVE_INFINITY : x));
    const found = [middle * (1 - 2 ** -40), middle, middle * (1 + 2 ** -40)].map(roundToHalf);
    if (wanted.some((x, k) => x !== found[k])) throw new Error(`about ${middle}: ${found}, not ${wanted}`);
    if (roundToHalf(-middle) !== -wanted[1]!) throw new Error(`-${middle} is not rounded as ${middle}`);
  }
});

it('rounds to the nearest wherever between two', () => {
  const place = fc.integer({ min: 0, max: halves.length - 2 });
  fc.assert(
    fc.property(place, fc.double({ min: 0, max: 1, noNaN: true }), (n, part) => {
      const [below, above] = [halves[n]!, halves[n + 1]!];
      const x = below + part * (above - below);
      const nearest = x - below === above - x ? halves[n + (n % 2)]! : x - below < above - x ? below : above;
      expect(roundToHalf(x)).toBe(nearest);
      expect(roundToHalf(-x)).toBe(-nearest);
    }),
  );
});

it('keeps the smallest and the largest float64 numbers apart', () => {
  expect([5e-324, 2 ** -25, 2 ** -25 * (1 + 2 ** -52), 1e300, -1e300].map(roundToHalf)).toEqual([
    ...[0, 0, 2 ** -24, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  ]);
});
