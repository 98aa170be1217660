/** What a composition is: the dispatches of a run. */
import type { BufferSpec } from '../../kernels/stage.js';
import { dispatchesOf, type Task } from '../../kernels/task.js';

export interface LabelledTask {
  readonly kind: 'task';
  readonly label: string;
  readonly task: Task;
}

/**
 * A dispatch of each task in turn, `count` times: for t = first, first + direction, ... what are stages, else the next one
 * of the task's own dispatches.
 */
export interface TaskLoop {
  readonly kind: 'loop';
  readonly first: number;
  readonly count: number;
  readonly direction: 1 | -1;
  readonly tasks: readonly LabelledTask[];
}

export interface ComposedSchedule {
  readonly buffers: readonly BufferSpec[];
  readonly steps: readonly ComposedStep[];
}

export type ComposedStep = LabelledTask | TaskLoop;

/** What a step runs, as tasks that know all of their dispatches. */
export function tasksOf(step: ComposedStep): readonly LabelledTask[] {
  if (step.kind === 'task') return [step];
  const { first, count, direction } = step;
  return step.tasks.map((each) => {
    const { task } = each;
    if (task.kind === 'parallel' || task.kind === 'sequence' || task.kind === 'step') return each;
    return { ...each, task: { kind: 'step', first, count, direction, chunk: 1, delay: 0, stage: task } };
  });
}

/** Dispatches of one run. */
export const countDispatches = ({ steps }: ComposedSchedule): number =>
  steps.reduce(
    (sum, step) => sum + (step.kind === 'loop' ? step.count * step.tasks.length : dispatchesOf(step.task)),
    0,
  );

/**
 * Floating-point operations of one dispatch. Systems reset a GPU that does not answer for about 2 seconds, and the
 * slowest that this runs on, software on two cores, does about 1e9 operations a second: half a second.
 */
export const MOST_FLOPS = 2 ** 29;
