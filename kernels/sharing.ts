/** How the stages of one shader share a workgroup: its memory, its invocations, and the rows it owns. */
import type { Share } from './body.js';
import { costOf } from './cost.js';
import { type Block, fastestTile, timesFilled, timesIdle } from './gemm_tile.js';
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

const bytesBesideProducts = (stages: readonly Stage[], threads: number): number =>
  stages.reduce((sum, { kind }) => sum + (kind === 'gemm' ? 0 : threads * bytesForEach[kind]), 0);

/** Bytes of workgroup memory for each product among the stages of one shader; negative when the others do not fit. */
export function roomForProducts(stages: readonly Stage[], threads: number, limits: KernelLimits): number {
  const room = limits.maxComputeWorkgroupStorageSize - bytesBesideProducts(stages, threads);
  return room / Math.max(1, stages.filter(({ kind }) => kind === 'gemm').length);
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
      const step = loadOfStep(stages, rows, shape, limits);
      if (step !== undefined) shapes.push({ shape, time: step.time });
    }
  return shapes.sort((a, b) => a.time - b.time);
}

function loadOfStep(
  stages: readonly TiledStage[],
  rows: number,
  { tileRows, threads }: SequenceShape,
  limits: KernelLimits,
  room = roomForProducts(
    stages.map(({ stage }) => stage),
    threads,
    limits,
  ),
): Load | undefined {
  if (threads > limits.maxComputeInvocationsPerWorkgroup || room < 0) return undefined;
  const tiles = Math.ceil(rows / tileRows);
  const filled = timesFilled(tiles, threads, limits);
  let time = 0;
  const blocks: Block[] = [];
  for (const { stage, rowAxis } of stages) {
    if (stage.kind === 'gemm') {
      const fastest = fastestTile(stage, limits, { threads, room, tile: { axis: rowAxis, rows: tileRows } });
      if (fastest === undefined) return undefined;
      time += fastest.time;
      blocks.push(...fastest.blocks);
    } else time += (costOf(stage).flops / 2 / (tiles * threads)) * filled;
  }
  time *= timesIdle(tiles, threads, limits);
  return { time, busy: busyShare(tiles, threads, limits), blocks };
}

/** The part of the device that some workgroups keep busy, up to 1. */
const busyShare = (groups: number, threads: number, limits: KernelLimits): number =>
  Math.min(1, (groups * Math.min(threads, limits.coreInvocations)) / limits.parallelInvocations);

/** The expected time of a stage that has a dispatch to itself, in an invocation's multiply-adds. */
export const timeAlone = (stage: Stage, limits: KernelLimits): number => loadOf(stage, limits)!.time;

/** What a part is expected to take. */
interface Load {
  /** Of a run of its stages, in an invocation's multiply-adds: of one step of a sequence. */
  readonly time: number;
  /** The part of the device that it keeps busy meanwhile. */
  readonly busy: number;
  /** Of its products, in workgroup memory. */
  readonly blocks: readonly Block[];
}

/** @returns undefined when the part does not fit into its share of the shader; it has one to itself unless given. */
function loadOf(part: Part, limits: KernelLimits, share?: Omit<Share, 'tile'>): Load | undefined {
  if (part.kind === 'sequence') return loadOfStep(part.stages, part.rows, part.shape, limits, share?.room);
  const stage = part.kind === 'step' ? part.stage : part;
  if (stage.kind !== 'gemm')
    return { time: costOf(stage).flops / 2 / limits.parallelInvocations, busy: 1, blocks: [] };
  const fastest = fastestTile(stage, limits, share && { ...share, tile: null });
  if (fastest === undefined) return undefined;
  const { tile, time, beside, blocks } = fastest;
  return { time, busy: busyShare(beside, tile.threadsX * tile.threadsY, limits), blocks };
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
  const loads =
    task.kind === 'parallel' ? shareMemory(task.parts, task.threads, limits)!.loads : [loadOf(task, limits)!];
  let time = 0;
  for (let n = 0; n < dispatchesOf(task); n++) {
    const times = parts.map((part, k) => runsIn(part, n) * loads[k]!.time);
    const filled = times.reduce((sum, each, k) => sum + each * loads[k]!.busy, 0);
    time += Math.max(filled, ...times) + limits.dispatchCost;
  }
  return time;
}

/** Bytes of blocks in memory that parts share: each is in that of the same kind and number of any other part. */
function bytesTogether(parts: readonly (readonly Block[])[]): number {
  const largest = new Map<string, number>();
  for (const blocks of parts)
    blocks.forEach(({ kind, bytes }, n) => {
      const key = `${kind} ${blocks.slice(0, n).filter((each) => each.kind === kind).length}`;
      largest.set(key, Math.max(bytes, largest.get(key) ?? 0));
    });
  return [...largest.values()].reduce((sum, bytes) => sum + bytes, 0);
}

/**
 * For parts side by side, the bytes of workgroup memory that a product of each may have, and what the parts take then. A
 * workgroup does one part alone, so that products of different parts can be in the same memory.
 * @returns undefined when they do not fit.
 */
export function shareMemory(
  parts: readonly Part[],
  threads: number,
  limits: KernelLimits,
): { rooms: readonly number[]; loads: readonly Load[] } | undefined {
  const most = limits.maxComputeWorkgroupStorageSize - bytesBesideProducts(parts.flatMap(stagesOf), threads);
  if (most < 0) return undefined;
  const products = parts.map((part) => stagesOf(part).filter(({ kind }) => kind === 'gemm').length);
  // What matrix kernels need is not counted here: theirs is a share that is surely there.
  for (let shares = limits.matrixKernels === null ? 1 : parts.length; shares <= parts.length; shares++) {
    const rooms = products.map((count) => most / shares / Math.max(1, count));
    const loads = parts.flatMap((part, n) => loadOf(part, limits, { threads, room: rooms[n]! }) ?? []);
    if (loads.length < parts.length) return undefined;
    if (bytesTogether(loads.map(({ blocks }) => blocks)) <= most) return { rooms, loads };
  }
  return undefined;
}

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
    const loads = shareMemory(parts, threads, limits)?.loads;
    if (loads === undefined) continue;
    const time = loads.reduce((sum, load) => sum + load.time, 0);
    if (time < (best?.time ?? Number.POSITIVE_INFINITY)) best = { threads, time };
  }
  return best?.threads;
}
