/** What `kronograd bench` does with each thing to time, and how it prints what it found. */
import type { TuningStore } from '../backend/webgpu/tuning/store.js';
import { WebGpuBackend } from '../backend/webgpu/webgpu-backend.js';
import type { OpenedBackend } from '../bench/backends.js';
import type { CurvatureItem, Item } from '../bench/catalogue.js';
import { type HvpResult, hvpTable, measureHvp } from '../bench/hvp.js';
import { hvpWorks } from '../bench/hvp-work.js';
import { type LanczosTiming, lanczosTable, measureLanczos } from '../bench/lanczos.js';
import { measurePeaks, type Peaks } from '../bench/peaks.js';
import { placeInWords, placeOf } from '../bench/place.js';
import { measureProbes, type ProbeResult, probesTable } from '../bench/probes.js';
import { profileWork } from '../bench/profile.js';
import { type RunOptions, runWork } from '../bench/run.js';
import { describePeaks, profileTable, ratioTable, resultTable } from '../bench/table.js';
import { measureTuning, tuningTable } from '../bench/tune.js';
import type { Work } from '../bench/work.js';
import { describeWorkload } from '../bench/workload.js';
import { KronogradError } from '../errors.js';

export interface ReportOptions {
  /** Vectors of a product with several. */
  readonly k: number;
  /** For each contender. */
  readonly seconds: number;
  readonly checkSteps: number;
  readonly naive: boolean;
  readonly json?: boolean;
}

/** A contender that is slow is compared with the others for no longer than this. */
const COMPARING_MS = 20_000;

export type Report<Each = Item> = (item: Each, opened: readonly OpenedBackend[]) => Promise<void>;

export function timer(
  options: ReportOptions,
  print: (line: string) => void,
  others: RunOptions['others'],
): Report {
  const known = new Map<OpenedBackend, Peaks>();
  const peaks = async (opened: OpenedBackend): Promise<Peaks> => {
    const before = known.get(opened);
    if (before !== undefined) return before;
    const found = await measurePeaks(opened);
    known.set(opened, found);
    const place = placeOf(opened.backend);
    print(options.json ? JSON.stringify({ name: 'peaks', ...place, ...found }) : describePeaks(place, found));
    return found;
  };
  let fresh = true;
  return async (item, opened) => {
    const work = item.work();
    const naive = options.naive && !item.gpuOnly;
    const agreement = { steps: options.checkSteps, milliseconds: COMPARING_MS };
    const { results, failure } = await runWork(work, opened, {
      ...{ seconds: options.seconds, agreement, naive, peaks, fresh, kernels: options.json === true },
      ...(others && { others }),
    });
    fresh = false;
    if (options.json) for (const result of results) print(JSON.stringify(result));
    else print(`\n${title(work)}\n\n${resultTable(results)}\n\n${ratioTable(results)}`);
    // What was measured before is told all the same.
    if (failure !== null) throw failure;
  };
}

export function profiler(options: ReportOptions, print: (line: string) => void): Report {
  return async (item, opened) => {
    const work = item.work();
    for (const { backend } of opened) {
      const stages = await profileWork(backend, work.mixed ?? work);
      const place = placeOf(backend);
      if (options.json)
        for (const stage of stages ?? [])
          print(
            JSON.stringify({ name: 'profile', work: work.name, workload: work.workload, ...place, ...stage }),
          );
      else {
        const table = stages === null ? 'the adapter has no timestamps' : profileTable(stages);
        print(`\n${title(work)}, on ${placeInWords(place)}\n\n${table}`);
      }
    }
  };
}

export function hvpTimer(
  { k, seconds, json }: ReportOptions,
  print: (line: string) => void,
): Report<CurvatureItem> {
  return async ({ model, workload }, opened) => {
    const works = hvpWorks(model, workload, k);
    const results: HvpResult[] = [];
    for (const { backend } of opened)
      results.push(await measureHvp(backend, model, works, { vectors: k, seconds }));
    if (json) for (const result of results) print(JSON.stringify(result));
    else print(`\n${title(works.product)}\n\n${hvpTable(results)}`);
  };
}

export function lanczosTimer({ json }: ReportOptions, print: (line: string) => void): Report<CurvatureItem> {
  return async ({ label, model, workload }, opened) => {
    const timings: LanczosTiming[] = [];
    for (const { backend } of opened) timings.push(await measureLanczos(backend, model, workload));
    const parameters = timings[0]!.parameters.toLocaleString('en');
    if (json) for (const timing of timings) print(JSON.stringify(timing));
    else
      print(
        `\n${label}: ${describeWorkload(workload)}, ${parameters} parameters\n\n${lanczosTable(timings)}`,
      );
  };
}

/** @throws KronogradError OPTION where no backend is a GPU's. */
export function prober({ json }: ReportOptions, print: (line: string) => void): Report<unknown> {
  return async (_, opened) => {
    const results: ProbeResult[] = [];
    for (const gpu of requireGpus(
      opened,
      'the probes are of a GPU’s dispatches, passes, submits and readbacks',
    ))
      results.push(await measureProbes(gpu));
    if (json) for (const result of results) print(JSON.stringify(result));
    else print(probesTable(results));
  };
}

/** @throws KronogradError OPTION where no backend is a GPU's. */
export function tuner({ json }: ReportOptions, print: (line: string) => void, store: TuningStore): Report {
  return async (item, opened) => {
    const work = item.work();
    for (const gpu of requireGpus(opened, 'what is tuned are the kernels of a GPU')) {
      const results = await measureTuning(gpu, work, store);
      const names = { name: 'tune', work: work.name, workload: work.workload };
      if (json) for (const result of results) print(JSON.stringify({ ...names, ...result }));
      else print(`\n${title(work)}, on ${placeInWords(placeOf(gpu))}\n\n${tuningTable(results)}`);
    }
  };
}

function requireGpus(opened: readonly OpenedBackend[], what: string): WebGpuBackend[] {
  const gpus = opened.flatMap(({ backend }) => (backend instanceof WebGpuBackend ? [backend] : []));
  if (gpus.length > 0) return gpus;
  throw new KronogradError('OPTION', what, { where: '--backend', fix: 'use --backend webgpu' });
}

const title = ({ name, workload, description }: Work) => `${name} ${workload}: ${description}`;
