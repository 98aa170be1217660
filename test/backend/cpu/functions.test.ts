import { expect, test } from 'vitest';
import { type FunctionName, functions } from '../../../src/program/functions.js';
import { noise, ref, runBoth, scheduleOf } from './harness.js';

/** One unit in the last place of the float32 nearest to x (that of the smallest normal number below it). */
const ulp = (x: number): number => 2 ** (Math.max(-126, Math.floor(Math.log2(Math.abs(x)))) - 23);

async function apply(
  fn: FunctionName,
  ...x: ArrayLike<number>[]
): Promise<{ y: Float64Array; want: Float64Array }> {
  const args = x.map((values) => Float64Array.from(values, Math.fround));
  const length = args[0]!.length;
  const stage = {
    kind: 'pointwise' as const,
    shape: [length],
    scalars: [
      ...args.map((_, k) => ({ kind: 'load' as const, ref: ref(k + 1, [1]), gather: null })),
      { kind: 'call' as const, fn, args: args.map((_, k) => k) },
    ],
    stores: [{ ref: ref(args.length + 1, [1]), value: args.length }],
  };
  const contents = [...args, new Float64Array(length)];
  const { actual, expected } = await runBoth(scheduleOf(stage, contents), contents);
  return { y: actual.at(-1)!, want: expected.at(-1)! };
}

function worstUlps(y: Float64Array, want: Float64Array): number {
  let worst = 0;
  y.forEach((value, i) => {
    const exact = want[i]!;
    if (Math.fround(exact) === value) return;
    worst = Math.max(worst, Math.abs(value - exact) / ulp(exact));
  });
  return worst;
}

/** Both signs, from tiny to `most`, evenly in the logarithm, and evenly in between. */
const spread = (most: number): number[] => {
  const logarithmic = Array.from({ length: 20_000 }, (_, k) => 1e-30 * (most / 1e-30) ** (k / 19_999));
  const linear = Array.from(noise(60_000), (x) => x * most);
  return [...logarithmic, ...logarithmic.map((x) => -x), ...linear, 0];
};

// Measured on the arguments of this test, and rounded up a little.
test.each([
  ['exp', spread(86), 1.5],
  ['tanh', spread(20), 2.5],
  ['sigmoid', spread(86), 2.5],
  ['log', spread(1e30).map(Math.abs), 1.0],
  ['log', Array.from(noise(50_000), (x) => 1 + x / 2), 1.0],
  ['softplus', spread(86), 2.5],
  ['sqrt', spread(1e30).map(Math.abs), 0.5],
] as const)('%s is accurate to a few units in the last place', async (fn, x, ulps) => {
  const { y, want } = await apply(fn, x);
  expect(worstUlps(y, want)).toBeLessThanOrEqual(ulps);
});

test('sigmoid is a number where e^-x goes beyond float32', async () => {
  const x = Array.from({ length: 5001 }, (_, k) => -88.8 + 1e-4 * k);
  const { y, want } = await apply('sigmoid', x);
  // All of these are below the smallest normal number, 2^-126; it stays at e^-88.
  y.forEach((value, i) =>
    expect(Math.abs(value - want[i]!), `sigmoid(${x[i]})`).toBeLessThanOrEqual(2 ** -127),
  );
});

const special = [Number.NaN, Infinity, -Infinity, 0, 1e38, -1e38, 104, -104, 89, -89, 1e-40, -1e-40];

test.each((Object.keys(functions) as FunctionName[]).filter((fn) => functions[fn].arity === 1))(
  '%s of NaN, infinities and large numbers',
  async (fn) => {
    const { y, want } = await apply(fn, special);
    y.forEach((value, i) => {
      const exact = Math.fround(want[i]!);
      // Below the smallest normal number absolute accuracy is enough.
      if (Number.isFinite(exact))
        expect(Math.abs(value - exact)).toBeLessThanOrEqual(2 * ulp(exact) + 2 ** -126);
      else expect(value, `${fn}(${special[i]})`).toBe(exact);
    });
  },
);

test.each((Object.keys(functions) as FunctionName[]).filter((fn) => functions[fn].arity === 2))(
  '%s of all pairs of special numbers',
  async (fn) => {
    const values = [...special, 1, 2, -3];
    const x = values.flatMap((a) => values.map(() => a));
    const y = values.flatMap(() => values);
    const result = await apply(fn, x, y);
    result.y.forEach((value, i) => {
      // toEqual would tell -0 from 0.
      const exact = Math.fround(result.want[i]!);
      expect(value === exact || (Number.isNaN(value) && Number.isNaN(exact)), `${fn}(${x[i]}, ${y[i]})`).toBe(
        true,
      );
    });
  },
);

test('select takes the second where the first is not 0, NaN included', async () => {
  const { y } = await apply('select', [0, 1, -0, Number.NaN, 2], [1, 2, 3, 4, 5], [10, 20, 30, 40, 50]);
  expect([...y]).toEqual([10, 2, 30, 4, 5]);
});
