/** A measurement as one flat record: a line of JSON, a row of a table. */
import type { KronogradError } from '../errors.js';
import type { Precision } from '../train/step-program.js';
import type { Agreement } from './agreement.js';
import type { Contender } from './contender.js';
import type { Timing } from './measure.js';
import type { Peaks } from './peaks.js';
import type { Place } from './place.js';
import type { StageProfile } from './profile.js';
import type { Work } from './work.js';

/** Null: not known of this engine. */
export interface Result extends Place {
  readonly name: string;
  readonly workload: string;
  readonly sizes: Readonly<Record<string, number>>;
  readonly engine: string;
  readonly precision: Precision;
  readonly median_ms: number;
  readonly min_ms: number;
  /** The median absolute deviation, in milliseconds. */
  readonly spread: number;
  readonly blocks: number;
  readonly steps: number;
  readonly tokens_per_s: number | null;
  readonly dispatches_per_step: number | null;
  readonly submits_per_step: number | null;
  /** Of this engine's own schedule of the work, whoever does it: the same count for all contenders. */
  readonly gflops: number;
  /** Of this engine's own schedule; null for the others, which move other bytes. */
  readonly gbytes_per_s: number | null;
  /** `gflops` as a share of the best product on the same adapter; null for the others. */
  readonly share_of_peak: number | null;
  readonly arena_bytes: number | null;
  /** Of the process that the contender runs in, which is one and the same for all but the peers. */
  readonly peak_rss_bytes: number;
  readonly first_step_ms: number;
  readonly first_step_from: string;
  readonly loss_error: number | null;
  readonly loss_steps: number;
  /** How often the step fits into the naive loop's: above 1 is faster. Null without a naive loop in the run. */
  readonly times_naive: number | null;
  /** The same with our float32 backend's, the first in the run: on one thread unless it was told otherwise. */
  readonly times_cpu: number | null;
  /** Of each kernel of a step by the GPU's own clock; null where there is none, or where it was not asked for. */
  readonly kernels: readonly StageProfile[] | null;
  /** The code of the error that ended the measurement early, such as DEVICE_LOST; null when it is whole. */
  readonly failure: string | null;
}

export interface Measurement {
  readonly contender: Contender;
  readonly timing: Timing;
  readonly agreement: Agreement;
  readonly peakRssBytes: number;
  readonly peaks: Peaks | undefined;
  readonly kernels: readonly StageProfile[] | null;
  readonly failure: KronogradError | null;
}

/** Measured in the same run, to be compared with. */
export interface Baselines {
  readonly naive: Timing | null;
  readonly cpu: Timing | null;
}

/** What a step of the work costs by our schedule. */
export interface Cost {
  readonly flops: number;
  readonly bytes: number;
}

export function resultOf(
  work: Work,
  cost: Cost,
  { contender, timing, agreement, peakRssBytes, peaks, kernels, failure }: Measurement,
  { naive, cpu }: Baselines,
): Result {
  const { facts } = contender;
  const perMs = (amount: number) => amount / timing.medianMs;
  const gflops = perMs(cost.flops) / 1e6;
  return {
    name: work.name,
    workload: work.workload,
    sizes: work.sizes,
    engine: contender.engine,
    precision: contender.precision ?? 'float32',
    backend: contender.backend,
    adapter: contender.adapter,
    features: contender.features,
    median_ms: timing.medianMs,
    min_ms: timing.minMs,
    spread: timing.madMs,
    blocks: timing.blocks,
    steps: timing.steps,
    tokens_per_s: work.tokens === null ? null : perMs(work.tokens) * 1000,
    dispatches_per_step: facts.dispatches,
    submits_per_step: facts.submits,
    gflops,
    gbytes_per_s: contender.engine === 'kronograd' ? perMs(cost.bytes) / 1e6 : null,
    share_of_peak: peaks === undefined ? null : gflops / peaks.gflops,
    arena_bytes: facts.arenaBytes,
    peak_rss_bytes: peakRssBytes,
    first_step_ms: facts.firstStepMs,
    first_step_from: facts.firstStepFrom,
    loss_error: agreement.lossError,
    loss_steps: agreement.steps,
    times_naive: naive && naive.medianMs / timing.medianMs,
    times_cpu: cpu && cpu.medianMs / timing.medianMs,
    kernels,
    failure: failure?.code ?? null,
  };
}
