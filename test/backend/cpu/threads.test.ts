import { afterAll, describe, expect, test } from 'vitest';
import type { Ref, Stage } from '../../../kernels/stage.js';
import { Float32Backend } from '../../../src/backend/cpu/float32-backend.js';
import type { WorkerThread } from '../../../src/backend/cpu/team.js';
import { startNodeWorker } from '../../../src/backend/cpu/workers-node.js';
import type { Schedule } from '../../../src/schedule/schedule.js';
import { noise, ref, scheduleOf, specs } from './harness.js';

const threaded = await Float32Backend.threaded(3, startNodeWorker);
afterAll(() => threaded[Symbol.dispose]());

/** The contents of all buffers after two runs. */
async function run(backend: Float32Backend, schedule: Schedule, contents: Float64Array[]) {
  const tensors = Object.fromEntries(
    contents.map((data, k) => {
      const { name, dtype } = schedule.buffers[k + 1]!;
      const tensor = backend.tensor({ dtype, shape: [data.length] });
      tensor.write(data);
      return [name, tensor];
    }),
  );
  using executable = await backend.compileSchedule(schedule);
  executable.run(tensors);
  executable.run(tensors);
  const results = await Promise.all(Object.values(tensors).map((tensor) => tensor.read()));
  for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
  return results;
}

const load = (operand: Ref) => ({ kind: 'load' as const, ref: operand, gather: null });
const accumulator = { kind: 'accumulator' as const, slot: 0 };
const product = (m: number, k: number, n: number, a: Ref, b: Ref, c: Ref): Stage => ({
  kind: 'gemm',
  batch: 1,
  rows: m,
  columns: n,
  slots: 1,
  terms: [{ depth: k, a, b, slots: [{ slot: 0, offset: 0 }] }],
  scalars: [accumulator],
  stores: [{ ref: c, value: 0 }],
});

const stages: [string, Stage, Float64Array[], number[]][] = [
  [
    'pointwise along one axis',
    {
      kind: 'pointwise',
      shape: [101],
      scalars: [load(ref(1, [1])), { kind: 'call', fn: 'tanh', args: [0] }],
      stores: [{ ref: ref(2, [1]), value: 1 }],
    },
    [noise(101), new Float64Array(101)],
    [],
  ],
  [
    'pointwise along three',
    {
      kind: 'pointwise',
      shape: [5, 3, 7],
      scalars: [load(ref(1, [1, 5, 15])), { kind: 'call', fn: 'exp', args: [0] }],
      stores: [{ ref: ref(2, [21, 7, 1]), value: 1 }],
    },
    [noise(105), new Float64Array(105)],
    [],
  ],
  [
    'a product of many rows',
    product(150, 33, 21, ref(1, [0, 1, 150]), ref(2, [0, 21, 1]), ref(3, [0, 21, 1])),
    [noise(150 * 33), noise(33 * 21, 2), new Float64Array(150 * 21)],
    [],
  ],
  [
    'a product of few rows',
    product(7, 33, 50, ref(1, [0, 33, 1]), ref(2, [0, 1, 33]), ref(3, [0, 50, 1])),
    [noise(7 * 33), noise(33 * 50, 2), new Float64Array(350)],
    [],
  ],
  ...[
    { name: 'a sum along rows', strides: [60, 1] },
    { name: 'a sum along columns', strides: [1, 17] },
  ].map(({ name, strides }): [string, Stage, Float64Array[], number[]] => [
    name,
    {
      kind: 'reduce',
      kept: [17],
      reduced: [60],
      scalars: [load(ref(1, strides))],
      value: 0,
      stores: [ref(2, [1])],
    },
    [noise(17 * 60), new Float64Array(17)],
    [],
  ]),
  [
    'softmax',
    { kind: 'softmax', rows: 10, columns: 9, input: ref(1, [9, 1]), output: ref(2, [9, 1]) },
    [noise(90), new Float64Array(90)],
    [],
  ],
  [
    'cross-entropy',
    {
      kind: 'softmaxCrossEntropy',
      rows: 10,
      columns: 9,
      logits: ref(1, [9, 1]),
      target: { kind: 'classes', ref: ref(2, [1]) },
      weight: ref(3, [0]),
      loss: ref(4, [1]),
      gradient: ref(5, [9, 1]),
    },
    [
      noise(90),
      Float64Array.from({ length: 10 }, (_, i) => i % 9),
      Float64Array.of(0.1),
      new Float64Array(10),
      new Float64Array(90),
    ],
    [2],
  ],
  [
    'scatterAdd',
    {
      kind: 'scatterAdd',
      count: 20,
      size: 4,
      width: 11,
      ids: ref(1, [1]),
      source: ref(2, [11, 1]),
      target: ref(3, [11, 1]),
    },
    [Float64Array.from({ length: 20 }, (_, i) => (i * i) % 4), noise(220), new Float64Array(44)],
    [1],
  ],
];

describe('three threads give the bits of one', () => {
  test.each(stages)('%s', async (_, stage, contents, ints) => {
    const schedule = scheduleOf(stage, contents, ints);
    expect(await run(threaded, schedule, contents)).toEqual(
      await run(new Float32Backend(), schedule, contents),
    );
  });

  test('a recurrence, in which every step needs all of the one before', async () => {
    const [T, r, H] = [50, 5, 40];
    const at = (shift: number): Ref => ref(2, [0, H, 1], r * H, { stride: r * H, shift, ring: 0 });
    const step: Stage = {
      ...(product(r, H, H, at(-1), ref(1, [0, H, 1]), at(0)) as Stage & { kind: 'gemm' }),
      scalars: [accumulator, { kind: 'call', fn: 'tanh', args: [0] }],
      stores: [{ ref: at(0), value: 1 }],
    };
    const contents = [noise(H * H), noise((T + 1) * r * H, 2)];
    const schedule: Schedule = {
      buffers: specs(contents),
      steps: [
        {
          kind: 'loop',
          first: 0,
          count: T,
          direction: 1,
          stages: [{ kind: 'stage', label: 'step', stage: step }],
        },
      ],
    };
    expect(await run(threaded, schedule, contents)).toEqual(
      await run(new Float32Backend(), schedule, contents),
    );
  });
});

test('several schedules may be compiled at once', async () => {
  const [, stage, contents] = stages[0]!;
  const schedule = scheduleOf(stage, contents);
  const results = await Promise.all(Array.from({ length: 4 }, () => run(threaded, schedule, contents)));
  for (const result of results) expect(result).toEqual(results[0]);
});

test('a worker that ends instead of joining is reported', async () => {
  const started: WorkerThread[] = [];
  const broken = Float32Backend.threaded(2, () => {
    const thread = startNodeWorker('throw new Error("no");');
    started.push(thread);
    return thread;
  });
  await expect(broken).rejects.toThrow('a worker thread ended');
  expect(started).toHaveLength(1);
});

test('when the code of one thread traps, the run throws and so does every later one', async () => {
  using backend = await Float32Backend.threaded(2, startNodeWorker);
  const contents = [noise(4), new Float64Array(4)];
  const copy = (rowStride: number): Stage => ({
    kind: 'pointwise',
    shape: [2, 2],
    scalars: [load(ref(1, [rowStride, 1]))],
    stores: [{ ref: ref(2, [2, 1]), value: 0 }],
  });
  const runCopy = (rowStride: number) => run(backend, scheduleOf(copy(rowStride), contents), contents);
  const failure = 'a thread of the CPU backend failed';
  await runCopy(2);
  // The second row is the second thread's, and outside of all memory.
  await expect(runCopy(1e8)).rejects.toThrow(failure);
  await expect(runCopy(2)).rejects.toThrow(failure);
});
