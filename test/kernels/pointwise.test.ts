import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { collapseAxes } from '../../kernels/affine.js';
import { generateKernel } from '../../kernels/index.js';
import { literal } from '../../kernels/scalars.js';
import type { PointwiseStage, Ref, Scalar, TimeStride } from '../../kernels/stage.js';
import type { WebGpuBackend } from '../../src/backend/webgpu/webgpu-backend.js';
import { type FunctionName, functions, type PointwiseFunction } from '../../src/program/functions.js';
import { each, place } from '../support/run-schedule.js';
import { type Buffer, check, dispatch, expectClose, floats, ints, numbers, openBackend } from './gpu.js';

let backend: WebGpuBackend;
beforeAll(async () => {
  backend = await openBackend();
});
afterAll(() => backend[Symbol.dispose]());

const ref = (
  buffer: number,
  strides: readonly number[],
  offset = 0,
  time: TimeStride | null = null,
): Ref => ({
  ...{ buffer, offset, strides, time },
});
const load = (from: Ref): Scalar => ({ kind: 'load', ref: from, gather: null });

/** y = fn(x, ...) over one axis. */
function application(fn: FunctionName, ...operands: readonly (readonly number[])[]) {
  const length = operands[0]!.length;
  const stage: PointwiseStage = {
    ...{ kind: 'pointwise', shape: [length] },
    scalars: [
      ...operands.map((_, n) => load(ref(n + 1, [1]))),
      { kind: 'call', fn, args: operands.map((_, n) => n) },
    ],
    stores: [{ ref: ref(operands.length + 1, [1]), value: operands.length }],
  };
  const buffers: Buffer[] = [
    floats('arena', [0]),
    ...operands.map((data, n) => floats(`x${n}`, data)),
    floats('y', new Array(length).fill(0)),
  ];
  return { stage, buffers };
}

/** A device so wide that each element has an invocation, and one so narrow that four share one. */
const wide = () => ({ ...backend.device.kernelLimits, parallelInvocations: 2 ** 20 });
const narrow = () => ({ ...backend.device.kernelLimits, parallelInvocations: 1 });

/** By elements, compared with by fours. */
async function apply(fn: FunctionName, ...operands: readonly (readonly number[])[]): Promise<Float64Array> {
  const missing = -operands[0]!.length & 3;
  const padded = operands.map((data) => [...data, ...new Array(missing).fill(1)]);
  const { stage, buffers } = application(fn, ...padded);
  const [single, fours] = [wide(), narrow()].map((limits) => generateKernel(stage, buffers, limits));
  expect(single!.code).not.toContain('vec4');
  expect(fours!.code).toContain('vec4');
  const y = (await dispatch(backend, single!, buffers)).at(-1)!;
  expectClose((await dispatch(backend, fours!, buffers)).at(-1)!, y, 1e-7, `${fn} by fours`);
  return y.slice(0, operands[0]!.length);
}

const grid = (low: number, high: number, count: number) =>
  Array.from({ length: count }, (_, n) => Math.fround(low + ((high - low) * n) / (count - 1)));

/** Arguments on which a function is tested, inside its domain. */
const domains: Record<FunctionName, readonly (readonly number[])[]> = {
  add: [numbers(100, 1), numbers(100, 2)],
  sub: [numbers(100, 1), numbers(100, 2)],
  mul: [numbers(100, 1), numbers(100, 2)],
  div: [numbers(100, 1), numbers(100, 2).map((x) => x + Math.sign(x))],
  neg: [numbers(100)],
  exp: [grid(-20, 20, 401)],
  log: [grid(0.01, 30, 401)],
  sqrt: [grid(0, 30, 401)],
  tanh: [grid(-12, 12, 501)],
  sigmoid: [grid(-30, 30, 501)],
  relu: [grid(-2, 2, 41)],
  softplus: [grid(-30, 30, 501)],
  max: [numbers(100, 1), numbers(100, 2)],
  min: [numbers(100, 1), numbers(100, 2)],
  greater: [grid(-2, 2, 41), new Array(41).fill(0)],
  equal: [grid(-2, 2, 41), new Array(41).fill(0)],
  half: [grid(-2, 2, 401)],
  select: [numbers(100, 1).map((x) => (x > 0 ? 1 : 0)), numbers(100, 2), numbers(100, 3)],
};

describe('pointwise functions', () => {
  it.each(Object.keys(functions) as FunctionName[])('%s', async (fn) => {
    const y = await apply(fn, ...domains[fn]);
    const wanted = domains[fn][0]!.map((_, n) =>
      (functions[fn] as PointwiseFunction).evaluate(...domains[fn].map((operand) => operand[n]!)),
    );
    expectClose(y, wanted, 1e-6, fn);
  });

  it('keep their relative accuracy where tanh, softplus and sigmoid are small', async () => {
    const x = grid(-14, -3, 200).map((e) => Math.fround(2 ** e));
    // WGSL lets exp err by 3 + 2 |x| units in the last place, so softplus and sigmoid may at x = -30.
    const tolerance = { tanh: 5e-7, softplus: 63 * 2 ** -24, sigmoid: 63 * 2 ** -24 };
    const relative = async (fn: 'tanh' | 'softplus' | 'sigmoid', at: readonly number[]) => {
      const y = await apply(fn, at);
      const ratios = at.map((x, n) => y[n]! / (functions[fn] as PointwiseFunction).evaluate(x));
      expectClose(ratios, new Array(at.length).fill(1), tolerance[fn], fn);
    };
    await relative('tanh', x);
    await relative('softplus', grid(-30, 0, 300));
    await relative('sigmoid', grid(-30, 0, 300));
  });

  it('stay finite far out', async () => {
    const x = [-1e30, -1e4, -200, 200, 1e4, 1e30];
    expect([...(await apply('tanh', x))]).toEqual([-1, -1, -1, 1, 1, 1]);
    expect([...(await apply('sigmoid', x))]).toEqual([0, 0, 0, 1, 1, 1]);
    expect([...(await apply('softplus', x))].map(Math.fround)).toEqual([
      0,
      0,
      0,
      200,
      1e4,
      Math.fround(1e30),
    ]);
  });

  it('hand NaN on, so that divergence shows', async () => {
    const unary: FunctionName[] = ['neg', 'exp', 'log', 'sqrt', 'tanh', 'sigmoid', 'relu', 'softplus'];
    for (const fn of unary) expect([...(await apply(fn, [Number.NaN, 1]))][0], fn).toBeNaN();
    expect([...(await apply('log', [0, Number.POSITIVE_INFINITY, -1]))]).toEqual([
      Number.NEGATIVE_INFINITY,
      Number.POSITIVE_INFINITY,
      Number.NaN,
    ]);
    expect((await apply('sqrt', [-1]))[0]).toBeNaN();
    const binary: FunctionName[] = ['add', 'sub', 'mul', 'div', 'max', 'min'];
    for (const fn of binary) {
      const [first, second] = await apply(fn, [Number.NaN, 1], [1, Number.NaN]);
      expect([first, second], fn).toEqual([Number.NaN, Number.NaN]);
    }
  });
});

describe('pointwise', () => {
  it('reads any strides, broadcasts and transposes, at any shape, by elements and by fours', async () => {
    const sizes = fc.array(fc.constantFrom<number>(1, 2, 3, 4, 5, 7, 12, 16, 33), {
      minLength: 1,
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(sizes, fc.boolean(), fc.boolean(), async (shape, reverse, byFours) => {
        const total = shape.reduce((n, size) => n * size, 1);
        const rowMajor = shape.map((_, k) => shape.slice(k + 1).reduce((n, size) => n * size, 1));
        const columnMajor = shape.map((_, k) => shape.slice(0, k).reduce((n, size) => n * size, 1));
        const broadcast = rowMajor.map((_, k) => (k === shape.length - 1 ? 1 : 0));
        const stage: PointwiseStage = {
          ...{ kind: 'pointwise', shape },
          scalars: [
            load(ref(1, reverse ? columnMajor : rowMajor)),
            load(ref(2, broadcast)),
            { kind: 'coordinate', index: ref(0, rowMajor, 3) },
            { kind: 'constant', value: 0.1 },
            { kind: 'call', fn: 'mul', args: [0, 1] },
            { kind: 'call', fn: 'mul', args: [2, 3] },
            { kind: 'call', fn: 'add', args: [4, 5] },
          ],
          // By columns no vector can be stored.
          stores: [
            { ref: ref(0, rowMajor), value: 6 },
            { ref: ref(0, byFours ? rowMajor : columnMajor, total), value: 4 },
          ],
        };
        const buffers = [
          floats('arena', numbers(2 * total)),
          floats('x', numbers(total, 2)),
          floats('y', numbers(shape.at(-1)!, 3)),
        ];
        const kernel = generateKernel(stage, buffers, narrow());
        await check(backend, stage, buffers, { tolerance: 5e-7, kernel });
      }),
      { numRuns: 15 },
    );
  });

  it.each([
    ['no ring', { stride: 6, shift: -1, ring: 0 }, 3],
    ['a ring', { stride: 6, shift: -1, ring: 3 }, 0],
    ['a ring, later', { stride: 6, shift: 2, ring: 3 }, 2],
  ])('follows the time: %s', async (_, time, t) => {
    const stage: PointwiseStage = {
      ...{ kind: 'pointwise', shape: [6] },
      scalars: [load(ref(1, [1], 0, time))],
      stores: [{ ref: ref(2, [1], 0, { stride: 6, shift: 0, ring: 0 }), value: 0 }],
    };
    const buffers = [floats('arena', [0]), floats('x', numbers(30)), floats('y', numbers(30, 2))];
    await check(backend, stage, buffers, { tolerance: 0, t });
  });

  it.each([5, 8])('gathers rows of %i, clamps ids out of range, converts integers', async (width) => {
    const [rows, size] = [7, 4];
    const gather = (ids: Ref) => ({ ids, stride: width, size });
    const stage: PointwiseStage = {
      ...{ kind: 'pointwise', shape: [rows, width] },
      scalars: [
        { kind: 'load', ref: ref(1, [0, 1]), gather: gather(ref(2, [1, 0])) },
        load(ref(2, [1, 0])),
        { kind: 'call', fn: 'add', args: [0, 1] },
      ],
      // Integers are stored one by one, so the copy keeps the whole stage from going by fours.
      stores: [
        { ref: ref(3, [width, 1]), value: 2 },
        ...(width % 4 === 0 ? [] : [{ ref: ref(4, [width, 1]), value: 1 }]),
      ],
    };
    const buffersFor = (ids: number[]) => [
      floats('arena', [0]),
      floats('table', numbers(size * width)),
      ints('ids', ids),
      floats('y', numbers(rows * width)),
      ints('copy', new Array(rows * width).fill(0)),
    ];
    await check(backend, stage, buffersFor([3, 0, 1, 1, 2, 3, 0]), { tolerance: 1e-7 });
    await check(backend, stage, buffersFor([-5, 99, 2 ** 31 - 1, -(2 ** 31), 0, 1, 2]), { tolerance: 1e-7 });
  });

  it('gathers columns, and elements from rows of their own, by fours', async () => {
    const [rows, width, size] = [3, 8, 5];
    const gather = (ids: Ref, stride: number) => ({ ids, stride, size });
    const stage: PointwiseStage = {
      ...{ kind: 'pointwise', shape: [rows, width] },
      scalars: [
        { kind: 'load', ref: ref(1, [0, size]), gather: gather(ref(2, [1, 0]), 1) },
        { kind: 'load', ref: ref(1, [0, 1]), gather: gather(ref(2, [0, 1]), width) },
        { kind: 'call', fn: 'sub', args: [0, 1] },
      ],
      stores: [{ ref: ref(3, [width, 1]), value: 2 }],
    };
    const buffers = [
      floats('arena', [0]),
      floats('table', numbers(size * width)),
      ints('ids', [3, 9, 0, 1, 4, -2, 2, 3]),
      floats('y', numbers(rows * width)),
    ];
    const kernel = generateKernel(stage, buffers, narrow());
    expect(kernel.code).toContain('array<vec4<f32>, ');
    await check(backend, stage, buffers, { tolerance: 1e-7, kernel });
  });

  it.each([11, 12])('draws the same uniform numbers as threefry on the CPU, rows of %i', async (width) => {
    const stage: PointwiseStage = {
      ...{ kind: 'pointwise', shape: [width, width] },
      scalars: [{ kind: 'random', key: ref(1, [0, 0], 1), stream: 7, index: ref(0, [width, 1], 2 ** 20) }],
      stores: [{ ref: ref(2, [width, 1]), value: 0 }],
    };
    const buffers = [
      floats('arena', [0]),
      ints('key', [5, 123456789, -987654321]),
      floats('y', new Array(width * width).fill(0)),
    ];
    await check(backend, stage, buffers, { tolerance: 0 });
  });

  it('writes infinities and NaN as constants', async () => {
    const values = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 1e-7, -1e21, 0.1];
    const stage: PointwiseStage = {
      ...{ kind: 'pointwise', shape: [1] },
      scalars: values.map((value) => ({ kind: 'constant', value })),
      stores: values.map((_, n) => ({ ref: ref(0, [0], n), value: n })),
    };
    const buffers = [floats('arena', new Array(values.length).fill(0))];
    const kernel = generateKernel(stage, buffers, backend.device.kernelLimits);
    const [arena] = await dispatch(backend, kernel, buffers);
    expect([...arena!]).toEqual(values.map(Math.fround));
    expect(literal(-0)).toBe('-0f');
  });

  it('covers grids longer than one axis may be', async () => {
    const { stage, buffers } = application('neg', numbers(20000));
    const limits = { ...backend.device.kernelLimits, maxComputeWorkgroupsPerDimension: 3 };
    const kernel = generateKernel(stage, buffers, limits);
    expect(kernel.workgroups).toEqual([3, 3, 3]);
    await check(backend, stage, buffers, { tolerance: 0, kernel });
  });

  it('refuses more buffers than the device binds', () => {
    const { stage, buffers } = application('select', [1], [1], [1]);
    const limits = { ...backend.device.kernelLimits, maxStorageBuffersPerShaderStage: 3 };
    expect(() => generateKernel(stage, buffers, limits)).toThrow(
      expect.objectContaining({ code: 'KERNEL', where: 'x0, x1, x2, y' }),
    );
  });

  it('collapses axes without moving an element', () => {
    const places = (shape: readonly number[], index: Ref): number[] => {
      const found: number[] = [];
      each(shape, false, (at) => found.push(place(index, at, 0)));
      return found;
    };
    const sizes = fc.array(fc.constantFrom(1, 2, 3), { minLength: 0, maxLength: 5 });
    const strides = fc.array(fc.constantFrom(0, 1, 2, 3, 4, 6, 9, 12, 18), { minLength: 5, maxLength: 5 });
    fc.assert(
      fc.property(sizes, strides, strides, (shape, first, second) => {
        const indices = [first, second].map((all) => ref(0, all.slice(0, shape.length), 1));
        const { shape: fewer, narrow } = collapseAxes(shape, indices);
        for (const index of indices) {
          expect(places(fewer, narrow(index))).toEqual(places(shape, index));
        }
      }),
    );
    expect(collapseAxes([4, 1, 5, 6], [ref(0, [30, 7, 6, 1])]).shape).toEqual([120]);
  });
});
