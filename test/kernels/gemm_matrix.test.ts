/** Products of halves by subgroup matrices, against their definition in float64, and what is made for devices not at hand. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { matrixKernels } from '../../kernels/gemm_matrix.js';
import { type MatrixTile, matrixTileBytes, matrixTilesByTime } from '../../kernels/gemm_matrix_tile.js';
import { defaultLimits, generateKernel, type KernelLimits } from '../../kernels/index.js';
import { halvesAmong, type ProductTile, productKernel, productWays } from '../../kernels/product.js';
import { productKey } from '../../kernels/product_key.js';
import type { GemmStage, Ref } from '../../kernels/stage.js';
import type { ParallelTask, SequenceTask, Task } from '../../kernels/task.js';
import type { WebGpuBackend } from '../../src/backend/webgpu/webgpu-backend.js';
import { product, productOfHalves, productShapes, ref } from '../support/products.js';
import { runComposed } from '../support/run-composed.js';
import { accumulator, gates } from './gates.js';
import {
  type Buffer,
  check,
  dispatch,
  expectClose,
  floats,
  halves,
  numbers,
  openUnfinished,
  sumTolerance,
} from './gpu.js';

const BY_MATRICES = 'subgroupMatrixMultiplyAccumulate(';

/** Twice that of a sum in float32, for matrices may cut off what others round. */
const tolerance = (length: number) => 2 * sumTolerance(length);

const plain = { batch: 1, transposeA: false, transposeB: false, offset: 0 };

/** A GPU whose subgroups of 32 multiply matrices of the given sizes. */
const gpuWith = (M: number, N: number, K: number): KernelLimits => ({
  ...defaultLimits,
  maxComputeInvocationsPerWorkgroup: 1024,
  maxComputeWorkgroupStorageSize: 49152,
  halves: true,
  subgroups: { min: 32, max: 32 },
  subgroupMatrices: [{ componentType: 'f16', resultComponentType: 'f32', M, N, K }],
  matrixKernels,
});
const large = gpuWith(16, 16, 16);

describe('on a device', () => {
  let backend: WebGpuBackend;
  let limits: KernelLimits;
  let someTile: MatrixTile | undefined;
  beforeAll(async () => {
    backend = await openUnfinished();
    // Whatever the rules say of a CPU that plays GPU.
    limits = { ...backend.device.kernelLimits, directRead: null };
    const { stage } = productOfHalves({ ...plain, rows: 256, columns: 256, depth: 256 });
    someTile = matrixTilesByTime(stage, limits)[0]?.tile;
  });
  afterAll(() => backend[Symbol.dispose]());

  /** A test that is skipped, with the reason, where there is nothing to test it on. */
  const onMatrices = (name: string, test: (tile: MatrixTile) => Promise<void>) =>
    it(name, async ({ skip }: TestContext) => {
      if (someTile === undefined)
        skip(`${backend.description} has no subgroup matrices of f16 with sums in f32`);
      else await test(someTile);
    });

  /** Whatever of it a workgroup and a subgroup own, with the matrices of the device. */
  const tiles = fc.record({
    subgroupsX: fc.constantFrom(1, 2),
    subgroupsY: fc.constantFrom(1, 2),
    rowsEach: fc.constantFrom(1, 2),
    columnsEach: fc.constantFrom(1, 2),
    deep: fc.constantFrom(1, 2),
  });

  onMatrices('products of any size and transposition are those of float64, summed in f32', async (some) => {
    await fc.assert(
      fc.asyncProperty(productShapes, tiles, async (shape, { deep, ...sizes }) => {
        const { stage, buffers, scale } = productOfHalves(shape);
        const tile = { ...some, ...sizes, depth: deep * some.matrix.K };
        const kernel = productKernel(stage, buffers, limits, tile);
        expect(kernel.code).toContain(BY_MATRICES);
        await check(backend, stage, buffers, { tolerance: tolerance(shape.depth + 1), scale, kernel });
      }),
      { numRuns: 6 },
    );
  });

  for (const [transposeA, transposeB] of [
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ] as const)
    onMatrices(`reads four at a time (transposed: A ${transposeA}, B ${transposeB})`, async () => {
      const shape = {
        ...plain,
        batch: 2,
        rows: 52,
        columns: 36,
        depth: 88,
        transposeA,
        transposeB,
        offset: 4,
      };
      const { stage, buffers, scale } = productOfHalves(shape);
      const kernel = generateKernel(stage, buffers, limits);
      expect(kernel.code).toContain(BY_MATRICES);
      expect(kernel.code.match(/read> b\d: array<vec4<half>/g)).toHaveLength(2);
      await check(backend, stage, buffers, { tolerance: tolerance(89), scale, kernel });
    });

  onMatrices('adds products of several terms into several slots, and evaluates an epilogue', async (some) => {
    const tile = { ...some, rowsEach: 1, columnsEach: 2, depth: some.matrix.K };
    const size = fc.constantFrom(9, 16, 17, 20);
    await fc.assert(
      fc.asyncProperty(size, size, size, fc.constantFrom(1, 5, 16), async (rows, columns, ...depths) => {
        const { stage, buffers } = gates(halves, [rows, columns, depths[0]!, depths[1]!]);
        const kernel = productKernel(stage, buffers, limits, tile);
        expect(kernel.code).toContain(BY_MATRICES);
        // Sums of 36 products at most, on the scale of what is stored.
        await check(backend, stage, buffers, { tolerance: tolerance(36), kernel });
      }),
      { numRuns: 3 },
    );
  });

  onMatrices('reads and stores parts of one buffer of halves', async () => {
    const [rows, columns, depth] = [24, 40, 16];
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
    // Sums of 16 products of multiples of 1/8 up to 1 are halves: stored as they are.
    const eighths = numbers(c + rows * columns).map((x) => Math.round(8 * x) / 8);
    const buffers = [halves('arena', eighths)];
    const kernel = generateKernel(stage, buffers, limits);
    expect(kernel.code).toContain(BY_MATRICES);
    const [arena] = await dispatch(backend, kernel, buffers);
    const { arena: wanted } = runComposed(once(stage, buffers), { arena: eighths });
    expect([...arena!]).toEqual([...wanted!]);
  });

  const once = (task: Task, buffers: readonly Buffer[]) => ({
    ...{ buffers, steps: [{ kind: 'task' as const, label: '', task }] },
  });

  /** Steps h(t+1) = h(t) U, in which all numbers are halves: each of U's columns is the mean of two units. */
  function recurrence(rows: number, units: number, count: number) {
    const time = (shift: number) => ({ stride: rows * units, shift, ring: 0 });
    const stage: GemmStage = {
      ...{ kind: 'gemm', batch: 1, rows, columns: units, slots: 1 },
      terms: [
        {
          depth: units,
          a: { ...ref(1, [0, units, 1]), time: time(0) },
          b: ref(2, [0, units, 1]),
          slots: [{ slot: 0, offset: 0 }],
        },
      ],
      scalars: [accumulator()],
      stores: [{ ref: { ...ref(1, [0, units, 1]), time: time(1) }, value: 0 }],
    };
    const mean = Array.from({ length: units * units }, (_, n) => {
      const [i, j] = [Math.floor(n / units), n % units];
      return i === (j + 1) % units || i === (3 * j + 2) % units ? 0.5 : 0;
    });
    const first = numbers(rows * units).map((x) => Math.round(8 * x) / 8);
    const state = halves('h', [...first, ...new Array<number>(count * rows * units).fill(0)]);
    const buffers = [floats('arena', [0]), state, halves('u', mean)];
    return { stage, buffers };
  }

  const sequence = (rows: number, units: number, count: number, tileRows: number, threads: number) => {
    const { stage, buffers } = recurrence(rows, units, count);
    const task: SequenceTask = {
      ...{ kind: 'sequence', first: 0, count, direction: 1, chunk: count, delay: 0, rows },
      stages: [{ stage, rowAxis: 1 }],
      shape: { tileRows, threads },
    };
    return { task, buffers };
  };

  async function checkTask(task: Task, buffers: readonly Buffer[], products: number) {
    const kernel = generateKernel(task, buffers, limits);
    expect(kernel.code.match(/= subgroupMatrixMultiplyAccumulate\(/g)!.length).toBeGreaterThanOrEqual(
      products,
    );
    const actual = await dispatch(backend, kernel, buffers);
    const inputs = Object.fromEntries(buffers.map(({ name, data }) => [name, data]));
    const wanted = runComposed(once(task, buffers), inputs);
    buffers.forEach(({ name }, n) => expectClose(actual[n]!, wanted[name]!, 0, name));
  }

  onMatrices('goes through the steps of a sequence, a workgroup its rows', async ({ matrix, subgroup }) => {
    for (const [rows, units, tileRows, threads] of [
      [2 * matrix.M, 3 * matrix.N, 2 * matrix.M, 2 * subgroup],
      [5 * matrix.M + 3, 2 * matrix.N + 5, matrix.M, 4 * subgroup],
    ] as const) {
      const { task, buffers } = sequence(rows, units, 5, tileRows, threads);
      await checkTask(task, buffers, 1);
    }
  });

  onMatrices('stands beside others in one dispatch', async ({ matrix, subgroup }) => {
    const { task, buffers } = sequence(3 * matrix.M, 2 * matrix.N, 3, matrix.M, 4 * subgroup);
    const other = recurrence(2 * matrix.M + 1, 4 * matrix.N, 1);
    const moved = <T extends Ref>(each: T): T => ({ ...each, buffer: each.buffer + 2, time: null });
    const [term] = other.stage.terms;
    const [store] = other.stage.stores;
    const stage: GemmStage = {
      ...other.stage,
      terms: [{ ...term!, a: moved(term!.a), b: moved(term!.b) }],
      stores: [{ ...store!, ref: { ...moved(store!.ref), offset: other.stage.rows * other.stage.columns } }],
    };
    const parallel: ParallelTask = { kind: 'parallel', parts: [task, stage], threads: 4 * subgroup };
    const [, h, u] = other.buffers as [Buffer, Buffer, Buffer];
    await checkTask(parallel, [...buffers, { ...h, name: 'h2' }, { ...u, name: 'u2' }], 2);
  });

  onMatrices('gives the same bits every time', async () => {
    const { stage, buffers } = productOfHalves({ ...plain, rows: 70, columns: 90, depth: 200 });
    const kernel = generateKernel(stage, buffers, limits);
    expect(await dispatch(backend, kernel, buffers)).toEqual(await dispatch(backend, kernel, buffers));
  });

  onMatrices('of other sizes is WGSL all the same', async () => {
    for (const [M, N, K] of [
      [16, 16, 16],
      [16, 8, 16],
      [8, 16, 16],
      [16, 16, 8],
    ] as const) {
      const { stage, buffers } = gates(halves, [100, 72, 40, 50]);
      const kernel = generateKernel(stage, buffers, gpuWith(M, N, K));
      expect(kernel.code).toContain(`const MATRIX_ROWS = ${M};`);
      const module = backend.device.gpu.createShaderModule({ code: kernel.code });
      const { messages } = await module.getCompilationInfo();
      expect(messages.map(({ message, lineNum }) => `${lineNum}: ${message}`)).toEqual([]);
    }
  });
});

describe('for devices that are not at hand', () => {
  const size = fc.integer({ min: 1, max: 300 });
  const shapes = fc.record({
    batch: fc.constantFrom(1, 3),
    rows: size,
    columns: size,
    depth: size,
    transposeA: fc.boolean(),
    transposeB: fc.boolean(),
    offset: fc.constantFrom(0, 4, 5),
  });
  const matrices = fc.constantFrom([16, 16, 16], [16, 8, 16], [8, 8, 8]) as fc.Arbitrary<
    [M: number, N: number, K: number]
  >;

  /** The value of each constant of a shader, and the bytes of each of its arrays in workgroup memory. */
  function read(code: string) {
    const names = new Map<string, number>([['max', Number.NaN]]);
    const evaluate = (expression: string): number =>
      new Function('max', ...[...names.keys()].slice(1), `return ${expression}`)(
        Math.max,
        ...[...names.values()].slice(1),
      );
    for (const [, name, value] of code.matchAll(/^const (\w+) = (.*);/gm)) names.set(name!, evaluate(value!));
    const bytes = [...code.matchAll(/^var<workgroup> \w+: array<(f16|f32), (.*)>;/gm)].map(
      ([, type, length]) => (type === 'f16' ? 2 : 4) * evaluate(length!),
    );
    return { names, bytes };
  }

  it('has their sizes, whole subgroups, and no more memory than there is', () => {
    let byMatrices = 0;
    fc.assert(
      fc.property(shapes, matrices, (shape, [M, N, K]) => {
        const limits = gpuWith(M, N, K);
        const { stage, buffers } = productOfHalves(shape);
        for (const { tile } of productWays(stage, halvesAmong(buffers), limits)) {
          if (!('matrix' in tile)) continue;
          byMatrices++;
          const { code, workgroups } = productKernel(stage, buffers, limits, tile);
          const { names, bytes } = read(code);
          expect([names.get('MATRIX_ROWS'), names.get('MATRIX_COLUMNS'), names.get('MATRIX_DEPTH')]).toEqual([
            M,
            N,
            K,
          ]);
          const [, threads] = code.match(/@workgroup_size\((\d+)\)/)!;
          expect(Number(threads) % 32).toBe(0);
          expect(Number(threads)).toBe(names.get('THREADS'));
          const all = bytes.reduce((a, b) => a + b);
          expect(bytes).toHaveLength(3);
          expect(all).toBeLessThanOrEqual(matrixTileBytes(stage, tile));
          expect(matrixTileBytes(stage, tile)).toBeLessThanOrEqual(limits.maxComputeWorkgroupStorageSize);
          const groups = workgroups.reduce((a, b) => a * b);
          const needed =
            shape.batch *
            Math.ceil(shape.rows / names.get('TILE_ROWS')!) *
            Math.ceil(shape.columns / names.get('TILE_COLUMNS')!);
          expect(groups).toBeGreaterThanOrEqual(needed);
          expect(code).toMatch(
            /^enable f16;\nenable subgroups;\nenable chromium_experimental_subgroup_matrix;\n/,
          );
        }
      }),
      { numRuns: 60 },
    );
    // Of 60 shapes half are large enough, give or take; each has 4 ways.
    expect(byMatrices).toBeGreaterThan(20);
  });

  const { stage, buffers } = productOfHalves({ ...plain, rows: 256, columns: 256, depth: 256 });
  const isByMatrices = (limits: KernelLimits, of = { stage, buffers }) =>
    generateKernel(of.stage, of.buffers, limits).code.includes(BY_MATRICES);

  it('is what a large product of halves has', () => {
    expect(isByMatrices(large)).toBe(true);
    expect(isByMatrices(gpuWith(8, 8, 8))).toBe(true);
  });

  it('is not for a CPU that plays GPU, unless measuring says so', () => {
    const software = { ...large, directRead: 8 };
    expect(isByMatrices(software)).toBe(false);
    const kinds = productWays(stage, halvesAmong(buffers), software).map(({ tile }) => 'matrix' in tile);
    expect(kinds.slice(0, 10)).toEqual([...new Array(6).fill(false), ...new Array(4).fill(true)]);
  });

  it.each<[string, Partial<KernelLimits>]>([
    ['without halves', { halves: false }],
    ['without subgroups', { subgroups: null }],
    ['with subgroups of several sizes', { subgroups: { min: 16, max: 32 } }],
    [
      'with sums of halves only',
      { subgroupMatrices: [{ ...large.subgroupMatrices[0]!, resultComponentType: 'f16' }] },
    ],
    [
      'with matrices of floats only',
      { subgroupMatrices: [{ ...large.subgroupMatrices[0]!, componentType: 'f32' }] },
    ],
  ])('is not for devices %s', (_, without) => {
    expect(isByMatrices({ ...large, ...without })).toBe(false);
  });

  it('is not for floats, nor for what is smaller than a matrix', () => {
    expect(isByMatrices(large, product({ ...plain, rows: 256, columns: 256, depth: 256 }))).toBe(false);
    const oneOfFloats = buffers.map((each, n) => (n === 2 ? floats('b', each.data) : each));
    expect(isByMatrices(large, { stage, buffers: oneOfFloats })).toBe(false);
    for (const sizes of [{ rows: 15 }, { columns: 15 }, { depth: 15 }])
      expect(
        isByMatrices(large, productOfHalves({ ...plain, rows: 256, columns: 256, depth: 256, ...sizes })),
      ).toBe(false);
  });

  it('is measured beside sums in registers, and what was measured is taken', () => {
    const isHalf = halvesAmong(buffers);
    const ways = productWays(stage, isHalf, large);
    const isMatrix = (tile: ProductTile) => 'matrix' in tile;
    expect(ways.filter(({ tile }) => isMatrix(tile))).toHaveLength(4);
    // Two of them read their operands in place, which is for a tuner to find out.
    const inRegisters = ways.filter(({ tile }) => !isMatrix(tile));
    expect(inRegisters.map(({ tile }) => tile.depth === 0)).toEqual([
      ...new Array(6).fill(false),
      true,
      true,
    ]);
    expect(new Set(ways.map(({ name }) => name)).size).toBe(12);
    expect(productWays(stage, () => false, large).some(({ tile }) => isMatrix(tile))).toBe(false);
    for (const { tile } of ways) {
      const tiles = new Map([[productKey(stage, isHalf), tile]]);
      expect(isByMatrices({ ...large, tiles })).toBe(isMatrix(tile));
    }
    expect(productKey(stage, isHalf)).toBe('gemm [1, 256, 256], depth 256, N4h N4h, then 3');
  });
});
