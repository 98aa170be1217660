/** `kronograd bench`: how fast a step is on each backend, beside a naive loop that does the same. */
import type { TuningOptions } from '../backend/webgpu/tuning/store.js';
import { BACKEND_NAMES, type BackendName, type OpenedBackend } from '../bench/backends.js';
import { openAvailable, openBackends } from '../bench/backends-node.js';
import {
  BENCHMARKS,
  CURVATURE_BENCHMARKS,
  type CurvatureItem,
  curvatureItemsOf,
  type Item,
  itemsOf,
  noPrecisions,
} from '../bench/catalogue.js';
import { hvpWorks } from '../bench/hvp-work.js';
import type { RunOptions } from '../bench/run.js';
import { Scope } from '../dispose.js';
import { KronogradError } from '../errors.js';
import { requireChoice } from '../ranges.js';
import { PRECISIONS } from '../train/step-program.js';
import {
  hvpTimer,
  lanczosTimer,
  prober,
  profiler,
  type Report,
  type ReportOptions,
  timer,
  tuner,
} from './bench-reports.js';
import { integerOption, numberOption, UNSAFE_FAST_MEANING } from './options.js';
import type { CommandContext, CommandRegistration } from './program.js';
import { NO_TUNE_MEANING, openTuningFile, tuningOf } from './tuning.js';

interface BenchOptions extends ReportOptions {
  readonly workload: string;
  readonly batch?: number;
  readonly unroll?: number;
  readonly hidden?: number;
  readonly layers?: number;
  readonly vocab?: number;
  readonly backend?: string;
  readonly threads?: number;
  readonly unsafeFast?: boolean;
  readonly tune: boolean;
  readonly precision: string;
  readonly cell: string;
  readonly force?: boolean;
  readonly profile?: boolean;
}

/** The command; in a checkout, with peers as further contenders. */
export const benchWith =
  (others?: RunOptions['others']): CommandRegistration =>
  (program, context) => {
    const sizes = { min: 1 };
    program
      .command('bench')
      .description('time a training step, or a kernel, on each backend and as a naive loop, in turns')
      .argument('[what]', `one of ${BENCHMARKS.join(', ')}`, 'lstm')
      .option('--workload <names>', 'T, S, M, L or XL, or several with commas between', 'S,M')
      .option('--batch <n>', 'another batch than the workload’s', integerOption('--batch', sizes))
      .option('--unroll <t>', 'another unroll', integerOption('--unroll', sizes))
      .option('--hidden <n>', 'other hidden units', integerOption('--hidden', sizes))
      .option('--layers <n>', 'another number of layers', integerOption('--layers', sizes))
      .option('--vocab <n>', 'another vocabulary', integerOption('--vocab', sizes))
      .option(
        '--precision <name>',
        `of training steps and products: mixed, beside float32, or ${PRECISIONS[0]} alone`,
        PRECISIONS[0],
      )
      .option(
        '--cell <names>',
        'of hvp, lanczos and tune: cells or, of the first two, fnn, with commas between',
        'lstm',
      )
      .option('--k <n>', 'of hvp: vectors in one pass', integerOption('--k', { min: 2, max: 1024 }), 8)
      .option('--backend <name>', `${BACKEND_NAMES.join(' or ')}; by default both`)
      .option('--threads <n>', 'of the CPU backend', integerOption('--threads', { min: 1, max: 256 }))
      .option('--unsafe-fast', UNSAFE_FAST_MEANING)
      .option('--no-tune', NO_TUNE_MEANING)
      .option('--seconds <x>', 'for each contender', numberOption('--seconds', { above: 0, max: 3600 }), 3)
      .option(
        '--check-steps <n>',
        'steps over which losses must agree',
        integerOption('--check-steps', { min: 2, max: 10_000 }),
        50,
      )
      .option('--no-naive', 'without the naive loop')
      .option('--force', 'also what is meant for a GPU only, on what there is')
      .option('--profile', 'where the time goes, stage by stage, instead')
      .option('--json', 'one JSON object a line')
      .action((what: string, options: BenchOptions) => runBench(what, options, context, others));
  };

export const bench: CommandRegistration = benchWith();

async function runBench(
  name: string,
  options: BenchOptions,
  context: CommandContext,
  others: RunOptions['others'],
): Promise<void> {
  const { batch, unroll, hidden, layers, vocab: vocabulary } = options;
  const precision = requireChoice(options.precision, '--precision', PRECISIONS);
  if (precision === 'mixed' && OTHERS.includes(name)) throw noPrecisions(name);
  const request = {
    workloads: listed(options.workload),
    sizes: { batch, unroll, hidden, layers, vocabulary },
  };
  const print = (line: string) => void context.stdout.write(`${line}\n`);
  const profile = profiler(options, print);
  if (name === 'hvp' || name === 'lanczos') {
    const items = curvatureItemsOf(listed(options.cell), { name, ...request });
    if (name === 'lanczos') return runItems(items, lanczosTimer(options, print), options, context);
    if (!options.profile) return runItems(items, hvpTimer(options, print), options, context);
    const work = ({ model, workload }: CurvatureItem) => hvpWorks(model, workload, options.k).products;
    const products = items.map((item) => ({ ...item, work: () => work(item) }));
    return runItems(products, profile, options, context);
  }
  if (name === 'probes') {
    const probed = { ...options, backend: options.backend ?? 'webgpu' };
    return runItems([{ label: name, gpuOnly: false }], prober(options, print), probed, context);
  }
  if (name === 'tune') {
    const onGpu = { ...options, tune: false, backend: options.backend ?? 'webgpu' };
    const items = listed(options.cell).flatMap((cell) => itemsOf({ name: cell, ...request }));
    return runItems(items, tuner(options, print, await openTuningFile(context)), onGpu, context);
  }
  const report = options.profile ? profile : timer(options, print, others);
  return runItems(itemsOf({ name, precision, ...request }), report, options, context);
}

/** What is measured otherwise than as one piece of work after another. */
const OTHERS: readonly string[] = [...CURVATURE_BENCHMARKS, 'probes', 'tune'];

const listed = (names: string): string[] => names.split(',').map((each) => each.trim());

async function runItems<Each extends Pick<Item, 'label' | 'gpuOnly'>>(
  items: readonly Each[],
  report: Report<Each>,
  options: BenchOptions,
  context: CommandContext,
): Promise<void> {
  const skip = (what: string) => void context.stderr.write(`skipped: ${what}\n`);
  using scope = new Scope();
  const opened = await open(options, await tuningOf(options.tune, context), skip);
  for (const { backend } of opened) scope.own(backend);
  for (const item of items) {
    const able = opened.filter(({ gpu }) => gpu || options.force || !item.gpuOnly);
    for (const each of opened)
      if (!able.includes(each)) skip(`${item.label} on ${each.backend.description}: it is for a real GPU`);
    if (able.length > 0) await report(item, able);
    else if (items.length === 1) throw needsGpu(item);
  }
}

async function open(
  { backend, threads, unsafeFast }: BenchOptions,
  tuning: TuningOptions | undefined,
  skip: (what: string) => void,
): Promise<readonly OpenedBackend[]> {
  const options = { threads, unsafeFast, tuning };
  if (backend === undefined) return openAvailable(BACKEND_NAMES, options, skip);
  const choice: BackendName = requireChoice(backend, '--backend', BACKEND_NAMES);
  return openBackends(choice, options);
}

const needsGpu = ({ label }: Pick<Item, 'label'>) =>
  new KronogradError('OPTION', `${label} is for a real GPU, and none is used here`, {
    where: '--workload, --backend',
    fix: 'use a smaller workload, or --force if you have the time',
  });
