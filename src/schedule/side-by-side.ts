/** Tasks that wait for nothing of each other, as one dispatch. */
import type { KernelLimits } from '../../kernels/kernel.js';
import { fastestThreads, leavesHalfIdle, timeOf } from '../../kernels/sharing.js';
import { dispatchesOf, type Part, stagesOf, stepsOfDispatch, type Task } from '../../kernels/task.js';
import { countBuffers } from './accesses.js';
import type { Composition } from './compose.js';
import { type ComposedStep, type LabelledTask, type TaskLoop, tasksOf } from './composed.js';
import { allTimedStages, levelsOf, type TimedStage } from './levels.js';

/** The stages of a step at all times at which they run. */
export const timedStagesOf = (step: ComposedStep): TimedStage[] =>
  tasksOf(step).flatMap(({ task }) => allTimedStages(task));

/** Parts of one shader: it is compiled as a whole, and every part pays for the registers of the largest. */
const MOST_PARTS = 8;

/** A task that takes longer than this many dispatches cost gains nothing by company, unless it leaves half of the device idle. */
const SHORT = 4;

/** The same steps, level by level, with tasks of one level joined. */
export function placeSideBySide(
  steps: readonly ComposedStep[],
  limits: KernelLimits,
  composition: Exclude<Composition, 'none'>,
): ComposedStep[] {
  const levels = levelsOf(steps.map(timedStagesOf));
  const byLevel: ComposedStep[][] = [];
  steps.forEach((step, n) => {
    (byLevel[levels[n]!] ??= []).push(step);
  });
  return byLevel.flatMap((level) => joined(level, limits, composition));
}

/** The steps of a level with those joined that gain by it: tasks with tasks, and loops with loops. */
function joined(
  level: readonly ComposedStep[],
  limits: KernelLimits,
  composition: 'all' | 'auto',
): ComposedStep[] {
  const mayJoin = (part: Part) => composition === 'all' || gains(part, limits);
  const tasks = new Row(limits);
  const loops = new Map<number, TaskLoop[]>();
  const result: ComposedStep[] = [];
  for (const step of level) {
    if (step.kind === 'task' && step.task.kind !== 'parallel' && mayJoin(step.task))
      tasks.add(step.label, step.task);
    else if (
      step.kind === 'loop' &&
      step.tasks.every(({ task }) => task.kind !== 'parallel' && mayJoin(task))
    )
      loops.set(step.count, [...(loops.get(step.count) ?? []), step]);
    else result.push(step);
  }
  return [...result, ...tasks.finished, ...[...loops.values()].flatMap((equal) => merged(equal, limits))];
}

/** Loops of equally many steps as one, the first tasks of their steps side by side, then the second. */
function merged(loops: readonly TaskLoop[], limits: KernelLimits): readonly TaskLoop[] {
  const [{ count }] = loops as [TaskLoop];
  if (loops.length === 1) return loops;
  const length = Math.max(...loops.map(({ tasks }) => tasks.length));
  const tasks = Array.from({ length }, (_, n) => {
    const row = new Row(limits);
    for (const loop of loops) {
      const each = tasksOf(loop)[n];
      if (each !== undefined) row.add(each.label, each.task as Part);
    }
    return row.finished;
  });
  return [{ kind: 'loop', first: 0, count, direction: 1, tasks: tasks.flat() }];
}

/** Parts in order, as many in one task as fit. */
class Row {
  readonly #done: LabelledTask[] = [];
  #open: { readonly label: string; readonly part: Part }[] = [];
  constructor(private readonly limits: KernelLimits) {}

  add(label: string, part: Part): void {
    const parts = [...this.#open.map((each) => each.part), part];
    if (inOne(parts, this.limits) === null) this.#close();
    this.#open.push({ label, part });
  }

  get finished(): readonly LabelledTask[] {
    this.#close();
    return this.#done;
  }

  #close(): void {
    if (this.#open.length === 0) return;
    const parts = this.#open.map(({ part }) => part);
    const label = this.#open.map((each) => each.label).join(' | ');
    this.#done.push({ kind: 'task', label, task: inOne(parts, this.limits)! });
    this.#open = [];
  }
}

/** Whether a task is short, or leaves room beside it. */
const gains = (part: Part, limits: KernelLimits): boolean =>
  timeOf(part, limits) <= SHORT * limits.dispatchCost || leavesHalfIdle(part, limits);

/** The parts as one task; the part itself when it is alone, null when they do not fit into one shader. */
export function inOne(parts: readonly Part[], limits: KernelLimits): Task | null {
  const [first] = parts;
  if (parts.length === 1) return first!;
  const stages = parts.flatMap(stagesOf);
  const fits =
    parts.length <= MOST_PARTS &&
    countBuffers(stages) <= limits.maxStorageBuffersPerShaderStage &&
    parts.every((part) => keepStep(part, first!));
  const threads = fits ? fastestThreads(parts, limits) : undefined;
  return threads === undefined ? null : { kind: 'parallel', parts, threads };
}

/** Whether two tasks are one dispatch each, or do as many steps in each dispatch. */
const keepStep = (a: Part, b: Part): boolean =>
  (dispatchesOf(a) === 1 && dispatchesOf(b) === 1) || stepsOfDispatch(a) === stepsOfDispatch(b);
