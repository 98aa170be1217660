/** What a Hessian-vector product costs beside the gradient of the same batch, all of them timed in turns. */
import { Scope } from '../dispose.js';
import { schedule } from '../schedule/index.js';
import { totals } from '../schedule/print.js';
import type { BenchBackend } from './backends.js';
import { EngineContender } from './engine.js';
import type { HvpWorks } from './hvp-work.js';
import { measure } from './measure.js';
import { type Place, placeInWords, placeOf } from './place.js';
import { markdownTable } from './table.js';

/** Ratios are of medians; those of minima, which other load disturbs less, and of flops stand beside them. */
export interface HvpResult extends Place {
  readonly name: 'hvp';
  readonly cell: string;
  readonly workload: string;
  readonly sizes: Readonly<Record<string, number>>;
  readonly gradient_median_ms: number;
  readonly median_ms: number;
  /** Of a product to the gradient. */
  readonly ratio: number;
  readonly min_ratio: number;
  readonly flops_ratio: number;
  readonly gradient_dispatches: number;
  readonly dispatches: number;
  readonly gradient_flops: number;
  readonly flops: number;
  /** k */
  readonly vectors: number;
  readonly many_median_ms: number;
  /** Of k products in one pass to one product. */
  readonly many_ratio: number;
  readonly many_min_ratio: number;
  readonly many_flops_ratio: number;
  readonly many_dispatches: number;
  readonly many_flops: number;
}

/** @throws KronogradError MEMORY when something does not fit, with the numbers */
export async function measureHvp(
  backend: BenchBackend,
  cell: string,
  { gradient, product, products }: HvpWorks,
  { vectors, seconds }: { readonly vectors: number; readonly seconds: number },
): Promise<HvpResult> {
  using scope = new Scope();
  const works = [gradient, product, products];
  const contenders: EngineContender[] = [];
  for (const work of works) {
    const begun = { at: performance.now(), from: 'compile start' } as const;
    contenders.push(scope.own(await EngineContender.create(backend, work, begun)));
  }
  const [first, one, many] = (await measure(contenders, seconds)).map((timing, i) => ({
    ...timing,
    ...totals(schedule(works[i]!.program)),
  })) as [Measured, Measured, Measured];
  return {
    name: 'hvp',
    cell,
    workload: gradient.workload,
    sizes: gradient.sizes,
    ...placeOf(backend),
    gradient_median_ms: first.medianMs,
    median_ms: one.medianMs,
    ratio: one.medianMs / first.medianMs,
    min_ratio: one.minMs / first.minMs,
    flops_ratio: one.flops / first.flops,
    gradient_dispatches: first.dispatches,
    dispatches: one.dispatches,
    gradient_flops: first.flops,
    flops: one.flops,
    vectors,
    many_median_ms: many.medianMs,
    many_ratio: many.medianMs / one.medianMs,
    many_min_ratio: many.minMs / one.minMs,
    many_flops_ratio: many.flops / one.flops,
    many_dispatches: many.dispatches,
    many_flops: many.flops,
  };
}

type Measured = Awaited<ReturnType<typeof measure>>[number] & ReturnType<typeof totals>;

export function hvpTable(results: readonly HvpResult[]): string {
  const times = (ratio: number, least: number, flops: number) =>
    `${ratio.toFixed(2)} (${least.toFixed(2)}, ${flops.toFixed(2)})`;
  return markdownTable([
    [
      ...['model', 'workload', 'on', 'parameters', 'gradient ms', 'HVP ms'],
      ...['HVP / gradient (minima, flops)', 'k HVP / HVP (minima, flops)', 'dispatches', 'Mflop'],
    ],
    ...results.map((r) => [
      ...[r.cell, r.workload, placeInWords(r), String(r.sizes.parameters)],
      ...[r.gradient_median_ms.toFixed(2), r.median_ms.toFixed(2)],
      times(r.ratio, r.min_ratio, r.flops_ratio),
      `${times(r.many_ratio, r.many_min_ratio, r.many_flops_ratio)}, k = ${r.vectors}`,
      `${r.gradient_dispatches}, ${r.dispatches}, ${r.many_dispatches}`,
      [r.gradient_flops, r.flops, r.many_flops].map((flops) => (flops / 1e6).toFixed(0)).join(', '),
    ]),
  ]);
}
