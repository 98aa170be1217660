import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../../kernels/index.js';
import type { TimeStride } from '../../kernels/stage.js';
import { dispatchesOf, type StepTask } from '../../kernels/task.js';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { trainingWork } from '../../src/bench/training-work.js';
import { resolveWorkload } from '../../src/bench/workload.js';
import { cells } from '../../src/cells/index.js';
import { compose } from '../../src/schedule/compose.js';
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
  T: fc.constantFrom(1, 2, 3, 5, 8),
  r: fc.integer({ min: 1, max: 4 }),
  hidden: fc.integer({ min: 1, max: 4 }),
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
        const plan = schedule(program);
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
      { numRuns: 25 },
    );
    console.log(seen);
    expect(seen.waves).toBeGreaterThan(10);
    expect(seen.most).toBeGreaterThan(4);
  });

  it('of two layers run forwards in three quarters of the steps, with 16 of 64 in a dispatch', () => {
    const plan = schedule(trainingWork('lstm', { ...resolveWorkload('M'), layers: 2 }).program);
    const composed = compose(plan, roomy, 'all');
    const [wave] = wavesOf(composed);
    expect(wave).toMatchObject({
      parts: [
        { kind: 'sequence', count: 64, chunk: 16, delay: 0 },
        { kind: 'step', count: 64, chunk: 16, delay: 16, stage: { rows: 16 * 32 } },
        { kind: 'sequence', count: 64, chunk: 16, delay: 32 },
      ],
    });
    expect(dispatchesOf(wave!)).toBe(6);
    expect(stepsInTurn(composed)).toBe(96 + 2 * 63);
    expect(stepsInTurn(compose(plan, { ...roomy, maxStorageBuffersPerShaderStage: 0 }, 'all'))).toBe(0);
  });
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
