import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gemmKernel } from '../../kernels/gemm.js';
import { chooseTile, type GemmTile, tileBytes } from '../../kernels/gemm_tile.js';
import { defaultLimits } from '../../kernels/index.js';
import type { GemmStage, Ref, Scalar } from '../../kernels/stage.js';
import type { WebGpuBackend } from '../../src/backend/webgpu/webgpu-backend.js';
import { type Buffer, check, floats, magnitude, numbers, openBackend, sumTolerance } from './gpu.js';

let backend: WebGpuBackend;
beforeAll(async () => {
  backend = await openBackend();
});
afterAll(() => backend[Symbol.dispose]());

const ref = (buffer: number, strides: readonly number[], offset = 0): Ref => ({
  ...{ buffer, offset, strides },
  time: null,
});
const accumulator = (slot = 0): Scalar => ({ kind: 'accumulator', slot });
const load = (from: Ref): Scalar => ({ kind: 'load', ref: from, gather: null });
const call = (fn: Extract<Scalar, { kind: 'call' }>['fn'], ...args: number[]): Scalar => ({
  ...{ kind: 'call', fn, args },
});

interface Case {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Elements before the first of each operand. */
  readonly offset: number;
}

/** C = A B + C over buffers A, B, C. */
function product(shape: Case): { stage: GemmStage; buffers: Buffer[]; scale: number } {
  const { batch, rows, columns, depth, transposeA, transposeB, offset } = shape;
  const a = transposeA ? [rows * depth, 1, rows] : [rows * depth, depth, 1];
  const b = transposeB ? [depth * columns, 1, depth] : [depth * columns, columns, 1];
  const c = ref(3, [rows * columns, columns, 1], offset);
  const stage: GemmStage = {
    kind: 'gemm',
    ...{ batch, rows, columns },
    slots: 1,
    terms: [{ depth, a: ref(1, a, offset), b: ref(2, b, offset), slots: [{ slot: 0, offset: 0 }] }],
    scalars: [accumulator(), load(c), call('add', 0, 1)],
    stores: [{ ref: c, value: 2 }],
  };
  const buffers = [
    floats('arena', [0]),
    floats('a', numbers(offset + batch * rows * depth, 1)),
    floats('b', numbers(offset + batch * depth * columns, 2)),
    floats('c', numbers(offset + batch * rows * columns, 3)),
  ];
  return { stage, buffers, scale: magnitude(stage, buffers, 3) };
}

const awkward = fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 12, 13, 16, 17, 31, 33, 64, 67);

describe('gemm', () => {
  it('multiplies and adds at any size and transposition', async () => {
    const shapes = fc.record<Case>({
      batch: fc.constantFrom(1, 1, 2, 3),
      rows: awkward,
      columns: awkward,
      depth: awkward,
      transposeA: fc.boolean(),
      transposeB: fc.boolean(),
      offset: fc.constantFrom(0, 0, 1, 4),
    });
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const { stage, buffers, scale } = product(shape);
        await check(backend, stage, buffers, { tolerance: sumTolerance(shape.depth + 1), scale });
      }),
      { numRuns: 25 },
    );
  });

  it.each([
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])('reads four at a time where strides allow (transposed: A %s, B %s)', async (transposeA, transposeB) => {
    const shape = { batch: 2, rows: 20, columns: 36, depth: 24, transposeA, transposeB, offset: 4 };
    const { stage, buffers, scale } = product(shape);
    const kernel = gemmKernel(stage, buffers, backend.device.kernelLimits);
    expect(kernel.code).toContain('array<vec4<f32>>;');
    await check(backend, stage, buffers, { tolerance: sumTolerance(25), scale, kernel });
  });

  it('agrees for every shape of tile', async () => {
    const shape = {
      batch: 1,
      rows: 37,
      columns: 44,
      depth: 20,
      transposeA: false,
      transposeB: false,
      offset: 0,
    };
    const { stage, buffers, scale } = product(shape);
    const each = [1, 2, 4, 8];
    const tiles: GemmTile[] = each.flatMap((rowsEach) =>
      each.map((columnsEach) => ({ threadsX: 8, threadsY: 4, rowsEach, columnsEach, depth: 8 })),
    );
    for (const tile of tiles) {
      const kernel = gemmKernel(stage, buffers, backend.device.kernelLimits, tile);
      await check(backend, stage, buffers, { tolerance: sumTolerance(21), scale, kernel });
    }
  });

  it('reads and writes parts of one buffer', async () => {
    const [rows, columns, depth] = [12, 20, 8];
    const c = rows * depth + depth * columns;
    const stage: GemmStage = {
      ...{ kind: 'gemm', batch: 1, rows, columns, slots: 1 },
      terms: [
        {
          depth,
          a: ref(0, [0, depth, 1]),
          b: ref(0, [0, columns, 1], rows * depth),
          slots: [{ slot: 0, offset: 0 }],
        },
      ],
      scalars: [accumulator()],
      stores: [{ ref: ref(0, [0, columns, 1], c), value: 0 }],
    };
    const buffers = [floats('arena', numbers(c + rows * columns))];
    await check(backend, stage, buffers, { tolerance: sumTolerance(depth) });
  });

  it('adds products of several terms into several slots, and evaluates an epilogue', async () => {
    const [batch, rows, columns] = [1, 9, 10];
    const [depth0, depth1, slots] = [7, 12, 3];
    const stage: GemmStage = {
      ...{ kind: 'gemm', batch, rows, columns, slots },
      terms: [
        {
          depth: depth0,
          a: ref(1, [0, depth0, 1]),
          b: ref(2, [0, slots * columns, 1]),
          slots: [0, 1, 2].map((slot) => ({ slot, offset: slot * columns })),
        },
        {
          depth: depth1,
          a: ref(3, [0, 1, rows]),
          b: ref(4, [0, 1, depth1]),
          slots: [
            { slot: 0, offset: 0 },
            { slot: 2, offset: depth1 * columns },
          ],
        },
      ],
      scalars: [
        ...[0, 1, 2].map(accumulator),
        load(ref(5, [0, 0, 1])),
        call('add', 0, 3),
        call('sigmoid', 4),
        call('tanh', 1),
        call('mul', 5, 6),
        call('sub', 7, 2),
      ],
      stores: [
        { ref: ref(6, [0, columns, 1]), value: 8 },
        { ref: ref(6, [0, 1, rows], rows * columns), value: 5 },
      ],
    };
    const buffers = [
      floats('arena', [0]),
      floats('x', numbers(rows * depth0, 1)),
      floats('w', numbers(depth0 * slots * columns, 2)),
      floats('h', numbers(rows * depth1, 3)),
      floats('u', numbers(2 * depth1 * columns, 4)),
      floats('bias', numbers(columns, 5)),
      floats('y', numbers(2 * rows * columns, 6)),
    ];
    await check(backend, stage, buffers, { tolerance: 5e-6 });
  });

  it('covers grids longer than one axis may be', async () => {
    const shape = {
      batch: 3,
      rows: 40,
      columns: 50,
      depth: 3,
      transposeA: false,
      transposeB: false,
      offset: 0,
    };
    const { stage, buffers, scale } = product(shape);
    const limits = { ...backend.device.kernelLimits, maxComputeWorkgroupsPerDimension: 5 };
    const tile = { threadsX: 8, threadsY: 4, rowsEach: 1, columnsEach: 2, depth: 8 };
    const kernel = gemmKernel(stage, buffers, limits, tile);
    expect(kernel.workgroups[2]).toBeGreaterThan(1);
    await check(backend, stage, buffers, { tolerance: sumTolerance(4), scale, kernel });
  });

  it('gives small outputs small tiles, and never asks for more than the device has', () => {
    const { stage } = product({
      ...{ batch: 1, rows: 32, columns: 128, depth: 128, transposeA: false, transposeB: false, offset: 0 },
    });
    const small = chooseTile(stage, defaultLimits);
    const large = chooseTile({ ...stage, rows: 4096, columns: 4096 }, defaultLimits);
    expect(small.rowsEach * small.columnsEach).toBeLessThan(large.rowsEach * large.columnsEach);
    const poor = {
      ...defaultLimits,
      maxComputeWorkgroupStorageSize: 4096,
      maxComputeInvocationsPerWorkgroup: 64,
    };
    const tile = chooseTile({ ...stage, rows: 4096, columns: 4096 }, poor);
    expect(tileBytes(tile, 1)).toBeLessThanOrEqual(4096);
    expect(tile.threadsX * tile.threadsY).toBeLessThanOrEqual(64);
  });
});
