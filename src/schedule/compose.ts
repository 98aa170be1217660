/** What of a schedule runs in one dispatch. */
import { costOf } from '../../kernels/cost.js';
import { type KernelLimits, limitsFor } from '../../kernels/kernel.js';
import { shapesByTime, timeAlone } from '../../kernels/sharing.js';
import type { SequenceTask } from '../../kernels/task.js';
import { countBuffers } from './accesses.js';
import {
  type ComposedSchedule,
  type ComposedStep,
  type LabelledTask,
  MOST_FLOPS,
  type TaskLoop,
} from './composed.js';
import type { Overlapping } from './index.js';
import { planRows } from './rows.js';
import type { LabelledStage, Loop, Schedule } from './schedule.js';
import { placeSideBySide } from './side-by-side.js';
import { skewLayers } from './wavefront.js';

/**
 * What shares a dispatch. 'none': every stage of every step is a dispatch of its own. 'all': a loop is one dispatch
 * where its step keeps to the rows of the batch, and so are stages and loops that do not wait for each other, or only step by
 * step. 'auto': where that is expected to be faster.
 */
export type Composition = 'none' | 'all' | 'auto';

/** How much longer a sequence may be expected to take: estimates are no better, and fewer dispatches spare the host. */
const TOLERANCE = 1.25;

/** @param measured Loops of which it was measured how they are fastest: by a sequence, or null, their steps apart. */
export function compose(
  schedule: Schedule,
  limits: KernelLimits,
  composition: Composition,
  measured?: ReadonlyMap<Loop, SequenceTask | null>,
): ComposedSchedule {
  const { buffers } = schedule;
  if (composition === 'none')
    return {
      buffers,
      steps: schedule.steps.map((step) => (step.kind === 'stage' ? alone(step) : apart(step))),
    };
  const own = limitsFor(buffers, limits);
  const { steps } = skewed(schedule, own, composition, measured);
  return { buffers, steps: placeSideBySide(steps, own, composition) };
}

/** The steps of a schedule that would be in the same dispatches at different times if they shared no memory. */
export const overlappingSteps =
  (limits: KernelLimits, composition: Composition): Overlapping =>
  (schedule) =>
    composition === 'none' ? [] : skewed(schedule, limitsFor(schedule.buffers, limits), composition).stacks;

/** What is better alone, step by step, may be better in one task with others. */
function skewed(
  schedule: Schedule,
  limits: KernelLimits,
  composition: Exclude<Composition, 'none'>,
  measured?: ReadonlyMap<Loop, SequenceTask | null>,
) {
  const [own, together] = ([composition, 'all'] as const).map((each) =>
    eachAlone(schedule, limits, each, measured),
  ) as [ComposedStep[], ComposedStep[]];
  return skewLayers(own, together, limits, composition);
}

/** Every step by itself, loops as one task where that is better. */
const eachAlone = (
  { steps }: Schedule,
  limits: KernelLimits,
  composition: Exclude<Composition, 'none'>,
  measured?: ReadonlyMap<Loop, SequenceTask | null>,
): ComposedStep[] =>
  steps.map((step) => {
    if (step.kind === 'stage') return alone(step);
    const known = measured?.get(step);
    const task = known === undefined ? chooseSequence(step, limits, composition) : known;
    return task === null
      ? apart(step)
      : { kind: 'task', label: step.stages.map(({ label }) => label).join('; '), task };
  });

const apart = (step: Loop): TaskLoop => ({ ...step, tasks: step.stages.map(alone) });

const alone = ({ label, stage }: LabelledStage): LabelledTask => ({ kind: 'task', label, task: stage });

/**
 * The loop as one task; null when none does it, or when its steps are expected to be faster apart. A sequence has a
 * workgroup for each tile of rows, so a large step leaves much of a GPU idle that its own dispatch would fill; what it
 * saves is a dispatch for each stage and step.
 */
export function chooseSequence(
  loop: Loop,
  limits: KernelLimits,
  composition: Exclude<Composition, 'none'>,
): SequenceTask | null {
  const [fastest] = sequencesByTime(loop, limits);
  if (fastest === undefined) return null;
  if (composition === 'auto' && fastest.time > TOLERANCE * timeApart(loop, limits)) return null;
  return fastest.task;
}

/** A sequence, and what a step of it is expected to take in an invocation's multiply-adds. */
export interface TimedSequence {
  readonly task: SequenceTask;
  readonly time: number;
}

/**
 * The loop as one task in every shape that suits, the one expected to be the fastest first. None when a step mixes
 * rows, when no kernel holds it, or when it would take as many dispatches.
 */
export function sequencesByTime(loop: Loop, limits: KernelLimits): TimedSequence[] {
  const plan = planRows(loop);
  if (plan === null) return [];
  const { rows, stages } = plan;
  if (countBuffers(stages.map(({ stage }) => stage)) > limits.maxStorageBuffersPerShaderStage) return [];
  const { first, count, direction } = loop;
  const flops = stages.reduce((sum, { stage }) => sum + costOf(stage).flops, 0);
  const dispatches = Math.ceil(count / Math.max(1, Math.floor(MOST_FLOPS / flops)));
  if (dispatches === count * stages.length) return [];
  const chunk = Math.ceil(count / dispatches);
  return shapesByTime(stages, rows, limits).map(({ shape, time }) => ({
    task: { kind: 'sequence', first, count, direction, chunk, delay: 0, rows, stages, shape },
    time,
  }));
}

/** What a step is expected to take, its stages a dispatch each, in an invocation's multiply-adds. */
export const timeApart = ({ stages }: Loop, limits: KernelLimits): number =>
  stages.reduce((sum, { stage }) => sum + timeAlone(stage, limits) + limits.dispatchCost, 0);
