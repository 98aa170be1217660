import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type LinePoint, strongWolfe } from '../../src/optim/strong-wolfe.js';

const OPTIONS = { decrease: 1e-4, flatness: 0.1, maxEvaluations: 60 };

type Line = (distance: number) => readonly [loss: number, slope: number];

/** The point found, and how often the line was looked at. */
async function search(line: Line, first: number, options = OPTIONS) {
  let evaluations = 0;
  const at = (distance: number): LinePoint => {
    const [loss, slope] = line(distance);
    return { distance, loss, slope };
  };
  const start = at(0);
  const evaluate = async (distance: number) => {
    evaluations += 1;
    return at(distance);
  };
  return { start, found: await strongWolfe(evaluate, start, first, options), evaluations };
}

function expectWolfe(start: LinePoint, found: LinePoint | null): void {
  expect(found).not.toBeNull();
  const { distance, loss, slope } = found!;
  expect(loss).toBeLessThanOrEqual(start.loss + OPTIONS.decrease * distance * start.slope);
  expect(Math.abs(slope)).toBeLessThanOrEqual(OPTIONS.flatness * Math.abs(start.slope));
}

describe('finds a point that obeys both conditions', () => {
  test('of parabolas, from far too near and far too far', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.double({ min: 0.01, max: 100, noNaN: true }),
        fc.double({ min: 1e-3, max: 1e3, noNaN: true }),
        async (least, first) => {
          const { start, found } = await search((a) => [(a - least) ** 2, 2 * (a - least)], first * least);
          expectWolfe(start, found);
        },
      ),
    );
  });

  // The first is Moré and Thuente's (1994, section 5).
  const lines: [string, Line][] = [
    ['-a / (a^2 + 2)', (a) => [-a / (a * a + 2), (a * a - 2) / (a * a + 2) ** 2]],
    ['(a - 2)^4', (a) => [(a - 2) ** 4, 4 * (a - 2) ** 3]],
  ];
  test.each(lines)('%s', async (_, line) => {
    for (const first of [1e-3, 0.1, 1, 10]) {
      const { start, found } = await search(line, first);
      expectWolfe(start, found);
    }
  });
});

test('a point that obeys both is taken at once', async () => {
  expect(await search((a) => [(a - 1) ** 2, 2 * (a - 1)], 1)).toMatchObject({
    found: { distance: 1, loss: 0 },
    evaluations: 1,
  });
});

test('behind a loss that is not finite it turns back', async () => {
  const { found } = await search((a) => (a < 2 ? [(a - 1) ** 2, 2 * (a - 1)] : [Number.NaN, Number.NaN]), 50);
  expect(found!.distance).toBeCloseTo(1, 1);
});

test('of a line without a flat point it gives the lowest it has seen, of one that only rises nothing', async () => {
  const options = { ...OPTIONS, maxEvaluations: 5 };
  expect(await search((a) => [-a, -1], 1, options)).toMatchObject({
    found: { distance: 16 },
    evaluations: 5,
  });
  expect((await search((a) => [a === 0 ? 0 : 1 + a, a === 0 ? -1 : 1], 1, options)).found).toBeNull();
});
