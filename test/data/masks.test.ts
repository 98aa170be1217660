import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lengthsOfMask, maskOfLengths } from '../../src/data/masks.js';

describe('masks', () => {
  test('are the inverse of lengths', () => {
    fc.assert(
      fc.property(
        fc
          .integer({ min: 1, max: 9 })
          .chain((steps) =>
            fc.tuple(
              fc.constant(steps),
              fc.array(fc.integer({ min: 1, max: steps }), { minLength: 1, maxLength: 6 }),
            ),
          ),
        ([steps, lengths]) => {
          expect([...lengthsOfMask(maskOfLengths(lengths, steps), steps, lengths.length)]).toEqual(lengths);
        },
      ),
    );
  });

  test.each([0, 4, -1, 1.5, Number.NaN])('refuse the length %s of 3 steps', (length) => {
    expect(() => maskOfLengths([2, length], 3)).toThrow(
      expect.objectContaining({ code: 'DATA', where: 'sequence 1' }),
    );
  });

  test.each([
    ['a hole', [1, 1, 1, 0, 1, 1], 'hole'],
    ['a late start', [1, 0, 1, 1, 1, 1], 'hole'],
    ['a weight', [1, 1, 1, 0.5, 1, 0], '0.5'],
    ['NaN', [1, Number.NaN, 1, 0, 1, 0], 'NaN'],
    ['an empty sequence', [1, 0, 1, 0, 1, 0], '0 steps'],
  ])('refuse %s', (_name, mask, what) => {
    expect(() => lengthsOfMask(mask, 3, 2)).toThrow(
      expect.objectContaining({
        code: 'DATA',
        message: expect.stringContaining(what),
        where: expect.stringContaining('sequence 1'),
      }),
    );
  });

  test('refuse another size', () => {
    expect(() => lengthsOfMask([1, 1], 3, 2)).toThrow(expect.objectContaining({ code: 'SHAPE' }));
  });
});
