/** How the stages of one shader share a workgroup: its memory, its invocations, and the rows it owns. */
import type { Share } from './body.js';
import { costOf } from './cost.js';
import { fastestTile, timesFilled, timesIdle } from './gemm_tile.js';
import type { KernelLimits } from './kernel.js';
import type { Stage } from './stage.js';
import {
  dispatchesOf,
  type Part,
  runsIn,
  type SequenceShape,
  stagesOf,
  type Task,
  type TiledStage,
} from './task.js';

/** Bytes of workgroup memory for each invocation, of stages that have no choice. */
const bytesForEach: Readonly<Record<Exclude<Stage['kind'], 'gemm'>, number>> = {
  pointwise: 0,
  rows: 4,
  reduce: 16,
  softmax: 8,
  softmaxCrossEntropy: 20,
  scatterAdd: 16,
};

/** Bytes of workgroup memory for each product among the stages of one shader; negative when the others do not fit. */
export function roomForProducts(stages: readonly Stage[], threads: number, limits: KernelLimits): number {
  let room = limits.maxComputeWorkgroupStorageSize;
  let products = 0;
  for (const { kind } of stages) {
    if (kind === 'gemm') products++;
    else room -= threads * bytesForEach[kind];
  }
  return room / Math.max(1, products);
}

/**
 * How often the invocations of a workgroup that has a core to itself fill the core at most: more of them keep fewer
 * sums each, and read more for every multiply-add.
 */
const CORE_FILLED = 4;

/** A shape, and the time in which it is expected to take all rows through a step, in an invocation's multiply-adds. */
export interface TimedShape {
  readonly shape: SequenceShape;
  readonly time: number;
}

/** Rows and invocations of a workgroup that suit all stages, by expected time, the least first. */
export function shapesByTime(
  stages: readonly TiledStage[],
  rows: number,
  limits: KernelLimits,
): TimedShape[] {
  const shapes: TimedShape[] = [];
  const { coreInvocations } = limits;
  const suits = (threads: number) =>
    threads >= Math.min(32, coreInvocations) && threads <= CORE_FILLED * coreInvocations;
  for (const threads of [8, 16, 32, 64, 128, 256].filter(suits))
    for (const tileRows of [4, 8, 16, 32, 64]) {
      const shape = { tileRows, threads };
      const time = timeOfStep(stages, rows, shape, limits);
      if (time !== undefined) shapes.push({ shape, time });
    }
  return shapes.sort((a, b) => a.time - b.time);
}

function timeOfStep(
  stages: readonly TiledStage[],
  rows: number,
  { tileRows, threads }: SequenceShape,
  limits: KernelLimits,
  room = roomForProducts(
    stages.map(({ stage }) => stage),
    threads,
    limits,
  ),
): number | undefined {
  if (threads > limits.maxComputeInvocationsPerWorkgroup || room < 0) return undefined;
  const tiles = Math.ceil(rows / tileRows);
  const filled = timesFilled(tiles, threads, limits);
  let time = 0;
  for (const { stage, rowAxis } of stages) {
    if (stage.kind === 'gemm') {
      const fastest = fastestTile(stage, limits, { threads, room, tile: { axis: rowAxis, rows: tileRows } });
      if (fastest === undefined) return undefined;
      time += fastest.time;
    } else time += (costOf(stage).flops / 2 / (tiles * threads)) * filled;
  }
  return time * timesIdle(tiles, threads, limits);
}

/** The expected time of a stage that has a dispatch to itself, in an invocation's multiply-adds. */
export const timeAlone = (stage: Stage, limits: KernelLimits): number => loadOf(stage, limits)!.time;

/** What a part is expected to take. */
interface Load {
  /** Of a run of its stages, in an invocation's multiply-adds: of one step of a sequence. */
  readonly time: number;
  /** The part of the device that it keeps busy meanwhile, up to 1. */
  readonly busy: number;
}

/** @returns undefined when the part does not fit into its share of the shader; it has one to itself unless given. */
function loadOf(part: Part, limits: KernelLimits, share?: Omit<Share, 'tile'>): Load | undefined {
  const load = (time: number | undefined, groups: number, threads: number): Load | undefined => {
    const invocations = groups * Math.min(threads, limits.coreInvocations);
    return time === undefined
      ? undefined
      : { time, busy: Math.min(1, invocations / limits.parallelInvocations) };
  };
  if (part.kind === 'sequence') {
    const { stages, rows, shape } = part;
    const time = timeOfStep(stages, rows, shape, limits, share?.room);
    return load(time, Math.ceil(rows / shape.tileRows), shape.threads);
  }
  const stage = part.kind === 'step' ? part.stage : part;
  if (stage.kind !== 'gemm') return { time: costOf(stage).flops / 2 / limits.parallelInvocations, busy: 1 };
  const fastest = fastestTile(stage, limits, share && { ...share, tile: null });
  return fastest && load(fastest.time, fastest.beside, fastest.tile.threadsX * fastest.tile.threadsY);
}

/** The expected time of one dispatch, in an invocation's multiply-adds. */
export const timeOf = (part: Part, limits: KernelLimits): number =>
  runsIn(part, 0) * loadOf(part, limits)!.time;

/** Whether a dispatch has so few workgroups that half of the device or more has nothing to do. */
export const leavesHalfIdle = (part: Part, limits: KernelLimits): boolean =>
  2 * loadOf(part, limits)!.busy <= 1;

/**
 * The expected time of all dispatches of a task, in an invocation's multiply-adds. One with several parts takes as long as
 * the longest of them, and at least as long as their work keeps all of the device busy.
 */
export function timeOfTask(task: Task, limits: KernelLimits): number {
  const parts = task.kind === 'parallel' ? task.parts : [task];
  const share = task.kind === 'parallel' ? shareOf(task.parts, task.threads, limits) : undefined;
  const loads = parts.map((part) => loadOf(part, limits, share)!);
  let time = 0;
  for (let n = 0; n < dispatchesOf(task); n++) {
    const times = parts.map((part, k) => runsIn(part, n) * loads[k]!.time);
    const filled = times.reduce((sum, each, k) => sum + each * loads[k]!.busy, 0);
    time += Math.max(filled, ...times) + limits.dispatchCost;
  }
  return time;
}

const shareOf = (parts: readonly Part[], threads: number, limits: KernelLimits): Omit<Share, 'tile'> => ({
  threads,
  room: roomForProducts(parts.flatMap(stagesOf), threads, limits),
});

/**
 * Invocations of a workgroup of parts side by side: those of the sequences among them, which must agree, else the
 * number at which the products are expected to take the least time.
 * @returns undefined when none suits all.
 */
export function fastestThreads(parts: readonly Part[], limits: KernelLimits): number | undefined {
  const wanted = new Set(parts.flatMap((part) => (part.kind === 'sequence' ? [part.shape.threads] : [])));
  if (wanted.size > 1) return undefined;
  let best: { threads: number; time: number } | undefined;
  for (const threads of wanted.size === 1 ? wanted : [256, 128, 64]) {
    if (threads > limits.maxComputeInvocationsPerWorkgroup) continue;
    const share = shareOf(parts, threads, limits);
    if (share.room < 0) continue;
    let time = 0;
    for (const part of parts) time += loadOf(part, limits, share)?.time ?? Number.POSITIVE_INFINITY;
    if (time < (best?.time ?? Number.POSITIVE_INFINITY)) best = { threads, time };
  }
  return best?.threads;
}
