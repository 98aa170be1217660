/** What `train` is about to do with sequences: a preset, a CSV or a config file, or a run that goes on. */
import { resolve } from 'node:path';
import { Standardiser } from '../data/standardise.js';
import { KronogradError } from '../errors.js';
import { isRecord } from '../interop/json.js';
import { requireInteger, requireText } from '../ranges.js';
import { type LoadedCheckpoint, loadCheckpoint } from '../train/checkpoint-node.js';
import { overlayConfig } from '../train/config.js';
import {
  resolveSequenceConfig,
  SEQUENCE_DEFAULTS,
  type SequenceTrainConfig,
  type SequenceTrainConfigInput,
} from '../train/sequence-config.js';
import { isConfigFile, readConfigFile } from './config-file.js';
import { requireLookedAt } from './optimizer-options.js';
import { makeProblem, otherCsv, type Problem, type ProblemSpec } from './problems.js';
import { configOf, flagOf, optionName, type TrainOptions } from './train-options.js';

interface SequencePreset {
  readonly spec: ProblemSpec;
  readonly config: SequenceTrainConfigInput;
}

const FORECAST = { cell: 'gru', hidden: 32, batch: 32, lr: 0.005, steps: 2000 };
const MEMORY = { cell: 'gru', hidden: 32, batch: 32, lr: 0.01, steps: 3000 };

export const SEQUENCE_PRESETS: Readonly<Record<string, SequencePreset>> = {
  births: { spec: { kind: 'births', window: 28, horizon: 1 }, config: FORECAST },
  weather: {
    spec: { kind: 'weather', window: 28, horizon: 1 },
    config: { ...FORECAST, steps: 400, lr: 0.003 },
  },
  occupancy: {
    spec: { kind: 'occupancy', window: 14 },
    config: { cell: 'relu-rnn', hidden: 200, batch: 32, lr: 0.001, steps: 1000 },
  },
  digits: {
    spec: { kind: 'digits' },
    config: { cell: 'gru', hidden: 64, batch: 32, lr: 0.005, steps: 2000 },
  },
  adding: { spec: { kind: 'adding', window: 50 }, config: MEMORY },
  'copy-memory': { spec: { kind: 'copy-memory', window: 20 }, config: MEMORY },
  'temporal-order': { spec: { kind: 'temporal-order', window: 20 }, config: MEMORY },
  parity: { spec: { kind: 'parity', window: 20 }, config: MEMORY },
};

export interface SequenceSetup {
  readonly config: SequenceTrainConfig;
  readonly spec: ProblemSpec;
  readonly problem: Problem;
  readonly resumed: LoadedCheckpoint | undefined;
}

/** The run of a checkpoint. */
export interface SavedSequences extends SequenceSetup {
  readonly resumed: LoadedCheckpoint;
}

/** The name of a key in errors. */
type Where = (key: string) => string;

const WINDOW = { min: 1, max: 65_536 };

/**
 * What the arguments of `train` mean when they are about sequences; null when they are about text.
 * @throws KronogradError OPTION for options that do not go together, and what reading the data throws
 */
export async function setUpSequences(
  presetOrFile: string | undefined,
  given: TrainOptions,
): Promise<SequenceSetup | null> {
  const file = isConfigFile(presetOrFile) ? await readConfigFile(presetOrFile) : undefined;
  const preset = file ? file.preset : presetOrFile;
  const options: TrainOptions = { ...file?.data, ...given };
  const where = optionName(given, file?.where ?? flagOf);
  const { csv, resume } = options;
  if (presetOrFile === undefined && csv === undefined && resume === true) return resumeSequences(options);
  const known =
    preset !== undefined && Object.hasOwn(SEQUENCE_PRESETS, preset) ? SEQUENCE_PRESETS[preset] : undefined;
  if (csv === undefined && known === undefined) {
    requireNone(
      options,
      ['target', 'features', 'window', 'horizon', 'period'],
      'is for --csv and for presets of sequences',
      where,
    );
    return null;
  }
  requireNone(options, ['text'], 'is for runs on text', where);
  if (csv !== undefined && preset !== undefined && known?.spec.kind !== 'occupancy')
    throw new KronogradError('OPTION', 'a preset and --csv exclude each other', {
      where: `${preset}, ${where('csv')}`,
      fix: 'give only one of the two; the preset occupancy alone has a CSV in the place of its data',
    });
  if (file !== undefined) resolveSequenceConfig(file.config, file.where);
  const spec = specOf(known?.spec, options, where);
  const out = `runs/${preset ?? spec.kind}`;
  const base = { ...(known?.config ?? FORECAST), out };
  const changes = overlayConfig(file?.config ?? {}, configOf(given));
  const config = resolveSequenceConfig(overlayConfig(base, changes), optionName(given));
  if (file !== undefined && given.optimizer === undefined) requireLookedAt(file.config, config, file.where);
  const resumed = resume === true ? await loadCheckpoint(config.out) : undefined;
  return { config, spec, problem: await problemOf(spec, config), resumed };
}

/** Without baselines where only some steps count: they are known for all. */
async function problemOf(spec: ProblemSpec, { seed, lossSteps }: SequenceTrainConfig): Promise<Problem> {
  const problem = await makeProblem(spec, seed);
  return lossSteps === undefined ? problem : { ...problem, baselines: [] };
}

async function resumeSequences(options: TrainOptions): Promise<SequenceSetup | null> {
  if (options.out === undefined) return null;
  const resumed = await loadCheckpoint(options.out);
  if (savedSpec(resumed) === null) return null;
  requireNone(
    options,
    ['text', 'target', 'features', 'window', 'horizon', 'period'],
    'cannot change in a resumed run',
    flagOf,
  );
  return savedSequences(resumed, configOf(options), optionName(options));
}

/**
 * The run that a checkpoint is of, with changes to its configuration; null when it is a run on text.
 * @throws KronogradError OPTION for bad changes, and what reading the data throws
 */
export async function savedSequences(
  resumed: LoadedCheckpoint,
  changes?: SequenceTrainConfigInput,
  where?: Where,
): Promise<SavedSequences | null> {
  const run = savedRun(resumed, changes, where);
  return run && { ...run, problem: await problemOf(run.spec, run.config), resumed };
}

/**
 * The same with another CSV file in the place of the one that the run was on, which need not be there any more.
 * @throws KronogradError OPTION for a run on anything but a CSV, and what reading the data throws
 */
export async function savedOnCsv(
  resumed: LoadedCheckpoint,
  csv: string,
  where: string,
): Promise<SavedSequences> {
  const run = savedRun(resumed);
  if (run === null || !('file' in run.spec))
    throw new KronogradError('OPTION', `${where} is for models of a CSV`, {
      where,
      fix: `leave it out: ${resumed.folder} was trained on ${run === null ? 'a text' : run.spec.kind}`,
    });
  const standardiser = Standardiser.fromJSON(resumed.checkpoint.config.standardisation, resumed.folder);
  return { ...run, problem: await otherCsv(csv, run.spec, standardiser), resumed };
}

function savedRun(
  resumed: LoadedCheckpoint,
  changes: SequenceTrainConfigInput = {},
  where?: Where,
): Pick<SequenceSetup, 'config' | 'spec'> | null {
  const spec = savedSpec(resumed);
  if (spec === null) return null;
  const keys = Object.keys(SEQUENCE_DEFAULTS).concat(
    ...['epochs', 'heads', 'projection', 'contextWindow', 'recompute', 'lossSteps'],
  );
  const saved = Object.fromEntries(keys.map((key) => [key, resumed.checkpoint.config[key]]));
  return { config: resolveSequenceConfig(overlayConfig(saved, changes), where), spec };
}

const KINDS = new Set<string>([
  'csv',
  'labels',
  ...Object.values(SEQUENCE_PRESETS).map(({ spec }) => spec.kind),
]);

/**
 * What a checkpoint of sequences says that it was trained on; null for a checkpoint of text.
 * @throws KronogradError CHECKPOINT for what this version does not know
 */
function savedSpec({ checkpoint, folder }: LoadedCheckpoint): ProblemSpec | null {
  const { data } = checkpoint.config;
  const identity: unknown = typeof data === 'string' ? JSON.parse(data) : null;
  if (!isRecord(identity) || !isRecord(identity.spec)) return null;
  const { kind } = identity.spec;
  if (typeof kind === 'string' && KINDS.has(kind)) return identity.spec as unknown as ProblemSpec;
  throw new KronogradError(
    'CHECKPOINT',
    `the checkpoint was trained on ${JSON.stringify(kind)}, which is not known`,
    {
      where: folder,
      fix: 'use the release of kronograd that wrote it',
    },
  );
}

function specOf(preset: ProblemSpec | undefined, options: TrainOptions, where: Where): ProblemSpec {
  const { csv } = options;
  if (csv !== undefined && preset?.kind === 'occupancy') return labelSpec(csv, preset, options, where);
  return csv === undefined ? presetSpec(preset!, options, where) : csvSpec(csv, options, where);
}

function presetSpec(spec: ProblemSpec, options: TrainOptions, where: Where): ProblemSpec {
  requireNone(options, ['target', 'features', 'period'], 'is for --csv', where);
  if (spec.kind === 'digits') {
    requireNone(options, ['window', 'horizon'], 'is for series and tasks', where);
    return spec;
  }
  const window = requireInteger(options.window ?? spec.window, where('window'), WINDOW);
  if ('horizon' in spec)
    return {
      ...spec,
      window,
      horizon: requireInteger(options.horizon ?? spec.horizon, where('horizon'), WINDOW),
    };
  requireNone(options, ['horizon'], 'is for forecasts', where);
  return { ...spec, window };
}

function csvSpec(file: string, options: TrainOptions, where: Where): ProblemSpec {
  const target = requireText(options.target, where('target'));
  return {
    kind: 'csv',
    file: resolve(file),
    target,
    features: options.features === undefined ? [target] : columnsOf(options.features),
    window: requireInteger(options.window ?? 28, where('window'), WINDOW),
    horizon: requireInteger(options.horizon ?? 1, where('horizon'), WINDOW),
    period: requireInteger(options.period ?? 0, where('period'), { min: 0, max: WINDOW.max }),
  };
}

/** A preset's labels, of a CSV in the place of its own data. */
function labelSpec(
  file: string,
  { window }: { readonly window: number },
  options: TrainOptions,
  where: Where,
): ProblemSpec {
  requireNone(options, ['horizon', 'period'], 'is for forecasts', where);
  return {
    kind: 'labels',
    file: resolve(file),
    targets: columnsOf(requireText(options.target, where('target'))),
    window: requireInteger(options.window ?? window, where('window'), WINDOW),
    ...(options.features === undefined ? {} : { features: columnsOf(options.features) }),
  };
}

const columnsOf = (names: string): string[] => names.split(',').map((name) => name.trim());

function requireNone(
  options: TrainOptions,
  names: readonly (keyof TrainOptions)[],
  why: string,
  where: Where,
): void {
  const given = names.find((name) => options[name] !== undefined);
  if (given === undefined) return;
  throw new KronogradError('OPTION', `${where(given)} ${why}`, {
    where: where(given),
    fix: 'leave it out, or see kronograd train --help',
  });
}
