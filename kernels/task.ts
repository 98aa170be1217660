/**
 * What one dispatch does: a stage, the steps of a loop, or several of these side by side. What may be grouped so is
 * decided elsewhere, in `src/schedule/compose.ts`.
 */
import { type Cost, costOf, type ElementBytes } from './cost.js';
import type { Stage } from './stage.js';

export type Task = Stage | StepTask | SequenceTask | ParallelTask;

/** The steps of a loop over time, and which of them each of several dispatches does. */
export interface Steps {
  /** Step n is at t = first + n * direction, for 0 <= n < count. */
  readonly first: number;
  readonly count: number;
  readonly direction: 1 | -1;
  /** Steps of one dispatch. */
  readonly chunk: number;
  /** Steps by which the task is behind what it shares dispatches with: dispatch k begins with step k * chunk - delay. */
  readonly delay: number;
}

/** A stage that runs once in a dispatch, at the time of its first step, for all of its steps. */
export interface StepTask extends Steps {
  readonly kind: 'step';
  readonly stage: Stage;
}

/**
 * Stages at the times of all steps, one after the other. A workgroup owns `tileRows` neighbouring rows of the batch and
 * goes through the steps by itself, so whatever it reads that the task writes must be of its own rows.
 */
export interface SequenceTask extends Steps {
  readonly kind: 'sequence';
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

/**
 * Tasks in the same dispatches, no two of which touch what the other writes in one of them: all of one dispatch, or all
 * of as many steps in each.
 */
export interface ParallelTask {
  readonly kind: 'parallel';
  readonly parts: readonly Part[];
  /** Invocations of a workgroup: those of the sequences among the parts. */
  readonly threads: number;
}

/** What can stand beside others. */
export type Part = Stage | TimedPart;

/** Those that run over steps of time. */
export type TimedPart = StepTask | SequenceTask;

/** The stages of a task, those of a sequence once. */
export function stagesOf(task: Task): Stage[] {
  if (task.kind === 'sequence') return task.stages.map(({ stage }) => stage);
  if (task.kind === 'step') return [task.stage];
  return task.kind === 'parallel' ? task.parts.flatMap(stagesOf) : [task];
}

/** Steps that one dispatch does of a task that takes several; 0 of one that has no steps. */
export function stepsOfDispatch(task: Task): number {
  if (task.kind === 'parallel') return Math.max(...task.parts.map(stepsOfDispatch));
  return task.kind === 'sequence' || task.kind === 'step' ? task.chunk : 0;
}

/** How many dispatches a task takes. */
export function dispatchesOf(task: Task): number {
  if (task.kind === 'parallel') return Math.max(...task.parts.map(dispatchesOf));
  return task.kind === 'sequence' || task.kind === 'step'
    ? Math.ceil((task.delay + task.count) / task.chunk)
    : 1;
}

/** What a task's dispatches find in the uniform: the steps that those before them did. */
export const startsOf = (task: Task): number[] =>
  Array.from({ length: dispatchesOf(task) }, (_, n) => n * stepsOfDispatch(task));

/** How often the stages of a part run in dispatch number n of it. */
export function runsIn(part: Part, n: number): number {
  if (part.kind !== 'sequence' && part.kind !== 'step') return 1;
  const begin = n * part.chunk - part.delay;
  const steps = Math.min(begin + part.chunk, part.count) - Math.max(begin, 0);
  if (part.kind === 'sequence') return Math.max(0, steps);
  return begin >= 0 && steps > 0 ? 1 : 0;
}

/** What all dispatches of a task cost together. */
export function costOfTask(task: Task, bytesOf?: ElementBytes): Cost {
  const costs =
    task.kind === 'parallel'
      ? task.parts.map((part) => costOfTask(part, bytesOf))
      : stagesOf(task).map((stage) => costOf(stage, bytesOf));
  const times =
    task.kind === 'sequence' ? task.count : task.kind === 'step' ? Math.ceil(task.count / task.chunk) : 1;
  return {
    flops: times * costs.reduce((sum, { flops }) => sum + flops, 0),
    bytes: times * costs.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}
