/** A whole benchmark: contenders made, compared, timed in turns, and reported. */
import { Scope } from '../dispose.js';
import { schedule } from '../schedule/index.js';
import { totals } from '../schedule/print.js';
import { type AgreementOptions, compareLosses } from './agreement.js';
import type { OpenedBackend } from './backends.js';
import type { Contender } from './contender.js';
import { EngineContender } from './engine.js';
import { measure } from './measure.js';
import { naiveContender } from './naive-contender.js';
import type { Peaks } from './peaks.js';
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
  /** Makes further contenders for the work: peers. */
  readonly others?: (work: Work) => Promise<readonly Contender[]>;
}

/**
 * Times one piece of work on every backend, the naive loop and whoever else is there.
 * @throws KronogradError MEMORY when it does not fit, DATA when losses disagree.
 */
export async function runWork(
  work: Work,
  opened: readonly OpenedBackend[],
  options: RunOptions,
): Promise<Result[]> {
  using scope = new Scope();
  const contenders: Contender[] = [];
  const enter = (contender: Contender) => void contenders.push(scope.own(contender));
  for (const [n, { backend }] of opened.entries()) {
    const begun =
      options.fresh && n === 0
        ? { at: 0, from: 'process start' as const }
        : { at: performance.now(), from: 'compile start' as const };
    enter(await EngineContender.create(backend, work, begun));
  }
  const naive = options.naive && work.naive !== undefined ? naiveContender(work.naive) : undefined;
  if (naive !== undefined) enter(naive);
  for (const other of (await options.others?.(work)) ?? []) enter(other);

  const agreements = await compareLosses(contenders, options.agreement);
  const timings = await measure(contenders, options.seconds);
  const peakRssBytes: number[] = [];
  for (const contender of contenders) peakRssBytes.push(await contender.peakRssBytes());
  // Only now, for its memory and its kernels are no part of the work.
  const peaks: Peaks[] = [];
  for (const each of opened) peaks.push(await options.peaks(each));
  const cost = totals(schedule(work.program));
  const naiveTiming = naive && timings[contenders.indexOf(naive)];
  return contenders.map((contender, c) => {
    const measured = { timing: timings[c]!, agreement: agreements[c]!, peakRssBytes: peakRssBytes[c]! };
    return resultOf(work, cost, { contender, ...measured, peaks: peaks[c] }, naiveTiming);
  });
}
