/**
 * What a composed schedule means, in float64: workgroups of a dispatch run one after the other, from the first to the
 * last or the other way round, and each as far as it may go alone: a row of the batch through all steps of its
 * dispatch, a part beside others from its beginning to its end. A composition whose result depends on the order has a race.
 */
import type { Ref, Scalar, Stage } from '../../kernels/stage.js';
import { type Part, startsOf, type Task } from '../../kernels/task.js';
import type { ComposedSchedule } from '../../src/schedule/composed.js';
import { mapRefs } from '../../src/schedule/refs.js';
import { runStage } from './run-schedule.js';

type Memory = readonly Float64Array[];

/** The contents of all buffers after a run. The arena is NaN at first, and so is what gets no input. */
export function runComposed(
  { buffers, steps }: ComposedSchedule,
  inputs: Readonly<Record<string, ArrayLike<number>>>,
  backwards = false,
): Record<string, Float64Array> {
  const memory = buffers.map(({ name, length }) => {
    const data = new Float64Array(length).fill(Number.NaN);
    if (inputs[name]) data.set(inputs[name]);
    return data;
  });
  for (const step of steps) {
    if (step.kind === 'task')
      for (const start of startsOf(step.task)) runDispatch(step.task, memory, start, backwards);
    else
      for (let n = 0; n < step.count; n++)
        for (const { task } of step.tasks)
          runDispatch(task, memory, step.first + n * step.direction, backwards);
  }
  return Object.fromEntries(buffers.map(({ name }, i) => [name, memory[i]!]));
}

/** @param t the time of a stage, else the steps that dispatches before this one did. */
function runDispatch(task: Task, memory: Memory, t: number, backwards: boolean): void {
  for (const part of task.kind === 'parallel' ? ordered(task.parts, backwards) : [task])
    runPart(part, memory, t, backwards);
}

function runPart(part: Part, memory: Memory, t: number, backwards: boolean): void {
  if (part.kind !== 'sequence' && part.kind !== 'step') {
    runStage(part, memory, t, backwards);
    return;
  }
  const { first, count, direction, chunk, delay } = part;
  const times = Array.from({ length: chunk }, (_, n) => t - delay + n)
    .filter((n) => n >= 0 && n < count)
    .map((n) => first + n * direction);
  if (part.kind === 'step') {
    if (t >= delay && times.length > 0) runStage(part.stage, memory, times[0], backwards);
    return;
  }
  for (const row of ordered([...Array(part.rows).keys()], backwards))
    for (const time of times)
      for (const { stage, rowAxis } of part.stages)
        runStage(rowOf(stage, rowAxis, row), memory, time, backwards);
}

const ordered = <T>(list: readonly T[], backwards: boolean): T[] =>
  backwards ? [...list].reverse() : [...list];

/** The part of a stage that is one place along an axis of its domain. */
export function rowOf(stage: Stage, axis: number, row: number): Stage {
  const at = <T extends { offset: number; strides: readonly number[] }>(index: T): T => ({
    ...index,
    offset: index.offset + index.strides[axis]! * row,
  });
  const shared = new Set<Ref>(stage.kind === 'gemm' ? stage.terms.map(({ b }) => b) : []);
  const moved = mapRefs(stage, (ref) => (shared.has(ref) ? ref : at(ref)));
  const scalar = (s: Scalar): Scalar =>
    s.kind === 'coordinate' || s.kind === 'random' ? { ...s, index: at(s.index) } : s;
  const one = (shape: readonly number[]) => shape.map((size, k) => (k === axis ? 1 : size));
  switch (moved.kind) {
    case 'pointwise':
    case 'rows':
      return { ...moved, shape: one(moved.shape), scalars: moved.scalars.map(scalar) };
    case 'gemm':
      return { ...moved, rows: 1, scalars: moved.scalars.map(scalar) };
    case 'reduce':
      return { ...moved, kept: one(moved.kept), scalars: moved.scalars.map(scalar) };
    case 'softmax':
    case 'softmaxCrossEntropy':
      return { ...moved, rows: 1 };
    case 'scatterAdd':
      throw new Error('a scatter-add has no rows');
  }
}
