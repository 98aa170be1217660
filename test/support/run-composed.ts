/**
 * What a composed schedule means, in float64: workgroups of a dispatch run one after the other, from the first to the
 * last or the other way round, and each as far as it may go alone: a row of the batch through all steps of its
 * sequence, a part beside others from its beginning to its end. A composition whose result depends on the order has a race.
 */
import type { Ref, Scalar, Stage } from '../../kernels/stage.js';
import type { Part, SequenceTask, Task } from '../../kernels/task.js';
import type { ComposedSchedule } from '../../src/schedule/compose.js';
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
    if (step.kind === 'task') runTask(step.task, memory, 0, backwards);
    else
      for (let n = 0; n < step.count; n++)
        for (const { task } of step.tasks) runTask(task, memory, step.first + n * step.direction, backwards);
  }
  return Object.fromEntries(buffers.map(({ name }, i) => [name, memory[i]!]));
}

function runTask(task: Task, memory: Memory, t: number, backwards: boolean): void {
  if (task.kind === 'parallel')
    for (const part of ordered(task.parts, backwards)) runPart(part, memory, t, backwards);
  else runPart(task, memory, t, backwards);
}

function runPart(part: Part, memory: Memory, t: number, backwards: boolean): void {
  if (part.kind === 'step') runStage(part.stage, memory, part.first + t * part.direction, backwards);
  else if (part.kind === 'sequence') runSequence(part, memory, backwards);
  else runStage(part, memory, t, backwards);
}

function runSequence(
  { first, count, direction, rows, stages }: SequenceTask,
  memory: Memory,
  backwards: boolean,
) {
  for (const row of ordered([...Array(rows).keys()], backwards))
    for (let n = 0; n < count; n++)
      for (const { stage, rowAxis } of stages)
        runStage(rowOf(stage, rowAxis, row), memory, first + n * direction, backwards);
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
