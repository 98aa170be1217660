/** The labels of a series: which of several things hold at the end of a window, learnt from a CSV. */
import { ratePrior } from '../data/baselines.js';
import { readCsv } from '../data/csv-node.js';
import { type LabelledSeries, LabelWindows } from '../data/label-windows.js';
import type { Standardiser } from '../data/standardise.js';
import { type Table, tableLabels } from '../data/table.js';
import { splitRows, standardiseSeries } from '../data/windows.js';
import { KronogradError } from '../errors.js';
import { digestOf } from './digest.js';
import type { Problem } from './problems.js';

export type LabelSpec = {
  readonly kind: 'labels';
  readonly file: string;
  /** The columns of labels. */
  readonly targets: readonly string[];
  readonly window: number;
  /** The columns that a window shows; without it, all others that begin with a number. */
  readonly features?: readonly string[];
};

/** Standardised by its training rows, split by time; the features that were found are part of its identity. */
export async function labelProblem(spec: LabelSpec): Promise<Problem> {
  const table = await readLabelled(spec.file, spec);
  const features = table.names.slice(spec.targets.length);
  const sha256 = digestOf(table.values);
  const raw = labelledSeries(table, spec);
  const parts = splitRows(table.rows);
  const { series, standardiser } = standardiseSeries(raw, parts.training, { overwrite: true });
  const training = new LabelWindows(series, parts.training);
  const validation = new LabelWindows(series, parts.validation);
  const test = new LabelWindows(series, parts.test);
  return {
    sets: {
      ...{ training, validation, loss: 'sigmoid-cross-entropy' },
      identity: { spec: { ...spec, features }, sha256 },
      description: { standardisation: standardiser.toJSON() },
    },
    test,
    baselines: rates(training, test),
    description: `${sizes(spec.file, test)}; ${training.count} windows to learn from, ${validation.count} for validation, ${test.count} for the test`,
    tell,
  };
}

/** Another file with the columns of a saved run: all its windows, standardised as that run's training rows were. */
export async function otherLabels(
  file: string,
  spec: LabelSpec,
  standardiser: Standardiser,
): Promise<Problem> {
  const series = labelledSeries(await readLabelled(file, spec), { ...spec, file });
  standardiser.transform(series.values, series.values);
  const test = new LabelWindows(series);
  return {
    sets: { training: test, validation: test, loss: 'sigmoid-cross-entropy', identity: { spec } },
    test,
    baselines: rates(test, test),
    description: `${sizes(file, test)}; ${test.count} windows for the test, standardised as in training`,
    tell,
  };
}

/** The columns of the labels, and behind them the features. */
async function readLabelled(file: string, { targets, features }: LabelSpec): Promise<Table> {
  const shown = features?.find((name) => targets.includes(name));
  if (shown !== undefined)
    throw new KronogradError('OPTION', `${JSON.stringify(shown)} is a label and cannot be shown`, {
      where: 'features',
      fix: 'name it as a target or as a feature',
    });
  const columns = [...targets, ...(features ?? [])];
  const table = await readCsv(file, { columns, numericOthers: features === undefined });
  if (table.names.length > targets.length) return table;
  throw new KronogradError('DATA', 'there is no column of numbers beside the labels', {
    where: file,
    fix: 'add columns to tell the labels by',
  });
}

/** The table's own numbers, those of the labels among them, which are not shown. */
function labelledSeries(
  table: Table,
  { file, targets, window }: LabelSpec,
): LabelledSeries & {
  readonly values: Float64Array;
} {
  const columns = table.names.length;
  return {
    ...{ values: table.values, columns, window },
    inputColumns: Array.from({ length: columns - targets.length }, (_, i) => targets.length + i),
    labels: tableLabels(table, targets, file),
  };
}

const rates = (known: LabelWindows, test: LabelWindows) => {
  const { crossEntropy: loss } = ratePrior(known.labels, test.labels, test.target.size);
  return [{ name: 'rates of the labels', loss }];
};

const sizes = (file: string, { steps, features, target }: LabelWindows): string =>
  `${file}: ${steps} steps of ${features} features in, ${target.size} ${target.size === 1 ? 'label' : 'labels'} out`;

const tell = (loss: number): string => `cross-entropy ${loss.toFixed(4)}`;
