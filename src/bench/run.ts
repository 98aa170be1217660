/** A whole benchmark: contenders made, compared, timed in turns, and reported. */
import { Float32Backend } from '../backend/cpu/float32-backend.js';
import { WebGpuBackend } from '../backend/webgpu/webgpu-backend.js';
import { Scope } from '../dispose.js';
import type { KronogradError } from '../errors.js';
import { schedule } from '../schedule/index.js';
import { totals } from '../schedule/print.js';
import { type AgreementOptions, compareLosses } from './agreement.js';
import type { OpenedBackend } from './backends.js';
import type { Contender } from './contender.js';
import { EngineContender } from './engine.js';
import { measureEach } from './measure.js';
import { naiveContender } from './naive-contender.js';
import type { Peaks } from './peaks.js';
import { profileWork, type StageProfile } from './profile.js';
import { type Result, resultOf } from './result.js';
import type { Work } from './work.js';

export interface RunOptions {
  /** For each contender. */
  readonly seconds: number;
  readonly agreement: AgreementOptions;
  /** Whether the naive loop takes part. */
  readonly naive: boolean;
  /** Of an opened backend; asked for when the work has been timed. */
  readonly peaks: (opened: OpenedBackend) => Promise<Peaks>;
  /** Whether a time to first step can begin with the process: nothing else has been measured in it. */
  readonly fresh: boolean;
  /** Whether a GPU's kernels are clocked one by one, where it has a clock. */
  readonly kernels: boolean;
  /** Makes further contenders for the work: peers. */
  readonly others?: (work: Work) => Promise<readonly Contender[]>;
}

export interface RunResults {
  readonly results: readonly Result[];
  /** The first failure of a contender in the middle of the measurement: of it, the results are partial. */
  readonly failure: KronogradError | null;
}

/**
 * Times one piece of work on every backend, the naive loop and whoever else is there.
 * @throws KronogradError MEMORY when it does not fit, DATA when losses disagree.
 */
export async function runWork(
  work: Work,
  opened: readonly OpenedBackend[],
  options: RunOptions,
): Promise<RunResults> {
  using scope = new Scope();
  const contenders: Contender[] = [];
  const enter = (contender: Contender) => void contenders.push(scope.own(contender));
  const ours = [work, ...(work.mixed ? [work.mixed] : [])].flatMap((own) =>
    opened.map((on) => ({ on, own, cost: totals(schedule(own.program), on.backend.halves) })),
  );
  for (const [n, { on, own }] of ours.entries()) {
    const begun =
      options.fresh && n === 0
        ? { at: 0, from: 'process start' as const }
        : { at: performance.now(), from: 'compile start' as const };
    enter(await EngineContender.create(on.backend, own, begun));
  }
  const naive = options.naive && work.naive !== undefined ? naiveContender(work.naive) : undefined;
  if (naive !== undefined) enter(naive);
  for (const other of (await options.others?.(work)) ?? []) enter(other);

  const agreements = await compareLosses(contenders, options.agreement);
  const failures = agreements.map(({ failure }) => failure);
  const measured = await measureEach(contenders, options.seconds, failures);
  const peakRssBytes: number[] = [];
  for (const contender of contenders) peakRssBytes.push(await contender.peakRssBytes());
  // Only now, for their memory and their kernels are no part of the work.
  const extras: { readonly peaks: Peaks; readonly kernels: readonly StageProfile[] | null }[] = [];
  for (const [n, { on, own }] of ours.entries()) {
    if (measured[n]!.failure !== null) continue;
    const clocked = options.kernels && on.backend instanceof WebGpuBackend;
    const kernels = clocked ? await profileWork(on.backend, own) : null;
    extras[n] = { peaks: await options.peaks(on), kernels };
  }
  const timingOf = (contender: Contender | undefined) =>
    (contender && measured[contenders.indexOf(contender)]?.timing) ?? null;
  const onCpu = opened.findIndex(({ backend }) => backend instanceof Float32Backend);
  const baselines = { naive: timingOf(naive), cpu: timingOf(contenders[onCpu]) };
  const results = contenders.flatMap((contender, c): Result[] => {
    const { timing, failure } = measured[c]!;
    if (timing === null) return [];
    const of = { contender, timing, failure, agreement: agreements[c]!, peakRssBytes: peakRssBytes[c]! };
    const { peaks, kernels = null } = extras[c] ?? {};
    const { cost } = ours[c] ?? ours[0]!;
    return [resultOf(work, cost, { ...of, peaks, kernels }, baselines)];
  });
  return { results, failure: measured.find(({ failure }) => failure !== null)?.failure ?? null };
}
