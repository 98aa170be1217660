/**
 * What a step should take on a card that is only known by its data sheet: from the exact counts of its schedule, and a few
 * stated rates. A prediction is for holding a measurement against it; it knows nothing of caches and of how well a kernel
 * uses a core.
 */
import { elementBytes } from '../../kernels/cost.js';
import { costOf, generateKernel, type KernelLimits } from '../../kernels/index.js';
import { dispatchesOf, runsIn, stagesOf } from '../../kernels/task.js';
import { type ComposedSchedule, tasksOf } from '../schedule/composed.js';

export interface Card {
  readonly name: string;
  /** Of float32 multiply-adds, two operations each, without matrix units. */
  readonly flopsPerSecond: number;
  /** Of its memory. */
  readonly bytesPerSecond: number;
  /** Cores that a workgroup has one of to itself: streaming multiprocessors, compute units. */
  readonly cores: number;
  /** Seconds from the end of a dispatch to the start of one that waits for it, the least and the most to be expected. */
  readonly dispatchSeconds: readonly [least: number, most: number];
}

/** What a dispatch does: its parts side by side. */
export interface DispatchCounts {
  readonly bytes: number;
  readonly parts: readonly { readonly flops: number; readonly workgroups: number }[];
}

/** Each dispatch of a composed schedule, by the kernels that a device of these limits gets. */
export function countsOf({ steps, buffers }: ComposedSchedule, limits: KernelLimits): DispatchCounts[] {
  const bytesOf = elementBytes(buffers, limits);
  return steps.flatMap((step) =>
    tasksOf(step).flatMap(({ task }) => {
      const parts = (task.kind === 'parallel' ? task.parts : [task]).map((part) => {
        const alone = task.kind === 'parallel' ? { ...task, parts: [part] } : part;
        const { workgroups } = generateKernel(alone, buffers, limits);
        const costs = stagesOf(part).map((stage) => costOf(stage, bytesOf));
        return {
          part,
          workgroups: workgroups.reduce((a, b) => a * b),
          flops: costs.reduce((sum, { flops }) => sum + flops, 0),
          bytes: costs.reduce((sum, { bytes }) => sum + bytes, 0),
        };
      });
      const length = step.kind === 'loop' ? step.count : dispatchesOf(task);
      return Array.from({ length }, (_, n) => {
        const done = parts.map((each) => ({ ...each, runs: runsIn(each.part, n) }));
        return {
          bytes: done.reduce((sum, { runs, bytes }) => sum + runs * bytes, 0),
          parts: done.map(({ runs, flops, workgroups }) => ({ flops: runs * flops, workgroups })),
        };
      });
    }),
  );
}

const flopsOf = ({ parts }: DispatchCounts): number => parts.reduce((sum, { flops }) => sum + flops, 0);

export const BOUNDS = ['dispatches', 'arithmetic', 'memory'] as const;

export interface Prediction {
  /** A step, with the least and with the most cost of a dispatch. */
  readonly seconds: readonly [least: number, most: number];
  /** What the cards' cores need for the arithmetic, and its memory for the traffic, were they all at work all the time. */
  readonly arithmeticSeconds: number;
  readonly memorySeconds: number;
  /** The sum over dispatches of the longer of the two, with as many cores as have a workgroup. */
  readonly workSeconds: number;
  readonly dispatchSeconds: readonly [least: number, most: number];
  /** The largest part of the slower prediction. */
  readonly bound: (typeof BOUNDS)[number];
}

/**
 * Every dispatch waits for the one before: its start, then its arithmetic or its traffic, whichever is longer. Parts side by
 * side take as long as the longest of them on as many cores as it has workgroups, and as all of them on as many as they have.
 */
export function predict(dispatches: readonly DispatchCounts[], card: Card): Prediction {
  const secondsFor = (flops: number, workgroups: number) =>
    flops / (card.flopsPerSecond * Math.min(1, workgroups / card.cores));
  let flops = 0;
  let bytes = 0;
  let arithmeticBound = 0;
  let memoryBound = 0;
  for (const each of dispatches) {
    const { parts } = each;
    const workgroups = parts.reduce((sum, part) => sum + part.workgroups, 0);
    const arithmetic = Math.max(
      secondsFor(flopsOf(each), workgroups),
      ...parts.map((part) => secondsFor(part.flops, part.workgroups)),
    );
    const memory = each.bytes / card.bytesPerSecond;
    if (arithmetic > memory) arithmeticBound += arithmetic;
    else memoryBound += memory;
    flops += flopsOf(each);
    bytes += each.bytes;
  }
  const workSeconds = arithmeticBound + memoryBound;
  const [least, most] = card.dispatchSeconds.map((seconds) => dispatches.length * seconds) as [
    number,
    number,
  ];
  const parts = [most, arithmeticBound, memoryBound];
  return {
    seconds: [least + workSeconds, most + workSeconds],
    arithmeticSeconds: flops / card.flopsPerSecond,
    memorySeconds: bytes / card.bytesPerSecond,
    workSeconds,
    dispatchSeconds: [least, most],
    bound: BOUNDS[parts.indexOf(Math.max(...parts))]!,
  };
}
