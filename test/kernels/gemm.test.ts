import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { chooseTile, type GemmTile, tileBytes } from '../../kernels/gemm_tile.js';
import { defaultLimits } from '../../kernels/index.js';
import { productKernel } from '../../kernels/product.js';
import type { GemmStage } from '../../kernels/stage.js';
import type { WebGpuBackend } from '../../src/backend/webgpu/webgpu-backend.js';
import { product, productShapes, ref } from '../support/products.js';
import { accumulator, gates } from './gates.js';
import { check, floats, numbers, openBackend, sumTolerance } from './gpu.js';

let backend: WebGpuBackend;
beforeAll(async () => {
  backend = await openBackend();
});
afterAll(() => backend[Symbol.dispose]());

/** Operands are copied into workgroup memory, or read where they are. */
const ways = [null, 8];

describe('gemm', () => {
  it('multiplies and adds at any size and transposition', async () => {
    await fc.assert(
      fc.asyncProperty(productShapes, fc.constantFrom(...ways), async (shape, directRead) => {
        const { stage, buffers, scale } = product(shape);
        const kernel = productKernel(stage, buffers, { ...backend.device.kernelLimits, directRead });
        await check(backend, stage, buffers, { tolerance: sumTolerance(shape.depth + 1), scale, kernel });
      }),
      { numRuns: 30 },
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
    const kernel = productKernel(stage, buffers, { ...backend.device.kernelLimits, directRead: null });
    expect(kernel.code).toContain('array<vec4<f32>, ');
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
      each.flatMap((columnsEach) =>
        [0, 8].map((depth) => ({ threadsX: 8, threadsY: 4, rowsEach, columnsEach, depth })),
      ),
    );
    for (const tile of tiles) {
      const kernel = productKernel(stage, buffers, backend.device.kernelLimits, tile);
      expect(kernel.code.includes('var<workgroup>')).toBe(tile.depth > 0);
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

  it.each(ways)(
    'adds products of several terms into several slots, and evaluates an epilogue (%s)',
    async (directRead) => {
      const { stage, buffers } = gates(floats, [9, 10, 7, 12]);
      const kernel = productKernel(stage, buffers, { ...backend.device.kernelLimits, directRead });
      await check(backend, stage, buffers, { tolerance: 5e-6, kernel });
    },
  );

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
    const kernel = productKernel(stage, buffers, limits, tile);
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
