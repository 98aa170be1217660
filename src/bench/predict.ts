/**
 * What a step should take on a card that is only known by its data sheet: from the exact counts of its schedule, and a few
 * stated rates. A prediction is for holding a measurement against it; it knows nothing of caches and of how well a kernel
 * uses a core.
 */
import { generateKernel, type KernelLimits } from '../../kernels/index.js';
import { dispatchesOf } from '../../kernels/task.js';
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

/** A dispatch, so many times a step. */
export interface DispatchCounts {
  readonly count: number;
  readonly flops: number;
  readonly bytes: number;
  readonly workgroups: number;
}

/** What each dispatch of a composed schedule costs, by the kernel that a device of these limits gets. */
export function countsOf({ steps, buffers }: ComposedSchedule, limits: KernelLimits): DispatchCounts[] {
  return steps.flatMap((step) =>
    tasksOf(step).map(({ task }) => {
      const { workgroups, flops, bytes } = generateKernel(task, buffers, limits);
      const count = step.kind === 'loop' ? step.count : dispatchesOf(task);
      // A kernel's are the mean over the task's own dispatches.
      const share = dispatchesOf(task) / count;
      return {
        count,
        flops: flops * share,
        bytes: bytes * share,
        workgroups: workgroups.reduce((a, b) => a * b),
      };
    }),
  );
}

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

/** Every dispatch waits for the one before: its start, then its arithmetic or its traffic, whichever is longer. */
export function predict(dispatches: readonly DispatchCounts[], card: Card): Prediction {
  let total = 0;
  let flops = 0;
  let bytes = 0;
  let arithmeticBound = 0;
  let memoryBound = 0;
  for (const each of dispatches) {
    const share = Math.min(1, each.workgroups / card.cores);
    const arithmetic = each.flops / (card.flopsPerSecond * share);
    const memory = each.bytes / card.bytesPerSecond;
    if (arithmetic > memory) arithmeticBound += each.count * arithmetic;
    else memoryBound += each.count * memory;
    total += each.count;
    flops += each.count * each.flops;
    bytes += each.count * each.bytes;
  }
  const workSeconds = arithmeticBound + memoryBound;
  const [least, most] = card.dispatchSeconds.map((seconds) => total * seconds) as [number, number];
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
