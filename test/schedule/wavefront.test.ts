import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultLimits, generateKernel } from '../../kernels/index.js';
import type { TimeStride } from '../../kernels/stage.js';
import { dispatchesOf, type StepTask, type Task } from '../../kernels/task.js';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { trainingWork } from '../../src/bench/training-work.js';
import { resolveWorkload } from '../../src/bench/workload.js';
import { cells } from '../../src/cells/index.js';
import { compose, overlappingSteps } from '../../src/schedule/compose.js';
import { type ComposedSchedule, tasksOf } from '../../src/schedule/composed.js';
import { delaysOf } from '../../src/schedule/delays.js';
import { schedule } from '../../src/schedule/index.js';
import type { Schedule } from '../../src/schedule/schedule.js';
import { cellDerivatives, keys } from '../support/cell-programs.js';
import { expectClose, randomInputs } from '../support/numbers.js';
import { runComposed } from '../support/run-composed.js';

/** A device that binds enough for all layers of a stack. */
const roomy = {
  ...defaultLimits,
  maxComputeWorkgroupStorageSize: 49152,
  maxStorageBuffersPerShaderStage: 64,
};

/** Tasks in which something is behind something else. */
const wavesOf = ({ steps }: ComposedSchedule) =>
  steps
    .flatMap(tasksOf)
    .flatMap(({ task }) => (task.kind === 'parallel' ? [task] : []))
    .filter(({ parts }) => parts.some((part) => 'delay' in part && part.delay >= part.chunk));

/** Steps of time that wait for each other, over all tasks. */
const stepsInTurn = ({ steps }: ComposedSchedule): number =>
  steps
    .flatMap(tasksOf)
    .flatMap(({ task }) => {
      const parts = task.kind === 'parallel' ? task.parts : [task];
      return Math.max(...parts.map((part) => (part.kind === 'sequence' ? part.delay + part.count : 0)));
    })
    .reduce((a, b) => a + b, 0);

/** What a run leaves in the outputs, as text: equal for equal bits. */
const outputs = (of: Record<string, Float64Array>) =>
  Object.keys(of)
    .filter((key) => key !== 'arena')
    .map((key) => `${key} ${Buffer.from(of[key]!.buffer).toString('base64')}`);

/** Every loop's stages a dispatch each, at every step. */
const stepByStep = (plan: Schedule) =>
  new Map(plan.steps.flatMap((step) => (step.kind === 'loop' ? [[step, null] as const] : [])));

const stack = fc.record({
  name: fc.constantFrom('lstm', 'gru', 'rnn', 'layer-norm-lstm'),
  layers: fc.integer({ min: 1, max: 4 }),
  T: fc.constantFrom(1, 2, 3, 5),
  r: fc.integer({ min: 1, max: 3 }),
  hidden: fc.integer({ min: 1, max: 3 }),
  rate: fc.constantFrom(0, 0.3),
  bidirectional: fc.boolean(),
  recompute: fc.boolean(),
});

describe('layers behind each other', () => {
  it.each([
    ['chunk by chunk', () => undefined],
    ['step by step', stepByStep],
  ])('%s: gradients and Hessian products to the bit, whatever the order of workgroups', (_, choices) => {
    const seen = { waves: 0, most: 0, difference: 0 };
    fc.assert(
      fc.property(stack, ({ name, T, r, rate, ...sizes }) => {
        const program = cellDerivatives({ cell: cells[name]!, input: 2, ...sizes }, T, r, rate);
        const inputs = randomInputs(program, T + r, keys);
        const plan = schedule(program, overlappingSteps(roomy, 'all'));
        const apart = runComposed(compose(plan, roomy, 'none'), inputs);
        const composed = compose(plan, roomy, 'all', choices(plan));
        for (const { parts } of wavesOf(composed)) {
          seen.waves++;
          seen.most = Math.max(seen.most, parts.length);
        }
        for (const backwards of [false, true])
          expect(outputs(runComposed(composed, inputs, backwards))).toEqual(outputs(apart));
        const expected = interpret(program, inputs);
        for (const key of Object.keys(expected))
          seen.difference = Math.max(seen.difference, expectClose(apart[key]!, expected[key]!, 1e-9, key));
      }),
      { numRuns: 8 },
    );
    console.log(seen);
    expect(seen.waves).toBeGreaterThan(0);
    expect(seen.most).toBeGreaterThan(1);
  });

  it('of two layers take three quarters of the steps forwards, with 16 of 64 in a dispatch, and 7/8 backwards', () => {
    const { program } = trainingWork('lstm', { ...resolveWorkload('M'), layers: 2 });
    const plan = schedule(program, overlappingSteps(roomy, 'all'));
    const composed = compose(plan, roomy, 'all');
    const [forwards, backwards] = wavesOf(composed);
    expect(forwards).toMatchObject({
      parts: [
        { kind: 'sequence', count: 64, chunk: 16, delay: 0 },
        { kind: 'step', count: 64, chunk: 16, delay: 16, stage: { rows: 16 * 32 } },
        { kind: 'sequence', count: 64, chunk: 16, delay: 32 },
      ],
    });
    expect(dispatchesOf(forwards!)).toBe(6);
    // The last step has work of its own before the loop, and the loop is a step shorter.
    expect(backwards).toMatchObject({
      parts: [
        { kind: 'sequence', count: 63, direction: -1, chunk: 16, delay: 1 },
        { kind: 'step', count: 64, direction: -1, chunk: 16, delay: 16, stage: { rows: 16 * 32 } },
        { kind: 'step', count: 1, chunk: 16, delay: 32 },
        { kind: 'sequence', count: 63, direction: -1, chunk: 16, delay: 49 },
      ],
    });
    expect(dispatchesOf(backwards!)).toBe(7);
    expect(stepsInTurn(composed)).toBe(96 + 112);
    // Without memory of its own the lower layer waits for what reads the upper one's.
    expect(stepsInTurn(compose(schedule(program), roomy, 'all'))).toBe(96 + 2 * 63);
  });

  it('are as they are where they are alone, and on a device that they fill', () => {
    const software = { ...roomy, parallelInvocations: 16, coreInvocations: 8, dispatchCost: 700 };
    for (const [workload, limits] of [
      ['M', roomy],
      ['L', software],
      ['XL', roomy],
    ] as const) {
      const { program } = trainingWork('lstm', resolveWorkload(workload));
      expect(overlappingSteps(limits, 'auto')(schedule(program))).toEqual([]);
      expect(wavesOf(compose(schedule(program), limits, 'auto'))).toEqual([]);
    }
  });
});

/** Bytes that a shader declares in workgroup memory. */
function workgroupBytes(code: string): number {
  const constants = [...code.matchAll(/^const \w+ = [\w +*/()-]+;/gm)].map(([line]) => line);
  const arrays = [...code.matchAll(/^var<workgroup> \w+: array<(.+?), (.+)>;$/gm)];
  return arrays.reduce((sum, [, type, length]) => {
    const elements = new Function(`${constants.join('')} const max = Math.max; return ${length};`)();
    return sum + 4 * Number(/vec(\d)/.exec(type!)?.[1] ?? 1) * elements;
  }, 0);
}

describe('parts of one shader', () => {
  it.each([16384, 32768, 49152])(
    'share workgroup memory, at most %i bytes',
    (maxComputeWorkgroupStorageSize) => {
      const limits = { ...roomy, maxComputeWorkgroupStorageSize };
      const { program } = trainingWork('lstm', resolveWorkload('L'));
      const composed = compose(schedule(program, overlappingSteps(limits, 'all')), limits, 'all');
      let most = 0;
      let together = 0;
      for (const { task } of composed.steps.flatMap(tasksOf)) {
        if (task.kind !== 'parallel') continue;
        const bytesOf = (each: Task) => workgroupBytes(generateKernel(each, composed.buffers, limits).code);
        const bytes = bytesOf(task);
        expect(bytes).toBeLessThanOrEqual(maxComputeWorkgroupStorageSize);
        const apart = task.parts.reduce((sum, part) => sum + bytesOf({ ...task, parts: [part] }), 0);
        if (bytes < apart) together++;
        most = Math.max(most, bytes);
      }
      console.log(`at most ${most} bytes`);
      expect(most).toBeGreaterThan(0);
      expect(together).toBeGreaterThan(0);
    },
  );
});

describe('the delay', () => {
  /** y(from + stride t + i) = x(...), 4 elements in each of 6 steps. */
  const copy = (from: TimeStride | null, to: TimeStride | null): StepTask => ({
    ...{ kind: 'step', first: 0, count: 6, direction: 1, chunk: 1, delay: 0 },
    stage: {
      ...{ kind: 'pointwise', shape: [4] },
      scalars: [{ kind: 'load', ref: { buffer: 0, offset: 0, strides: [1], time: from }, gather: null }],
      stores: [{ ref: { buffer: 0, offset: 0, strides: [1], time: to }, value: 0 }],
    },
  });
  /** Slot t + shift of a history that begins at a multiple of 100. */
  const slot = (history: number, shift = 0): TimeStride => ({
    stride: 4,
    shift: shift + 25 * history,
    ring: 0,
  });
  const delays = (...tasks: StepTask[]) => delaysOf(tasks.map((task) => [task]));

  it('is a dispatch for each step of what it reads, and how far that is ahead', () => {
    expect(delays(copy(slot(1), slot(2)), copy(slot(2), slot(3)))).toEqual([0, 1]);
    expect(delays(copy(slot(1), slot(2)), copy(slot(2), slot(3)), copy(slot(3), slot(4)))).toEqual([0, 1, 2]);
    expect(delays(copy(slot(1), slot(2)), copy(slot(2, 2), slot(3)))).toEqual([0, 3]);
    expect(delays(copy(slot(1), slot(2)), copy(slot(2, -1), slot(3)))).toEqual([0, 0]);
    expect(delays(copy(slot(1), slot(2)), copy(slot(3), slot(4)))).toEqual([0, 0]);
  });

  it('keeps what is written after it was read, and written twice, in order', () => {
    expect(delays(copy(slot(1), slot(2)), copy(slot(3), slot(1)))).toEqual([0, 1]);
    expect(delays(copy(slot(1), slot(2)), copy(slot(3), slot(2)))).toEqual([0, 1]);
    expect(delays(copy(slot(1), slot(2)), copy(slot(1), slot(3)))).toEqual([0, 0]);
  });

  it('is all of the steps where one element is shared by all of them, or time runs the other way', () => {
    const all = { stride: 0, shift: 0, ring: 0 };
    expect(delays(copy(slot(1), all), copy(all, slot(3)))).toEqual([0, 6]);
    const backwards: StepTask = { ...copy(slot(2), slot(3)), first: 5, direction: -1 };
    expect(delays(copy(slot(1), slot(2)), backwards)).toEqual([0, 6]);
    expect(dispatchesOf({ ...backwards, delay: 6 })).toBe(12);
  });
});
