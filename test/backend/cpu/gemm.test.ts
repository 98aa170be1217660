import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { GemmStage, GemmTerm, Scalar } from '../../../kernels/stage.js';
import type { Schedule } from '../../../src/schedule/schedule.js';
import { contiguous, largestError, noise, ref, runBoth, scheduleOf, size, specs } from './harness.js';

const EPSILON = 2 ** -24;
/** Sums of `depth` products of numbers below 1, each step rounded: the bound of any order of summation. */
const bound = (depth: number): number => (depth + 2) * depth * EPSILON;

const extent = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(31, 37, 64, 65, 67));
const depth = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(255, 256, 257, 300));

const copy: Pick<GemmStage, 'scalars'> = { scalars: [{ kind: 'accumulator', slot: 0 }] };
const plain = (a: number, b: number, aStrides: number[], bStrides: number[], inner: number): GemmTerm => ({
  depth: inner,
  a: ref(a, aStrides),
  b: ref(b, bStrides),
  slots: [{ slot: 0, offset: 0 }],
});

async function check(schedule: Schedule, contents: Float64Array[], tolerance: number): Promise<void> {
  const { actual, expected } = await runBoth(schedule, contents);
  actual.forEach((data, k) => {
    expect(largestError(data, expected[k]!, 1)).toBeLessThanOrEqual(tolerance);
  });
}

/** Strides over [batch, rows, columns] of an array stored with these axes in this order. */
function strided(extents: readonly number[], order: readonly number[]): number[] {
  const strides = [0, 0, 0];
  contiguous(order.map((axis) => extents[axis]!)).forEach((stride, k) => {
    strides[order[k]!] = stride;
  });
  return strides;
}

const anyOrder = fc.shuffledSubarray([0, 1, 2], { minLength: 3 });

describe('one product', () => {
  test('any size, every operand stored in any order', () =>
    fc.assert(
      fc.asyncProperty(
        fc.record({
          batch: fc.constantFrom(1, 1, 2, 3),
          m: extent,
          n: extent,
          k: depth,
          orders: fc.tuple(anyOrder, anyOrder, anyOrder),
        }),
        async ({ batch, m, n, k, orders }) => {
          const stage: GemmStage = {
            kind: 'gemm',
            batch,
            rows: m,
            columns: n,
            slots: 1,
            terms: [plain(1, 2, strided([batch, m, k], orders[0]), strided([batch, k, n], orders[1]), k)],
            ...copy,
            stores: [{ ref: ref(3, strided([batch, m, n], orders[2])), value: 0 }],
          };
          const contents = [noise(batch * m * k), noise(batch * k * n, 2), new Float64Array(batch * m * n)];
          await check(scheduleOf(stage, contents), contents, bound(k));
        },
      ),
      { numRuns: 60 },
    ));

  test.each([
    ['more rows, columns and depth than a block has, A transposed', [70, 300, 150], true],
    ['the same, A as it is', [70, 300, 150], false],
    ['so deep that few rows of A are packed at a time', [17, 9000, 9], true],
  ] as const)('%s', async (_, [m, k, n], transposed) => {
    const stage: GemmStage = {
      kind: 'gemm',
      batch: 1,
      rows: m,
      columns: n,
      slots: 1,
      terms: [plain(1, 2, transposed ? [0, 1, m] : [0, k, 1], [0, n, 1], k)],
      ...copy,
      stores: [{ ref: ref(3, [0, n, 1]), value: 0 }],
    };
    const contents = [noise(m * k), noise(k * n, 2), new Float64Array(m * n)];
    // The summands are random in sign, so that errors grow with the root of their number.
    await check(scheduleOf(stage, contents), contents, 4 * Math.sqrt(k) * EPSILON * Math.sqrt(k));
  });

  test('batches may share an operand, and rows may be walked backwards', async () => {
    const [batch, m, n, k] = [3, 5, 6, 7];
    const stage: GemmStage = {
      kind: 'gemm',
      batch,
      rows: m,
      columns: n,
      slots: 1,
      terms: [
        {
          depth: k,
          a: ref(1, [m * k, -k, 1], (m - 1) * k),
          b: ref(2, [0, n, -1], n - 1),
          slots: [{ slot: 0, offset: 0 }],
        },
      ],
      ...copy,
      stores: [{ ref: ref(3, [m * n, n, 1]), value: 0 }],
    };
    const contents = [noise(batch * m * k), noise(k * n, 2), new Float64Array(batch * m * n)];
    await check(scheduleOf(stage, contents), contents, bound(k));
  });
});

test('terms add up in the slots they feed, and the scalars see all slots and other operands', () =>
  fc.assert(
    fc.asyncProperty(extent, extent, extent, fc.integer({ min: 0, max: 9 }), async (m, n, k1, k2) => {
      const call = (fn: 'add' | 'mul' | 'sub', ...args: number[]): Scalar => ({ kind: 'call', fn, args });
      const stage: GemmStage = {
        kind: 'gemm',
        batch: 1,
        rows: m,
        columns: n,
        slots: 3,
        terms: [
          {
            depth: k1,
            a: ref(1, [0, k1, 1]),
            // The parts of two slots lie side by side in B, [k1, 2 n].
            b: ref(2, [0, 2 * n, 1]),
            slots: [
              { slot: 2, offset: 0 },
              { slot: 0, offset: n },
            ],
          },
          { depth: k2, a: ref(3, [0, 1, m]), b: ref(4, [0, n, 1]), slots: [{ slot: 2, offset: 0 }] },
        ],
        scalars: [
          { kind: 'accumulator', slot: 0 },
          { kind: 'accumulator', slot: 1 },
          { kind: 'accumulator', slot: 2 },
          { kind: 'load', ref: ref(5, [0, 0, 1]), gather: null },
          call('add', 0, 3),
          call('sub', 4, 2),
          call('add', 1, 0),
        ],
        stores: [
          { ref: ref(6, [0, n, 1]), value: 5 },
          { ref: ref(7, [0, 1, m]), value: 6 },
        ],
      };
      const sizes = [m * k1, 2 * n * k1, m * k2, n * k2, n, m * n, m * n];
      const contents = sizes.map((length, k) => noise(length, k + 1));
      await check(scheduleOf(stage, contents), contents, 2 * bound(k1 + k2));
    }),
    { numRuns: 60 },
  ));

describe('in a loop over time', () => {
  const [T, r, H] = [5, 3, 6];
  /** h[t] = tanh(x[t] + h[t - 1] W), with h in a ring of `ring` elements or all kept (ring 0). */
  const recurrence = (direction: 1 | -1, ring: number): Schedule['steps'][number] => {
    const previous = direction === 1 ? -1 : 1;
    const time = (shift: number) => ({ stride: r * H, shift, ring });
    return {
      kind: 'loop',
      first: direction === 1 ? 0 : T - 1,
      count: T,
      direction,
      stages: [
        {
          kind: 'stage',
          label: 'h',
          stage: {
            kind: 'gemm',
            batch: 1,
            rows: r,
            columns: H,
            slots: 1,
            terms: [
              {
                depth: H,
                // One step before the first there is an initial state, hence the offset.
                a: ref(3, [0, H, 1], ring === 0 ? r * H : 0, time(previous)),
                b: ref(1, [0, H, 1]),
                slots: [{ slot: 0, offset: 0 }],
              },
            ],
            scalars: [
              { kind: 'accumulator', slot: 0 },
              { kind: 'load', ref: ref(2, [0, H, 1], 0, { stride: r * H, shift: 0, ring: 0 }), gather: null },
              { kind: 'call', fn: 'add', args: [0, 1] },
              { kind: 'call', fn: 'tanh', args: [2] },
            ],
            stores: [{ ref: ref(3, [0, H, 1], ring === 0 ? r * H : 0, time(0)), value: 3 }],
          },
        },
      ],
    };
  };

  test.each([
    [1, 0],
    [-1, 0],
    [1, 2],
    [-1, 3],
  ] as const)('direction %i, ring %i', async (direction, ring) => {
    const contents = [noise(H * H), noise(T * r * H, 2), noise((T + 2) * r * H, 3)];
    await check({ buffers: specs(contents), steps: [recurrence(direction, ring)] }, contents, 1e-6);
  });

  test('an operand that the loop itself changes is read anew at every step', async () => {
    const product: GemmStage = {
      kind: 'gemm',
      batch: 1,
      rows: 2,
      columns: 3,
      slots: 1,
      terms: [plain(1, 2, [0, 3, 1], [0, 3, 1], 3)],
      ...copy,
      stores: [{ ref: ref(3, [0, 3, 1], 0, { stride: 6, shift: 0, ring: 0 }), value: 0 }],
    };
    const schedule: Schedule = {
      buffers: specs([new Float64Array(6), new Float64Array(9), new Float64Array(24)]),
      steps: [
        {
          kind: 'loop',
          first: 0,
          count: 4,
          direction: 1,
          stages: [
            { kind: 'stage', label: 'product', stage: product },
            {
              kind: 'stage',
              label: 'scale',
              stage: {
                kind: 'pointwise',
                shape: [9],
                scalars: [
                  { kind: 'load', ref: ref(2, [1]), gather: null },
                  { kind: 'constant', value: 0.5 },
                  { kind: 'call', fn: 'mul', args: [0, 1] },
                ],
                stores: [{ ref: ref(2, [1]), value: 2 }],
              },
            },
          ],
        },
      ],
    };
    await check(schedule, [noise(6), noise(9, 2), new Float64Array(24)], bound(3));
  });

  test('results of one stage reach the next through the arena', async () => {
    const [m, n] = [4, 9];
    const stage = (from: number, to: number): Schedule['steps'][number] => ({
      kind: 'stage',
      label: 'double',
      stage: {
        kind: 'pointwise',
        shape: [m, n],
        scalars: [
          { kind: 'load', ref: ref(from, [n, 1], from === 0 ? 7 : 0), gather: null },
          { kind: 'call', fn: 'add', args: [0, 0] },
        ],
        stores: [{ ref: ref(to, [n, 1], to === 0 ? 7 : 0), value: 1 }],
      },
    });
    const contents = [noise(m * n), new Float64Array(m * n)];
    const buffers = specs(contents, [], size([m, n]) + 7);
    await check({ buffers, steps: [stage(1, 0), stage(0, 2)] }, contents, EPSILON);
  });
});
