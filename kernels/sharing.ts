/** How the stages of one shader share a workgroup: its memory, its invocations, and the rows it owns. */
import { costOf } from './cost.js';
import { fastestTile, timesFilled, timesIdle } from './gemm_tile.js';
import type { KernelLimits } from './kernel.js';
import type { Stage } from './stage.js';
import { type Part, type SequenceShape, stagesOf, type TiledStage } from './task.js';

/** Bytes of workgroup memory for each invocation, of stages that have no choice. */
const bytesEach: Readonly<Record<Exclude<Stage['kind'], 'gemm'>, number>> = {
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
    else room -= threads * bytesEach[kind];
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
  for (const threads of [32, 64, 128, 256].filter((n) => n <= CORE_FILLED * limits.coreInvocations))
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
export function timeAlone(stage: Stage, limits: KernelLimits): number {
  if (stage.kind === 'gemm') return fastestTile(stage, limits)!.time;
  return costOf(stage).flops / 2 / limits.parallelInvocations;
}

/** The expected time of one dispatch, in an invocation's multiply-adds. */
export function timeOf(part: Part, limits: KernelLimits): number {
  if (part.kind === 'step') return timeAlone(part.stage, limits);
  if (part.kind !== 'sequence') return timeAlone(part, limits);
  return part.chunk * timeOfStep(part.stages, part.rows, part.shape, limits)!;
}

/** Whether a dispatch has so few workgroups that half of the device or more has nothing to do. */
export function leavesHalfIdle(part: Part, limits: KernelLimits): boolean {
  const isHalf = (groups: number, threads: number) =>
    2 * groups * Math.min(threads, limits.coreInvocations) <= limits.parallelInvocations;
  if (part.kind === 'sequence') {
    const { rows, shape } = part;
    return isHalf(Math.ceil(rows / shape.tileRows), shape.threads);
  }
  const stage = part.kind === 'step' ? part.stage : part;
  if (stage.kind !== 'gemm') return false;
  const { tile, beside } = fastestTile(stage, limits)!;
  return isHalf(beside, tile.threadsX * tile.threadsY);
}

/**
 * Invocations of a workgroup of parts side by side: those of the sequences among them, which must agree, else the
 * number at which the products are expected to take the least time.
 * @returns undefined when none suits all.
 */
export function fastestThreads(parts: readonly Part[], limits: KernelLimits): number | undefined {
  const stages = parts.flatMap(stagesOf);
  const wanted = new Set(parts.flatMap((part) => (part.kind === 'sequence' ? [part.shape.threads] : [])));
  if (wanted.size > 1) return undefined;
  let best: { threads: number; time: number } | undefined;
  for (const threads of wanted.size === 1 ? wanted : [256, 128, 64]) {
    if (threads > limits.maxComputeInvocationsPerWorkgroup) continue;
    const room = roomForProducts(stages, threads, limits);
    if (room < 0) continue;
    const times = parts.map((part) => {
      if (part.kind === 'sequence') return timeOfStep(part.stages, part.rows, part.shape, limits, room);
      const stage = part.kind === 'step' ? part.stage : part;
      return stage.kind === 'gemm' ? fastestTile(stage, limits, { threads, room, tile: null })?.time : 0;
    });
    if (times.some((time) => time === undefined)) continue;
    const time = times.reduce<number>((sum, each) => sum + each!, 0);
    if (best === undefined || time < best.time) best = { threads, time };
  }
  return best?.threads;
}
