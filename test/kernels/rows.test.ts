/** The kernels that work along an axis: reduce, rows, softmax, softmax cross-entropy, scatter-add. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defaultLimits, generateKernel, type KernelLimits } from '../../kernels/index.js';
import type {
  ReduceStage,
  Ref,
  ScatterAddStage,
  SoftmaxCrossEntropyStage,
  SoftmaxStage,
  Stage,
} from '../../kernels/stage.js';
import type { WebGpuBackend } from '../../src/backend/webgpu/webgpu-backend.js';
import { normalisedRows } from '../support/row-stages.js';
import {
  type Buffer,
  check,
  dispatch,
  floats,
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

const ref = (buffer: number, strides: readonly number[], offset = 0): Ref => ({
  ...{ buffer, offset, strides },
  time: null,
});
const zeros = (length: number) => new Array<number>(length).fill(0);
const awkward = fc.constantFrom(1, 2, 3, 5, 7, 16, 31, 33, 64, 100, 257, 300);

const { parallelInvocations, coreInvocations } = defaultLimits;
const machines: readonly (readonly [string, Partial<KernelLimits>])[] = [
  ['the device without subgroups', { subgroups: null }],
  ['a GPU with the subgroups of the device', { parallelInvocations, coreInvocations }],
];

describe.each(machines)('on %s:', (_, machine) => {
  let limits: KernelLimits;
  beforeAll(() => {
    limits = { ...backend.device.kernelLimits, ...machine };
  });

  /** Compares with the oracle, and a second run with the first: the same bits. */
  async function checkTwice(
    stage: Stage,
    buffers: readonly Buffer[],
    options: { tolerance: number; t?: number; scale?: number },
  ): Promise<void> {
    const kernel = generateKernel(stage, buffers, limits);
    const first = await check(backend, stage, buffers, { ...options, kernel });
    expect(await dispatch(backend, kernel, buffers, options.t)).toEqual(first);
  }

  describe('reduce', () => {
    /** y(o) = sum over e of x(o, e)^2, x in either order; y written twice. */
    function squares(kept: number, reduced: number, transposed: boolean) {
      const x = ref(1, transposed ? [1, kept] : [reduced, 1]);
      const stage: ReduceStage = {
        ...{ kind: 'reduce', kept: [kept], reduced: [reduced], value: 1 },
        scalars: [
          { kind: 'load', ref: x, gather: null },
          { kind: 'call', fn: 'mul', args: [0, 0] },
        ],
        stores: [ref(2, [1]), ref(0, [2], 1)],
      };
      const buffers: Buffer[] = [
        floats('arena', zeros(2 * kept)),
        floats('x', numbers(kept * reduced)),
        floats('y', zeros(kept)),
      ];
      return { stage, buffers };
    }

    it('sums along either axis at any size', async () => {
      await fc.assert(
        fc.asyncProperty(awkward, awkward, fc.boolean(), async (kept, reduced, transposed) => {
          const { stage, buffers } = squares(kept, reduced, transposed);
          await checkTwice(stage, buffers, { tolerance: sumTolerance(reduced) });
        }),
        { numRuns: 20 },
      );
    });

    it('sums several axes between kept ones', async () => {
      const stage: ReduceStage = {
        ...{ kind: 'reduce', kept: [3, 5], reduced: [4, 7], value: 0 },
        scalars: [{ kind: 'load', ref: ref(1, [140, 7, 35, 1]), gather: null }],
        stores: [ref(2, [5, 1])],
      };
      const buffers = [floats('arena', [0]), floats('x', numbers(420)), floats('y', zeros(15))];
      const scale = magnitude(stage, buffers, 2);
      await checkTwice(stage, buffers, { tolerance: sumTolerance(28), scale });
    });

    it('sums a long vector to one number', async () => {
      const { stage, buffers } = squares(1, 100_003, false);
      await checkTwice(stage, buffers, { tolerance: 2e-6 });
    });
  });

  describe('rows', () => {
    /** In place or not, of rows or of columns that lie side by side. */
    function stageOf(rows: number, columns: number, inPlace: boolean, transposed: boolean) {
      const strides = transposed ? [1, rows] : [columns, 1];
      const [x, y] = [ref(1, strides), ref(inPlace ? 1 : 2, strides)];
      const stage = normalisedRows([rows, columns], { x, y, variance: ref(3, [1, 0]) });
      const buffers = [
        floats('arena', [0]),
        floats('x', numbers(rows * columns)),
        floats('y', zeros(rows * columns)),
        floats('variance', zeros(rows)),
      ];
      return { stage, buffers };
    }

    it('adds up what earlier sums went into at any size, in place too', async () => {
      await fc.assert(
        fc.asyncProperty(awkward, awkward, fc.boolean(), fc.boolean(), async (rows, columns, ...layout) => {
          const { stage, buffers } = stageOf(rows, columns, ...layout);
          await checkTwice(stage, buffers, { tolerance: 5e-6 });
        }),
        { numRuns: 15 },
      );
    });

    it('computes again what rows are too long to keep', async () => {
      const { stage, buffers } = stageOf(3, 5003, false, false);
      const { code } = generateKernel(stage, buffers, limits);
      expect(code).not.toContain('var kept');
      await checkTwice(stage, buffers, { tolerance: 2e-5 });
    });

    it('goes through rows of several axes, inside a loop over time', async () => {
      const time = { stride: 60, shift: 1, ring: 2 };
      const x = { ...ref(1, [1, 15, 3]), time };
      const refs = { x, y: ref(0, [20, 5, 1]), variance: ref(2, [1, 3, 0], 2) };
      const stage = normalisedRows([3, 4, 5], refs);
      const buffers = [floats('arena', zeros(60)), floats('x', numbers(120)), floats('variance', zeros(14))];
      await checkTwice(stage, buffers, { tolerance: 5e-6, t: 4 });
    });
  });

  describe('softmax', () => {
    it('sums to one at any size, in place too', async () => {
      await fc.assert(
        fc.asyncProperty(awkward, awkward, fc.boolean(), async (rows, columns, inPlace) => {
          const stage: SoftmaxStage = {
            ...{ kind: 'softmax', rows, columns },
            input: ref(1, [columns, 1]),
            output: inPlace ? ref(1, [columns, 1]) : ref(2, [1, rows]),
          };
          const buffers = [
            floats('arena', [0]),
            floats(
              'x',
              numbers(rows * columns).map((x) => 30 * x),
            ),
            floats('y', zeros(rows * columns)),
          ];
          await checkTwice(stage, buffers, { tolerance: 5e-6 });
        }),
        { numRuns: 12 },
      );
    });

    it('is not troubled by large logits', async () => {
      const stage: SoftmaxStage = {
        ...{ kind: 'softmax', rows: 2, columns: 3, input: ref(1, [3, 1]), output: ref(1, [3, 1]) },
      };
      const huge = floats('x', [1e30, -1e30, 1e30, Number.NEGATIVE_INFINITY, 0, -500]);
      const buffers = [floats('arena', [0]), huge];
      const [, y] = await dispatch(backend, generateKernel(stage, buffers, limits), buffers);
      expect([...y!]).toEqual([0.5, 0, 0.5, 0, 1, 0]);
    });
  });

  describe('softmax cross-entropy', () => {
    function stageOf(rows: number, columns: number, kind: 'classes' | 'dense') {
      const cells = rows * columns;
      const stage: SoftmaxCrossEntropyStage = {
        ...{ kind: 'softmaxCrossEntropy', rows, columns },
        logits: ref(1, [columns, 1]),
        target: { kind, ref: kind === 'dense' ? ref(2, [columns, 1]) : ref(2, [1]) },
        weight: ref(3, [1]),
        loss: ref(4, [1]),
        gradient: ref(5, [columns, 1]),
      };
      const target =
        kind === 'dense'
          ? floats('target', numbers(cells, 2).map(Math.abs))
          : ints(
              'target',
              numbers(rows, 2).map((x) => Math.floor(((x + 1) / 2) * columns)),
            );
      const buffers = [
        floats('arena', [0]),
        floats(
          'logits',
          numbers(cells, 1).map((x) => 20 * x),
        ),
        target,
        floats('weight', numbers(rows, 3).map(Math.abs)),
        floats('loss', zeros(rows)),
        floats('gradient', zeros(cells)),
      ];
      return { stage, buffers };
    }

    it('agrees for class and dense targets at any size', async () => {
      await fc.assert(
        fc.asyncProperty(
          awkward,
          awkward,
          fc.constantFrom('classes' as const, 'dense' as const),
          async (rows, columns, kind) => {
            const { stage, buffers } = stageOf(rows, columns, kind);
            await checkTwice(stage, buffers, { tolerance: 5e-6 });
          },
        ),
        { numRuns: 16 },
      );
    });

    it('gives the loss or the gradient alone, and the gradient in place of the logits', async () => {
      const { stage, buffers } = stageOf(9, 20, 'classes');
      await checkTwice({ ...stage, gradient: null }, buffers, { tolerance: 5e-6 });
      await checkTwice({ ...stage, loss: null, gradient: stage.logits }, buffers, { tolerance: 5e-6 });
    });

    it('shows a class number out of range as NaN, unless the row weighs nothing', async () => {
      const { stage, buffers } = stageOf(3, 5, 'classes');
      const [arena, logits, , , loss, gradient] = buffers as [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer];
      const wild = [
        arena,
        logits,
        ints('target', [5, -7, 2 ** 30]),
        floats('weight', [1, 0, 1]),
        loss,
        gradient,
      ];
      const result = await dispatch(backend, generateKernel(stage, wild, limits), wild);
      expect([...result[4]!]).toEqual([Number.NaN, 0, Number.NaN]);
      expect([...result[5]!.slice(0, 5)].every(Number.isNaN)).toBe(true);
      expect([...result[5]!.slice(5, 10)].map(Math.abs)).toEqual(zeros(5));
    });
  });
});

describe('scatter-add', () => {
  function stageOf(count: number, size: number, width: number, ids: number[]) {
    const stage: ScatterAddStage = {
      ...{ kind: 'scatterAdd', count, size, width },
      ids: ref(1, [1]),
      source: ref(2, [width, 1]),
      target: ref(3, [width, 1]),
    };
    const buffers = [
      floats('arena', [0]),
      ints('ids', ids),
      floats('source', numbers(count * width)),
      floats('target', numbers(size * width, 2)),
    ];
    return { stage, buffers };
  }

  it('adds rows in order at any size', async () => {
    await fc.assert(
      fc.asyncProperty(
        awkward,
        fc.constantFrom(1, 2, 5, 17),
        fc.constantFrom(1, 3, 64, 70, 300),
        async (count, size, width) => {
          const ids = numbers(count, 9).map((x) => Math.floor(((x + 1) / 2) * size));
          const { stage, buffers } = stageOf(count, size, width, ids);
          const scale = magnitude(stage, buffers, 3);
          await check(backend, stage, buffers, { tolerance: sumTolerance(count), scale });
        },
      ),
      { numRuns: 12 },
    );
  });

  it('goes through many chunks of ids, the same bits every time', async () => {
    const ids = numbers(5003, 9).map((x) => Math.floor((x + 1) * 1.5));
    const { stage, buffers } = stageOf(5003, 3, 4, ids);
    const first = await check(backend, stage, buffers, { tolerance: 1e-5 });
    const second = await check(backend, stage, buffers, { tolerance: 1e-5 });
    expect(second[3]).toEqual(first[3]);
  });

  it('leaves out ids out of range', async () => {
    const { stage, buffers } = stageOf(5, 3, 2, [0, -1, 3, 2 ** 31 - 1, 2]);
    await check(backend, stage, buffers, { tolerance: 1e-6 });
  });
});
