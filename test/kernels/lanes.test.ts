/** Lanes joined by subgroups: where they are, and that it is right whatever the subgroups of the device are like. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defaultLimits, generateKernel, type KernelLimits } from '../../kernels/index.js';
import type { ReduceStage, SoftmaxStage, Stage } from '../../kernels/stage.js';
import type { WebGpuBackend } from '../../src/backend/webgpu/webgpu-backend.js';
import { ref } from '../support/products.js';
import { type Buffer, check, floats, numbers, openBackend, sumTolerance } from './gpu.js';

let backend: WebGpuBackend;
beforeAll(async () => {
  backend = await openBackend();
});
afterAll(() => backend[Symbol.dispose]());

const zeros = (length: number) => new Array<number>(length).fill(0);

/** Generates for a GPU with such subgroups, and runs it where the device's are no larger than its lanes. */
async function usesSubgroups(
  { stage, buffers, tolerance }: { stage: Stage; buffers: readonly Buffer[]; tolerance: number },
  subgroups: KernelLimits['subgroups'],
  lanes: number,
): Promise<boolean> {
  const kernel = generateKernel(stage, buffers, { ...defaultLimits, subgroups });
  expect(kernel.code).toContain(`const LANES = ${lanes};`);
  const has = backend.device.kernelLimits.subgroups;
  const isUsed = kernel.code.startsWith('enable subgroups;');
  expect(kernel.code.includes('subgroupAdd')).toBe(isUsed);
  if (!isUsed || (has !== null && has.max <= lanes))
    await check(backend, stage, buffers, { tolerance, kernel });
  return isUsed;
}

describe('lanes', () => {
  it.each([
    ['no subgroups', null, 256, false],
    ['subgroups of 32', { min: 32, max: 32 }, 256, true],
    ['subgroups of 32', { min: 32, max: 32 }, 32, true],
    ['subgroups that a row does not fill', { min: 32, max: 64 }, 32, false],
    ['subgroups of 64', { min: 64, max: 64 }, 256, true],
    ['subgroups of 8 to 32', { min: 8, max: 32 }, 64, true],
    ['subgroups of 8 to 32', { min: 8, max: 32 }, 256, false],
    ['subgroups of 4', { min: 4, max: 4 }, 64, true],
    ['subgroups of 4', { min: 4, max: 4 }, 128, false],
  ])('of one row with %s (%o), %i of them: %s', async (_, subgroups, lanes, wanted) => {
    // No multiples of 4, which are added four at a time.
    for (const length of lanes === 256 ? [255, 1281] : [lanes - 1, lanes - 3]) {
      const stage: ReduceStage = {
        ...{ kind: 'reduce', kept: [1], reduced: [length], value: 0 },
        scalars: [{ kind: 'load', ref: ref(1, [0, 1]), gather: null }],
        stores: [ref(2, [1])],
      };
      const buffers = [floats('arena', [0]), floats('x', numbers(length).map(Math.abs)), floats('y', [0])];
      const given = { stage, buffers, tolerance: sumTolerance(length) };
      expect(await usesSubgroups(given, subgroups, lanes)).toBe(wanted);
    }
  });

  it.each([65, 100, 127, 128])('of two rows side by side, of %i columns', async (columns) => {
    for (const rows of [2, 7]) {
      const stage: SoftmaxStage = {
        ...{ kind: 'softmax', rows, columns },
        ...{ input: ref(1, [columns, 1]), output: ref(2, [columns, 1]) },
      };
      const x = numbers(rows * columns).map((value) => 30 * value);
      const buffers = [floats('arena', [0]), floats('x', x), floats('y', zeros(rows * columns))];
      const given = { stage, buffers, tolerance: 5e-6 };
      expect(await usesSubgroups(given, { min: 32, max: 32 }, 32)).toBe(true);
    }
  });
});
