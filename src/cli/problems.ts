/** What `train` can learn beside text: forecasts of a series, and tasks with known answers. */
import { classPrior, persistence, ratePrior, seasonalNaive } from '../data/baselines.js';
import { readCsv } from '../data/csv-node.js';
import type { SequenceSource } from '../data/sequences.js';
import { loadBirths, loadDigits, loadWeather, type SeriesData } from '../data/sets-node.js';
import type { Standardiser } from '../data/standardise.js';
import { seriesColumns, tableSeries } from '../data/table-series.js';
import { addingProblem, copyMemory, parity, type Task, temporalOrder } from '../data/tasks.js';
import { TRAFFIC_LANES, Traffic } from '../data/traffic.js';
import {
  type Series,
  SeriesWindows,
  SPLIT_DEFAULTS,
  seriesWindows,
  splitRows,
  standardiseSeries,
} from '../data/windows.js';
import { KronogradError } from '../errors.js';
import type { SequenceSets } from '../train/sequence-data.js';
import { firstOf, partOf } from '../train/sequence-parts.js';
import { digestOf } from './digest.js';
import { type LabelSpec, labelProblem, otherLabels } from './label-problem.js';

export type CsvSpec = {
  readonly kind: 'csv';
  readonly file: string;
  readonly target: string;
  readonly features: readonly string[];
  readonly window: number;
  readonly horizon: number;
  /** Rows of one season; 0: none is known. */
  readonly period: number;
};

/** Plain JSON: a checkpoint keeps it, and a resumed run makes the same problem of it. */
export type ProblemSpec =
  | { readonly kind: 'births' | 'weather'; readonly window: number; readonly horizon: number }
  | CsvSpec
  | LabelSpec
  | { readonly kind: 'occupancy'; readonly window: number }
  | { readonly kind: 'digits' }
  | { readonly kind: TaskName; readonly window: number };

export type TaskName = 'adding' | 'copy-memory' | 'temporal-order' | 'parity';

export interface Baseline {
  readonly name: string;
  /** On the same sequences and in the same measure as the model's. */
  readonly loss: number;
  /** Where the targets are classes, the share guessed right. */
  readonly accuracy?: number | undefined;
}

export interface Problem {
  readonly sets: SequenceSets;
  /** What nobody has looked at before the end. */
  readonly test: SequenceSource;
  readonly baselines: readonly Baseline[];
  /** The share of classes to get right, beside the baselines. */
  readonly goal?: number;
  readonly description: string;
  /** A loss in words that mean something to the user. */
  readonly tell: (loss: number) => string;
}

export async function makeProblem(spec: ProblemSpec, seed: number): Promise<Problem> {
  switch (spec.kind) {
    case 'births':
      return packaged(await loadBirths(), spec);
    case 'weather':
      return packaged(await loadWeather(), spec);
    case 'csv':
      return forecast(await csvSeries(spec.file, spec), spec, spec.period, `${spec.file}, ${spec.target}`);
    case 'labels':
      return labelProblem(spec);
    case 'occupancy':
      return occupancy(spec, seed);
    case 'digits':
      return digits(spec);
    default:
      return task(spec, seed);
  }
}

const packaged = (
  { name, values, columns, target, targetColumn, period }: SeriesData,
  spec: { readonly window: number; readonly horizon: number } & ProblemSpec,
): Problem => {
  const { window, horizon } = spec;
  const series = { values, columns: columns.length, targetColumn, window, horizon };
  return forecast(series, spec, period, `${name}, ${target}`);
};

/** Standardised by its training rows, in place; told in the series' own unit. */
function forecast(raw: Series, spec: ProblemSpec, period: number, label: string): Problem {
  const rows = raw.values.length / raw.columns;
  const sha256 = digestOf(raw.values);
  const { series, standardiser } = standardiseSeries(raw, splitRows(rows).training, { overwrite: true });
  const { training, validation, test } = seriesWindows(series, SPLIT_DEFAULTS);
  const std = standardiser.std[raw.targetColumn]!;
  if (std === 0)
    throw new KronogradError('DATA', 'the column to forecast never changes', {
      where: label,
      fix: 'choose another column',
    });
  return {
    sets: {
      ...{ training, validation: validation! },
      identity: { spec, sha256 },
      description: { standardisation: standardiser.toJSON() },
    },
    test: test!,
    baselines: forecastBaselines(test!, period),
    description: `${label}: ${raw.window} steps of ${training.features} features in, ${raw.horizon} ahead out; ${training.count} windows to learn from, ${validation!.count} for validation, ${test!.count} for the test`,
    tell: tellRmse(std),
  };
}

/** Another file with the columns of a saved run: all its windows, standardised as that run's training rows were. */
export async function otherCsv(
  file: string,
  spec: CsvSpec | LabelSpec,
  standardiser: Standardiser,
): Promise<Problem> {
  if (spec.kind === 'labels') return otherLabels(file, spec, standardiser);
  const raw = await csvSeries(file, spec);
  const test = new SeriesWindows({ ...raw, values: standardiser.transform(raw.values, raw.values) });
  return {
    sets: { training: test, validation: test, identity: { spec } },
    test,
    baselines: forecastBaselines(test, spec.period),
    description: `${file}, ${spec.target}: ${test.steps} steps of ${test.features} features in, ${spec.horizon} ahead out; ${test.count} windows for the test, standardised as in training`,
    tell: tellRmse(standardiser.std[raw.targetColumn]!),
  };
}

const csvSeries = async (file: string, spec: CsvSpec): Promise<Series> =>
  tableSeries(await readCsv(file, { columns: seriesColumns(spec) }), spec);

/** @param period Rows of one season; 0: none is known. */
function forecastBaselines(test: SeriesWindows, period: number): Baseline[] {
  const simple = { name: 'persistence', loss: persistence(test).meanSquared };
  if (period === 0) return [simple];
  return [simple, { name: 'seasonal-naive', loss: seasonalNaive(test, period).meanSquared }];
}

/** In the unit of a series that was divided by `std`. */
const tellRmse = (std: number) => (loss: number) => `rmse ${(Math.sqrt(loss) * std).toPrecision(4)}`;

/** Sequences for validation, and for the test; and of those trained on, how many the rates are guessed from. */
const TRAFFIC_SEQUENCES = 2000;
/** No run trains on so many. */
const BEHIND_TRAINING = 2 ** 31;

/** Which of three lanes are congested on the day after `window` days of hourly counts. */
function occupancy(spec: { readonly kind: 'occupancy'; readonly window: number }, seed: number): Problem {
  const count = TRAFFIC_SEQUENCES;
  const from = (first: number) => new Traffic({ seed, days: spec.window, count, first });
  const targets = (of: Traffic) => Array.from({ length: count }, (_, i) => of.targetsOf(i)).flat();
  const test = from(BEHIND_TRAINING + count);
  const training = new Traffic({ seed, days: spec.window });
  const guess = ratePrior(targets(from(0)), targets(test), TRAFFIC_LANES);
  return {
    sets: {
      training,
      validation: from(BEHIND_TRAINING),
      loss: 'sigmoid-cross-entropy',
      identity: { spec },
    },
    test,
    baselines: [{ name: 'rates of the lanes', loss: guess.crossEntropy }],
    description: `occupancy: ${training.steps} days of ${training.features} counts in, ${TRAFFIC_LANES} lanes out; a synthetic generator, as many as are wanted`,
    tell: (value) => `cross-entropy ${value.toFixed(4)}`,
  };
}

/** The share of the training part that is kept for validation. */
const DIGITS_VALIDATION = 1 / 8;
/** A linear classifier of the pixels stays below, even with all of MNIST. */
const DIGITS_GOAL = 0.93;

/** Digits row by row; a feed-forward network sees all rows at once. */
async function digits(spec: { readonly kind: 'digits' }): Promise<Problem> {
  const { training: all, test } = await loadDigits({ shape: 'rows' });
  const boundary = all.count - Math.round(all.count * DIGITS_VALIDATION);
  const training = partOf(all, 0, boundary);
  const validation = partOf(all, boundary, all.count);
  const labels = (of: typeof test, count: number) =>
    Array.from({ length: count }, (_, i) => Number(of.targetOf(i)));
  const guess = classPrior(labels(all, boundary), labels(test, test.count), test.target.size);
  return {
    sets: { training, validation, identity: { spec, sequences: all.count } },
    test,
    baselines: [{ name: 'most frequent class', loss: guess.crossEntropy, accuracy: guess.accuracy }],
    goal: DIGITS_GOAL,
    description: `digits: ${training.steps} rows of ${training.features} pixels; ${training.count} digits to learn from, ${validation.count} for validation, ${test.count} for the test`,
    tell: (value) => `cross-entropy ${value.toFixed(4)}`,
  };
}

/** Examples for validation, and for the test. */
const TASK_EXAMPLES = 512;

const TASKS: Readonly<Record<TaskName, (seed: number, steps: number) => Task>> = {
  adding: (seed, steps) => addingProblem({ seed, steps }),
  'copy-memory': (seed, steps) => copyMemory({ seed, symbols: 2, length: 5, delay: steps }),
  'temporal-order': (seed, steps) => temporalOrder({ seed, steps }),
  parity: (seed, steps) => parity({ seed, steps, perStep: true }),
};

export const TASK_NAMES = Object.keys(TASKS) as TaskName[];

function task(spec: { readonly kind: TaskName; readonly window: number }, seed: number): Problem {
  const of = (offset: number) => TASKS[spec.kind]((seed + offset) % 2 ** 32, spec.window);
  const training = of(0);
  const { loss, measure, accuracy } = training.learnedNothing;
  return {
    sets: {
      training,
      validation: firstOf(of(1), TASK_EXAMPLES),
      identity: { spec },
    },
    test: firstOf(of(2), TASK_EXAMPLES),
    baselines: [{ name: 'no memory', loss, accuracy }],
    description: `${spec.kind}: sequences of ${training.steps} steps of ${training.features} features, as many as are wanted`,
    tell: (value) =>
      `${measure === 'meanSquared' ? 'mean squared error' : 'cross-entropy'} ${value.toFixed(4)}`,
  };
}
