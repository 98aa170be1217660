import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PointwiseStage, ReduceStage, Ref, Scalar, Stage } from '../../../kernels/stage.js';
import { normalisedRows } from '../../support/row-stages.js';
import { contiguous, largestError, noise, ref, runBoth, scheduleOf, size } from './harness.js';

const load = (operand: Ref): Scalar => ({ kind: 'load', ref: operand, gather: null });
const EPSILON = 2 ** -24;

/** Awkward extents: one, primes, around the width of a vector. */
const extent = fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 13, 17);
const shape = fc.array(extent, { minLength: 1, maxLength: 4 });
const options = { numRuns: 60 };

/** Strides of an array with its axes stored in another order, with gaps, or broadcast along some. */
const layout = (extents: readonly number[]) =>
  fc
    .tuple(
      fc.shuffledSubarray([...extents.keys()], { minLength: extents.length }),
      fc.array(fc.boolean(), { minLength: extents.length, maxLength: extents.length }),
      fc.integer({ min: 1, max: 2 }),
      fc.integer({ min: 0, max: 5 }),
    )
    .map(([order, isBroadcast, gap, offset]) => {
      const strides = Array<number>(extents.length).fill(0);
      let stride = gap;
      for (const axis of order) {
        if (isBroadcast[axis]) continue;
        strides[axis] = stride;
        stride *= extents[axis]!;
      }
      return { strides, offset, length: offset + stride };
    });

const withLayouts = shape.chain((extents) =>
  fc.tuple(fc.constant(extents), layout(extents), layout(extents), fc.integer()),
);

async function check(stage: Stage, contents: Float64Array[], tolerance: number, ints: number[] = []) {
  const { actual, expected } = await runBoth(scheduleOf(stage, contents, ints), contents);
  actual.forEach((data, k) => {
    expect(largestError(data, expected[k]!, 1)).toBeLessThanOrEqual(tolerance);
  });
}

describe('pointwise', () => {
  test('any shape, any layout', () =>
    fc.assert(
      fc.asyncProperty(withLayouts, async ([extents, x, y, seed]) => {
        const stage: PointwiseStage = {
          kind: 'pointwise',
          shape: extents,
          scalars: [
            load(ref(1, x.strides, x.offset)),
            load(ref(2, y.strides, y.offset)),
            { kind: 'call', fn: 'mul', args: [0, 1] },
            { kind: 'constant', value: 0.5 },
            { kind: 'call', fn: 'add', args: [2, 3] },
          ],
          stores: [
            { ref: ref(3, contiguous(extents), 3), value: 4 },
            {
              ref: ref(
                4,
                contiguous(extents).map((stride) => 2 * stride),
              ),
              value: 1,
            },
          ],
        };
        const contents = [
          noise(x.length, seed),
          noise(y.length, seed + 1),
          new Float64Array(size(extents) + 3),
          new Float64Array(2 * size(extents)),
        ];
        await check(stage, contents, 2 * EPSILON);
      }),
      options,
    ));

  test('in place, backwards, and transposed', async () => {
    const contents = [noise(35), noise(35)];
    const stage: PointwiseStage = {
      kind: 'pointwise',
      shape: [5, 7],
      scalars: [load(ref(1, [7, 1])), load(ref(2, [-1, -5], 34)), { kind: 'call', fn: 'sub', args: [0, 1] }],
      stores: [{ ref: ref(1, [7, 1]), value: 2 }],
    };
    await check(stage, contents, 2 * EPSILON);
  });

  test('gathers rows by ids along the outer axis, and single elements by ids along the inner', async () => {
    const ids = Float64Array.of(3, 0, 2, 2, 1);
    const gather = (strides: number[], stride: number) => ({ ids: ref(2, strides), stride, size: 4 });
    const stage: PointwiseStage = {
      kind: 'pointwise',
      shape: [5, 6],
      scalars: [
        { kind: 'load', ref: ref(1, [0, 1]), gather: gather([1, 0], 6) },
        { kind: 'load', ref: ref(1, [0, 4]), gather: gather([1, 0], 1) },
      ],
      stores: [
        { ref: ref(3, [6, 1]), value: 0 },
        { ref: ref(4, [6, 1]), value: 1 },
      ],
    };
    await check(stage, [noise(24), ids, new Float64Array(30), new Float64Array(30)], 0, [2]);
    const along: PointwiseStage = {
      kind: 'pointwise',
      shape: [3, 5],
      scalars: [{ kind: 'load', ref: ref(1, [4, 0]), gather: gather([0, 1], 1) }],
      stores: [{ ref: ref(3, [5, 1]), value: 0 }],
    };
    await check(along, [noise(12), ids, new Float64Array(15)], 0, [2]);
  });

  test('random numbers and coordinates are exact', () =>
    fc.assert(
      fc.asyncProperty(extent, extent, fc.integer(), fc.integer(), fc.nat(), async (n, m, k0, k1, stream) => {
        const index = { offset: 5, strides: [m, 1], time: null };
        const stage: PointwiseStage = {
          kind: 'pointwise',
          shape: [n, m],
          scalars: [
            { kind: 'random', key: ref(1, [0, 0]), stream, index },
            { kind: 'coordinate', index: { ...index, strides: [1, 3] } },
          ],
          stores: [
            { ref: ref(2, [m, 1]), value: 0 },
            { ref: ref(3, [m, 1]), value: 1 },
          ],
        };
        const contents = [Float64Array.of(k0, k1), new Float64Array(n * m), new Float64Array(n * m)];
        await check(stage, contents, 0, [1]);
      }),
      options,
    ));
});

describe('rows', () => {
  test('sums of what other sums went into, any layout, in place too', () =>
    fc.assert(
      fc.asyncProperty(withLayouts, fc.boolean(), async ([extents, x, , seed], inPlace) => {
        const perRow = [...contiguous(extents.slice(0, -1)), 0];
        const [whole, variance] = [ref(2, contiguous(extents)), ref(3, perRow, 1)];
        const stage = normalisedRows(extents, {
          x: inPlace ? whole : ref(1, x.strides, x.offset),
          y: whole,
          variance,
        });
        const contents = [
          noise(x.length, seed),
          noise(size(extents), seed + 1),
          new Float64Array(size(extents.slice(0, -1)) + 1),
        ];
        // The sum of tanh(z) x adds up what rounding makes of z, which a small variance magnifies.
        await check(stage, contents, (32 + 16 * extents.at(-1)!) * EPSILON);
      }),
      options,
    ));
});

describe('reduce', () => {
  test('over any axes of any layout', () =>
    fc.assert(
      fc.asyncProperty(
        shape.chain((extents) => fc.tuple(fc.constant(extents), layout(extents), fc.nat(extents.length))),
        fc.integer(),
        async ([extents, x, rank], seed) => {
          const kept = extents.slice(0, rank);
          const stage: ReduceStage = {
            kind: 'reduce',
            kept,
            reduced: extents.slice(rank),
            scalars: [load(ref(1, x.strides, x.offset)), { kind: 'call', fn: 'mul', args: [0, 0] }],
            value: 1,
            stores: [ref(2, contiguous(kept), 2), ref(3, contiguous(kept))],
          };
          const n = size(kept);
          const contents = [noise(x.length, seed), new Float64Array(n + 2), new Float64Array(n)];
          // Summands lie in [0, 1], so that n of them are off by at most about n^2/2 roundings.
          const terms = size(extents.slice(rank));
          await check(stage, contents, EPSILON * (terms + 2));
        },
      ),
      { numRuns: 100 },
    ));

  test('columns of a tall matrix, wider than a chunk', async () => {
    const [rows, columns] = [9, 2500];
    const stage: ReduceStage = {
      kind: 'reduce',
      kept: [columns],
      reduced: [rows],
      scalars: [load(ref(1, [1, columns]))],
      value: 0,
      stores: [ref(2, [1])],
    };
    await check(stage, [noise(rows * columns), new Float64Array(columns)], rows * EPSILON);
  });
});

describe('softmax', () => {
  test('rows of any length', () =>
    fc.assert(
      fc.asyncProperty(extent, extent, fc.integer(), async (rows, columns, seed) => {
        const input = ref(1, [columns, 1]);
        const stage: Stage = { kind: 'softmax', rows, columns, input, output: ref(2, [1, rows]) };
        const logits = noise(rows * columns, seed).map((x) => 30 * x);
        await check(stage, [logits, new Float64Array(rows * columns)], 4 * EPSILON);
      }),
      options,
    ));

  test.each(['classes', 'dense'] as const)('cross-entropy with %s and its gradient', (kind) =>
    fc.assert(
      fc.asyncProperty(extent, extent, fc.integer(), async (rows, columns, seed) => {
        const classes = noise(rows, seed + 1).map((x) => Math.floor(((x + 1) / 2) * columns));
        const target = kind === 'dense' ? noise(rows * columns, seed + 1).map(Math.abs) : classes;
        const n = rows * columns;
        const stage: Stage = {
          kind: 'softmaxCrossEntropy',
          rows,
          columns,
          logits: ref(1, [columns, 1]),
          target: { kind, ref: ref(2, kind === 'dense' ? [columns, 1] : [1]) },
          weight: ref(3, [1]),
          loss: ref(4, [1]),
          gradient: ref(5, [columns, 1]),
        };
        const logits = noise(n, seed).map((x) => 20 * x);
        const contents = [logits, target, noise(rows, seed + 2), new Float64Array(rows), new Float64Array(n)];
        // A dense target sums up to at most `columns` products of size 40, each rounded.
        const tolerance = EPSILON * (kind === 'dense' ? 4 * columns * 10 : 8);
        await check(stage, contents, tolerance, kind === 'classes' ? [2] : []);
      }),
      options,
    ),
  );

  test('the gradient may replace the logits, and the loss may be unwanted', async () => {
    const logits = ref(1, [7, 1]);
    const stage: Stage = {
      kind: 'softmaxCrossEntropy',
      rows: 3,
      columns: 7,
      logits,
      target: { kind: 'classes', ref: ref(2, [1]) },
      weight: ref(3, [0]),
      loss: null,
      gradient: logits,
    };
    await check(stage, [noise(21), Float64Array.of(6, 0, 3), Float64Array.of(0.5)], 4 * EPSILON, [2]);
  });
});

describe('scatterAdd', () => {
  test('sums the rows with equal ids, in order', () =>
    fc.assert(
      fc.asyncProperty(extent, extent, extent, fc.boolean(), async (count, rows, width, transposed) => {
        const ids = noise(count).map((x) => Math.floor(((x + 1) / 2) * rows));
        const stage: Stage = {
          kind: 'scatterAdd',
          count,
          size: rows,
          width,
          ids: ref(1, [1]),
          source: ref(2, [width, 1]),
          target: ref(3, transposed ? [1, rows] : [width, 1]),
        };
        await check(stage, [ids, noise(count * width), noise(rows * width)], count * EPSILON, [1]);
      }),
      options,
    ));
});
