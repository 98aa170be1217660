/**
 * Every kind of stage on buffers of halves: what it reads, what it sums in float32, what it stores. Where shaders know no
 * halves the same stages run on floats that hold them.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateKernel } from '../../kernels/index.js';
import { productKernel } from '../../kernels/product.js';
import type { GemmStage, Ref, Scalar, Stage } from '../../kernels/stage.js';
import type { WebGpuBackend } from '../../src/backend/webgpu/webgpu-backend.js';
import { halfOfBits } from '../../src/program/half.js';
import { productOfHalves, productShapes, ref } from '../support/products.js';
import { normalisedRows } from '../support/row-stages.js';
import {
  type Buffer,
  check,
  floats,
  halves,
  ints,
  magnitude,
  numbers,
  openBackend,
  sumTolerance,
} from './gpu.js';

let backend: WebGpuBackend;
beforeAll(async () => {
  backend = await openBackend();
});
afterAll(() => backend[Symbol.dispose]());

const zeros = (length: number) => new Array<number>(length).fill(0);
const load = (from: Ref): Scalar => ({ kind: 'load', ref: from, gather: null });

describe('halves', () => {
  it('are read and stored by themselves, the same bits, whatever numbers they are', async () => {
    // Subnormal ones may be flushed to zero.
    const every = Array.from({ length: 2 ** 16 }, (_, bits) => halfOfBits(bits));
    const data = every.filter((x) => Number.isFinite(x) && (x === 0 || Math.abs(x) >= 2 ** -14));
    const stage: Stage = {
      ...{ kind: 'pointwise', shape: [data.length] },
      scalars: [load(ref(1, [1])), { kind: 'call', fn: 'neg', args: [0] }],
      stores: [
        { ref: ref(2, [1]), value: 1 },
        { ref: ref(0, [1]), value: 1 },
      ],
    };
    const buffers = [floats('arena', zeros(data.length)), halves('x', data), halves('y', zeros(data.length))];
    const [arena, , y] = await check(backend, stage, buffers, { tolerance: 0 });
    expect([...y!]).toEqual(data.map((x) => -x));
    expect([...arena!]).toEqual(data.map((x) => -x));
  });

  it('take 2 bytes where shaders know them', () => {
    const stage: Stage = {
      ...{ kind: 'pointwise', shape: [8] },
      scalars: [load(ref(1, [1]))],
      stores: [{ ref: ref(2, [1]), value: 0 }],
    };
    const buffers = [floats('arena', [0]), halves('x', zeros(8)), floats('y', zeros(8))];
    const limits = backend.device.kernelLimits;
    const on = (halves: boolean) => generateKernel(stage, buffers, { ...limits, halves });
    expect(on(true).bytes).toBe(8 * 2 + 8 * 4);
    expect(on(false).bytes).toBe(8 * 8);
    expect(on(true).code).toContain('enable f16;');
    expect(on(false).code).not.toContain('f16');
  });

  const awkward = fc.constantFrom(1, 2, 3, 5, 7, 16, 31, 33, 64, 100, 257);

  it('are tables of rows, and ids', async () => {
    const [rows, width, size] = [7, 5, 4];
    const stage: Stage = {
      ...{ kind: 'pointwise', shape: [rows, width] },
      scalars: [
        { kind: 'load', ref: ref(1, [0, 1]), gather: { ids: ref(2, [1, 0]), stride: width, size } },
        load(ref(1, [0, 1])),
        { kind: 'call', fn: 'add', args: [0, 1] },
      ],
      stores: [{ ref: ref(3, [1, rows]), value: 2 }],
    };
    const ids = [3, 0, 1, 1, 2, 3, 0];
    const buffers = (ids: Buffer) => [
      floats('arena', [0]),
      halves('table', numbers(size * width)),
      ids,
      floats('y', zeros(rows * width)),
    ];
    await check(backend, stage, buffers(ints('ids', ids)), { tolerance: 1e-7 });
    await check(backend, stage, buffers(halves('ids', ids)), { tolerance: 1e-7 });
  });

  it('are summed in float32', async () => {
    await fc.assert(
      fc.asyncProperty(awkward, awkward, fc.boolean(), async (kept, reduced, transposed) => {
        const x = ref(1, transposed ? [1, kept] : [reduced, 1]);
        const stage: Stage = {
          ...{ kind: 'reduce', kept: [kept], reduced: [reduced], value: 1 },
          scalars: [load(x), { kind: 'call', fn: 'mul', args: [0, 0] }],
          stores: [ref(2, [1]), ref(0, [2], 1)],
        };
        const buffers = [
          floats('arena', zeros(2 * kept)),
          halves('x', numbers(kept * reduced)),
          halves('y', zeros(kept)),
        ];
        await check(backend, stage, buffers, { tolerance: sumTolerance(reduced) });
      }),
      { numRuns: 10 },
    );
  });

  it('are normalised by rows', async () => {
    await fc.assert(
      fc.asyncProperty(awkward, awkward, async (rows, columns) => {
        const strides = [columns, 1];
        const refs = { x: ref(1, strides), y: ref(2, strides), variance: ref(3, [1, 0]) };
        const stage = normalisedRows([rows, columns], refs);
        const buffers = [
          floats('arena', [0]),
          halves('x', numbers(rows * columns)),
          halves('y', zeros(rows * columns)),
          floats('variance', zeros(rows)),
        ];
        await check(backend, stage, buffers, { tolerance: 5e-6 });
      }),
      { numRuns: 8 },
    );
  });

  it('are logits and probabilities', async () => {
    await fc.assert(
      fc.asyncProperty(awkward, awkward, fc.boolean(), async (rows, columns, toHalves) => {
        const stage: Stage = {
          ...{ kind: 'softmax', rows, columns },
          input: ref(1, [columns, 1]),
          output: ref(2, [columns, 1]),
        };
        const logits = numbers(rows * columns).map((x) => 20 * x);
        const output = (toHalves ? halves : floats)('y', zeros(rows * columns));
        const buffers = [floats('arena', [0]), halves('x', logits), output];
        await check(backend, stage, buffers, { tolerance: 5e-6 });
      }),
      { numRuns: 8 },
    );
  });

  it.each([
    ['halves', halves],
    ['floats', floats],
  ])('are logits and targets of a loss, with a gradient of %s', async (_, kind) => {
    const [rows, columns] = [9, 20];
    const cells = rows * columns;
    const stage: Stage = {
      ...{ kind: 'softmaxCrossEntropy', rows, columns },
      logits: ref(1, [columns, 1]),
      target: { kind: 'dense', ref: ref(2, [columns, 1]) },
      weight: ref(3, [1]),
      loss: ref(4, [1]),
      gradient: ref(5, [columns, 1]),
    };
    const buffers = [
      floats('arena', [0]),
      halves(
        'logits',
        numbers(cells).map((x) => 20 * x),
      ),
      halves('target', numbers(cells, 2).map(Math.abs)),
      halves('weight', numbers(rows, 3).map(Math.abs)),
      kind('loss', zeros(rows)),
      kind('gradient', zeros(cells)),
    ];
    await check(backend, stage, buffers, { tolerance: 5e-6 });
  });

  it('are added up by row', async () => {
    const [count, size, width] = [50, 7, 33];
    const ids = numbers(count, 9).map((x) => Math.floor(((x + 1) / 2) * size));
    const stage: Stage = {
      ...{ kind: 'scatterAdd', count, size, width },
      ids: ref(1, [1]),
      source: ref(2, [width, 1]),
      target: ref(3, [width, 1]),
    };
    const buffers = (target: Buffer) => [
      floats('arena', [0]),
      ints('ids', ids),
      halves('source', numbers(count * width)),
      target,
    ];
    const exact = buffers(floats('target', zeros(size * width)));
    await check(backend, stage, exact, { tolerance: sumTolerance(count), scale: magnitude(stage, exact, 3) });
    await check(backend, stage, buffers(halves('target', zeros(size * width))), { tolerance: 0 });
  });
});

describe('products of halves', () => {
  it('are summed in float32 at any size and transposition', async () => {
    await fc.assert(
      fc.asyncProperty(productShapes, async (shape) => {
        const { stage, buffers, scale } = productOfHalves(shape);
        await check(backend, stage, buffers, { tolerance: sumTolerance(shape.depth + 1), scale });
      }),
      { numRuns: 15 },
    );
  });

  it.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])('read four at a time where strides allow (transposed: A %s, B %s)', async (transposeA, transposeB) => {
    const shape = { batch: 2, rows: 20, columns: 36, depth: 24, transposeA, transposeB, offset: 4 };
    const { stage, buffers, scale } = productOfHalves(shape);
    const kernel = productKernel(stage, buffers, { ...backend.device.kernelLimits, directRead: null });
    expect(kernel.code.match(/read> b\d: array<vec4<half>, \d+>;/g)).toHaveLength(2);
    await check(backend, stage, buffers, { tolerance: sumTolerance(25), scale, kernel });
  });

  it('come from one operand of halves and one of floats, and are stored as halves four to a vector', async () => {
    const [rows, columns, depth] = [20, 36, 24];
    const stage: GemmStage = {
      ...{ kind: 'gemm', batch: 1, rows, columns, slots: 1 },
      terms: [
        {
          depth,
          a: ref(1, [0, depth, 1], rows * columns),
          b: ref(2, [0, columns, 1]),
          slots: [{ slot: 0, offset: 0 }],
        },
      ],
      scalars: [{ kind: 'accumulator', slot: 0 }],
      stores: [
        { ref: ref(1, [0, columns, 1]), value: 0 },
        { ref: ref(0, [0, columns, 1]), value: 0 },
      ],
    };
    const buffers = [
      floats('arena', zeros(rows * columns)),
      halves('c and a', numbers(rows * columns + rows * depth)),
      floats('b', numbers(depth * columns, 2)),
    ];
    await check(backend, stage, buffers, { tolerance: sumTolerance(depth) });
  });
});
