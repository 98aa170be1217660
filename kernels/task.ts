/**
 * What one dispatch does: a stage, the steps of a loop, or several of these side by side. What may be grouped so is
 * decided elsewhere, in `src/schedule/compose.ts`.
 */
import { type Cost, costOf, type ElementBytes } from './cost.js';
import type { Stage } from './stage.js';

export type Task = Stage | StepTask | SequenceTask | ParallelTask;

/**
 * A stage of a loop whose dispatch knows how many steps were done before it, n, and runs at t = first + n * direction:
 * stages of loops that run in different directions can share a dispatch.
 */
export interface StepTask {
  readonly kind: 'step';
  readonly first: number;
  readonly count: number;
  readonly direction: 1 | -1;
  readonly stage: Stage;
}

/**
 * Stages for t = first, first + direction, ..., `count` times, all of them at each t in order. A workgroup owns
 * `tileRows` neighbouring rows of the batch and goes through the steps by itself, so whatever it reads that the task
 * writes must be of its own rows.
 */
export interface SequenceTask {
  readonly kind: 'sequence';
  readonly first: number;
  readonly count: number;
  readonly direction: 1 | -1;
  /** Steps of one dispatch; the task takes ceil(count / chunk) of them. */
  readonly chunk: number;
  readonly rows: number;
  readonly stages: readonly TiledStage[];
  readonly shape: SequenceShape;
}

/** A stage, and the axis of its domain that the rows of the batch are. */
export interface TiledStage {
  readonly stage: Stage;
  readonly rowAxis: number;
}

export interface SequenceShape {
  /** Rows that a workgroup owns: a power of 2. */
  readonly tileRows: number;
  /** Invocations of a workgroup. */
  readonly threads: number;
}

/** Tasks of as many dispatches each, no two of which touch what the other writes. */
export interface ParallelTask {
  readonly kind: 'parallel';
  readonly parts: readonly Part[];
  /** Invocations of a workgroup: those of the sequences among the parts. */
  readonly threads: number;
}

/** What can stand beside others. */
export type Part = Stage | StepTask | SequenceTask;

/** The stages of a task, those of a sequence once. */
export function stagesOf(task: Task): Stage[] {
  if (task.kind === 'sequence') return task.stages.map(({ stage }) => stage);
  if (task.kind === 'step') return [task.stage];
  return task.kind === 'parallel' ? task.parts.flatMap(stagesOf) : [task];
}

/** Steps that one dispatch does of a task that takes several; 0 of one that has no steps. */
export function stepsOfDispatch(task: Task): number {
  if (task.kind === 'parallel') return Math.max(...task.parts.map(stepsOfDispatch));
  return task.kind === 'sequence' ? task.chunk : 0;
}

/** How many dispatches a task takes. */
export function dispatchesOf(task: Task): number {
  if (task.kind === 'parallel') return Math.max(...task.parts.map(dispatchesOf));
  return task.kind === 'sequence' ? Math.ceil(task.count / task.chunk) : 1;
}

/** What a task's dispatches find in the uniform: the steps that those before them did. */
export const startsOf = (task: Task): number[] =>
  Array.from({ length: dispatchesOf(task) }, (_, n) => n * stepsOfDispatch(task));

/** What all dispatches of a task cost together; of a step, the one. */
export function costOfTask(task: Task, bytesOf?: ElementBytes): Cost {
  const costs =
    task.kind === 'parallel'
      ? task.parts.map((part) => costOfTask(part, bytesOf))
      : stagesOf(task).map((stage) => costOf(stage, bytesOf));
  const times = task.kind === 'sequence' ? task.count : 1;
  return {
    flops: times * costs.reduce((sum, { flops }) => sum + flops, 0),
    bytes: times * costs.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}
