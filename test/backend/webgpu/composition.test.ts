/** Stages that share a dispatch give what they give alone, to the bit where sums are in the same order. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defaultLimits, generateKernel, type KernelLimits } from '../../../kernels/index.js';
import type { PointwiseStage, Ref } from '../../../kernels/stage.js';
import { dispatchesOf } from '../../../kernels/task.js';
import { interpret } from '../../../src/backend/cpu/interpret.js';
import { WebGpuExecutable } from '../../../src/backend/webgpu/executable.js';
import type { WebGpuBackend } from '../../../src/backend/webgpu/webgpu-backend.js';
import { cells } from '../../../src/cells/index.js';
import type { Program } from '../../../src/program/program.js';
import { type Composition, compose } from '../../../src/schedule/compose.js';
import { type ComposedSchedule, countDispatches } from '../../../src/schedule/composed.js';
import { schedule } from '../../../src/schedule/index.js';
import type { Loop, Schedule } from '../../../src/schedule/schedule.js';
import { numbers, openBackend } from '../../kernels/gpu.js';
import { cellDerivatives, keys } from '../../support/cell-programs.js';
import { expectClose, randomInputs } from '../../support/numbers.js';
import { runSchedule } from '../../support/run-schedule.js';

let backend: WebGpuBackend;
beforeAll(async () => {
  backend = await openBackend();
});
afterAll(() => backend[Symbol.dispose]());

type Inputs = Readonly<Record<string, ArrayLike<number>>>;

/** The contents of every buffer but the arena after a run. */
async function run(
  composed: ComposedSchedule,
  inputs: Inputs,
  limits = backend.device.kernelLimits,
): Promise<Record<string, ArrayLike<number>>> {
  using executable = await WebGpuExecutable.create(backend.device, backend.pipelines, composed, limits);
  expect(executable.dispatches).toBe(countDispatches(composed));
  const named = composed.buffers.slice(1);
  const tensors = Object.fromEntries(
    named.map(({ name, dtype, length }) => [name, backend.tensor({ dtype, shape: [length] })]),
  );
  for (const [name, data] of Object.entries(inputs)) tensors[name]!.write(data);
  executable.run(tensors);
  const after: Record<string, ArrayLike<number>> = {};
  for (const { name } of named) after[name] = await tensors[name]!.read();
  for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
  return after;
}

const composedBy = (program: Program, composition: Composition): ComposedSchedule =>
  compose(schedule(program), backend.device.kernelLimits, composition);

/** As for a GPU: other shapes of workgroups than for one in software. */
const composedForGpu = (program: Program): ComposedSchedule =>
  compose(schedule(program), defaultLimits, 'all');

/** The same with sequences of at most `chunk` steps in a dispatch. */
function chunked(composed: ComposedSchedule, chunk: number): ComposedSchedule {
  const steps = composed.steps.map((step) => {
    if (step.kind === 'loop' || step.task.kind === 'parallel') return step;
    return step.task.kind === 'sequence' ? { ...step, task: { ...step.task, chunk } } : step;
  });
  return { ...composed, steps };
}

describe('loops over time in one dispatch', () => {
  // 5 rows and 12 units: neither fills a tile.
  it.each([
    ['lstm', 1, false],
    ['gru', 1, true],
    ['multi-head-lstm', 1, false],
    ['rnn', 2, false],
  ] as const)(
    '%s, %i layers, bidirectional: %s: gradients and Hessian products',
    async (name, layers, bidirectional) => {
      const program = cellDerivatives(
        { cell: cells[name]!, input: 3, hidden: 12, layers, bidirectional },
        5,
        5,
      );
      const inputs = randomInputs(program, 3, keys);
      const wanted = interpret(program, inputs);
      const alone = await run(composedBy(program, 'none'), inputs);
      const all = composedBy(program, 'all');
      expect(all.steps.every((step) => step.kind === 'task' || step.count === 1)).toBe(true);
      const together = await run(all, inputs);
      for (const key of Object.keys(wanted)) expectClose(together[key]!, wanted[key]!, 1e-5, key);
      // The order of a sum over rows and times depends on the size of the workgroup; nothing else does.
      const weights = Object.keys(wanted).filter((key) => wanted[key]!.length > 4 * 12);
      expect(weights.length).toBeGreaterThan(0);
      for (const key of weights) expect(together[key], key).toEqual(alone[key]);
    },
  );

  it('lstm, with the kernels of a GPU, which copy operands into workgroup memory', async () => {
    const program = cellDerivatives({ cell: cells.lstm!, input: 3, hidden: 12, layers: 1 }, 5, 5);
    const inputs = randomInputs(program, 3, keys);
    const wanted = interpret(program, inputs);
    const after = await run(composedForGpu(program), inputs, defaultLimits);
    for (const key of Object.keys(wanted)) expectClose(after[key]!, wanted[key]!, 1e-5, key);
  });

  it.each([
    ['without subgroups', 12, null],
    ['by subgroups', 50, { min: 32, max: 32 }],
  ])('with sums among its stages, %s, of %i units', async (_, hidden, subgroups) => {
    const config = { cell: cells['layer-norm-lstm']!, input: 3, hidden, layers: 1 };
    const program = cellDerivatives(config, 3, 5);
    const inputs = randomInputs(program, 3, keys);
    const wanted = interpret(program, inputs);
    const limits: KernelLimits = { ...defaultLimits, subgroups };
    const composed = compose(schedule(program), limits, 'all');
    const inLoops = composed.steps.flatMap((step) =>
      step.kind === 'task' && step.task.kind === 'sequence'
        ? [generateKernel(step.task, composed.buffers, limits).code]
        : [],
    );
    expect(inLoops.some((code) => code.includes('subgroupAdd'))).toBe(subgroups !== null);
    const together = await run(composed, inputs, limits);
    for (const key of Object.keys(wanted)) expectClose(together[key]!, wanted[key]!, 2e-5, key);
  });

  it('with a softmax', async () => {
    const [rows, columns, count] = [5, 7, 4];
    const at = (shift: number): Ref => ({
      ...{ buffer: 1, offset: 0, strides: [columns, 1] },
      time: { stride: rows * columns, shift, ring: 0 },
    });
    const length = (count + 1) * rows * columns;
    const plan: Schedule = {
      buffers: [
        { name: 'arena', dtype: 'float', length: 16 },
        { name: 'p', dtype: 'float', length },
      ],
      steps: [
        {
          ...{ kind: 'loop', first: 0, count, direction: 1 },
          stages: [
            {
              ...{ kind: 'stage', label: 'p' },
              stage: { kind: 'softmax', rows, columns, input: at(0), output: at(1) },
            },
          ],
        },
      ],
    };
    const composed = compose(plan, backend.device.kernelLimits, 'all');
    expect(composed.steps).toMatchObject([{ task: { kind: 'sequence', rows } }]);
    const inputs = { p: numbers(length) };
    expectClose((await run(composed, inputs)).p!, runSchedule(plan, inputs).p!, 1e-6, 'p');
  });

  it('or in several, each with a part of the steps', async () => {
    const program = cellDerivatives({ cell: cells.rnn!, input: 3, hidden: 12, layers: 1 }, 7, 5);
    const inputs = randomInputs(program, 3, keys);
    const whole = composedForGpu(program);
    const parts = chunked(whole, 3);
    expect(countDispatches(parts)).toBeGreaterThan(countDispatches(whole));
    const after = await run(whole, inputs, defaultLimits);
    expect(await run(parts, inputs, defaultLimits)).toEqual(after);
    const wanted = interpret(program, inputs);
    for (const key of Object.keys(wanted)) expectClose(after[key]!, wanted[key]!, 1e-5, key);
  });
});

describe('layers behind each other', () => {
  it.each([
    ['lstm', 3, 5],
    ['gru', 2, 8],
    ['layer-norm-lstm', 2, 3],
  ] as const)('%s, %i layers over %i steps: gradients and Hessian products', async (name, layers, T) => {
    const config = { cell: cells[name]!, input: 3, hidden: 12, layers };
    const program = cellDerivatives(config, T, 5, 0.3);
    const inputs = randomInputs(program, 3, keys);
    const wanted = interpret(program, inputs);
    const alone = await run(composedBy(program, 'none'), inputs);
    const behind = composedBy(program, 'all');
    const delayed = behind.steps.filter(
      (step) => step.kind === 'task' && step.task.kind === 'parallel' && dispatchesOf(step.task) > 1,
    );
    expect(delayed.length).toBeGreaterThan(0);
    const together = await run(behind, inputs);
    for (const key of Object.keys(wanted)) expectClose(together[key]!, wanted[key]!, 2e-5, key);
    // As above; and sums along rows depend on the size of the workgroup too.
    if (name === 'layer-norm-lstm') return;
    const weights = Object.keys(wanted).filter((key) => wanted[key]!.length > 4 * 12);
    for (const key of weights) expect(together[key], key).toEqual(alone[key]);
  });
});

describe('loops that mix rows', () => {
  const size = 6;
  const square = size * size;
  /** y(t + 1) = y(t)' + y(t), for t = 0, 1, 2 or the other way round. */
  const mixing = (buffer: number, direction: 1 | -1): Loop => {
    const ref = (strides: readonly number[], shift: number): Ref => ({
      ...{ buffer, offset: 0, strides },
      time: { stride: square, shift, ring: 0 },
    });
    const from = direction === 1 ? 0 : 1;
    const stage: PointwiseStage = {
      ...{ kind: 'pointwise', shape: [size, size] },
      scalars: [
        { kind: 'load', ref: ref([1, size], from), gather: null },
        { kind: 'load', ref: ref([size, 1], from), gather: null },
        { kind: 'call', fn: 'add', args: [0, 1] },
      ],
      stores: [{ ref: ref([size, 1], 1 - from), value: 2 }],
    };
    const first = direction === 1 ? 0 : 2;
    return { kind: 'loop', first, count: 3, direction, stages: [{ kind: 'stage', label: 'mix', stage }] };
  };

  it('share the dispatches of their steps, also in opposite directions', async () => {
    const named = ['x', 'y'].map((name) => ({ name, dtype: 'float' as const, length: 4 * square }));
    const plan: Schedule = {
      buffers: [{ name: 'arena', dtype: 'float', length: 16 }, ...named],
      steps: [mixing(1, 1), mixing(2, -1)],
    };
    const composed = compose(plan, backend.device.kernelLimits, 'all');
    expect(composed.steps).toMatchObject([
      { kind: 'loop', count: 3, tasks: [{ task: { kind: 'parallel' } }] },
    ]);
    expect(countDispatches(composed)).toBe(3);
    const inputs = { x: numbers(4 * square, 1), y: numbers(4 * square, 2) };
    const wanted = runSchedule(plan, inputs);
    const after = await run(composed, inputs);
    for (const name of ['x', 'y']) expectClose(after[name]!, wanted[name]!, 1e-6, name);
  });
});
