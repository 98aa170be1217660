/** How the time and the memory of a training step grow with its sizes. */

import { Scope } from '../dispose.js';
import { schedule } from '../schedule/index.js';
import { totals } from '../schedule/print.js';
import { arenaBytesOf } from '../schedule/schedule.js';
import type { BenchBackend } from './backends.js';
import type { Contender } from './contender.js';
import { EngineContender } from './engine.js';
import { measure } from './measure.js';
import { trainingWork } from './training-work.js';
import { resolveWorkload, type WorkloadSizes } from './workload.js';

export interface Growth {
  /** `r`, `T`, `H`, `layers`. */
  readonly name: string;
  readonly key: keyof WorkloadSizes;
  readonly sizes: readonly number[];
  readonly recompute?: boolean;
}

/** Of workload S, one size at a time. */
export const GROWTHS: readonly Growth[] = [
  { name: 'r', key: 'batch', sizes: [4, 8, 16, 32, 64, 128] },
  { name: 'T', key: 'unroll', sizes: [8, 16, 32, 64, 128, 256] },
  { name: 'T, steps computed again', key: 'unroll', sizes: [8, 16, 32, 64, 128, 256], recompute: true },
  { name: 'H', key: 'hidden', sizes: [16, 32, 64, 128, 256] },
  { name: 'layers', key: 'layers', sizes: [1, 2, 3, 4, 6] },
];

export interface GrowthPoint {
  readonly size: number;
  readonly medianMs: number;
  readonly minMs: number;
  /** Exact, of the schedule. */
  readonly flops: number;
  readonly dispatches: number;
  readonly arenaBytes: number;
}

/**
 * Times a step of every size, in turns, each for about `seconds`. On the CPU backend, on one thread, by the processor time of
 * the process, which has no part in what else the machine does; else by the wall's clock. @throws KronogradError MEMORY
 */
export async function measureGrowth(
  backend: BenchBackend,
  { key, sizes, recompute }: Growth,
  { base, seconds }: { readonly base: string; readonly seconds: number },
): Promise<GrowthPoint[]> {
  using scope = new Scope();
  const works = sizes.map((size) =>
    trainingWork('lstm', resolveWorkload(base, { [key]: size }), { recompute }),
  );
  const contenders: Contender[] = [];
  for (const work of works) {
    const begun = { at: performance.now(), from: 'compile start' as const };
    const contender = scope.own(await EngineContender.create(backend, work, begun));
    contenders.push(backend.name === 'cpu' ? byProcessorTime(contender) : contender);
  }
  const timings = await measure(contenders, seconds);
  return works.map(({ program }, i): GrowthPoint => {
    const plan = schedule(program);
    const { flops, dispatches } = totals(plan);
    const { medianMs, minMs } = timings[i]!;
    return {
      size: sizes[i]!,
      medianMs,
      minMs,
      flops,
      dispatches,
      arenaBytes: arenaBytesOf(plan, backend.halves),
    };
  });
}

/** Milliseconds that the process has had a processor for. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const byProcessorTime = (contender: Contender): Contender => ({
  ...{ engine: contender.engine, backend: contender.backend, adapter: contender.adapter },
  ...{ features: contender.features, facts: contender.facts },
  async run(steps) {
    const begin = processorMs();
    await contender.run(steps);
    return processorMs() - begin;
  },
  loss: () => contender.loss(),
  peakRssBytes: () => contender.peakRssBytes(),
  [Symbol.dispose]: () => contender[Symbol.dispose](),
});

/**
 * The exponent p of y = c x^p that fits best: the slope of the line through the logarithms, by least squares.
 * @param points at least two, with x and y above 0.
 */
export function exponentOf(points: readonly (readonly [x: number, y: number])[]): number {
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)] as const);
  const mean = (k: 0 | 1) => logs.reduce((sum, each) => sum + each[k], 0) / logs.length;
  const [mx, my] = [mean(0), mean(1)];
  const covariance = logs.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0);
  return covariance / logs.reduce((sum, [x]) => sum + (x - mx) ** 2, 0);
}
