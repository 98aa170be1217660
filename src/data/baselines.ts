/** What forecasts and guesses without a model reach: the figures that a recurrent net has to beat. */
import { KronogradError } from '../errors.js';
import { requireInteger } from '../ranges.js';
import type { SeriesWindows } from './windows.js';

/** Errors of forecasts, in the units of the series that the windows were made of. */
export interface ForecastScore {
  readonly meanAbsolute: number;
  readonly meanSquared: number;
  /** How many windows were forecast. */
  readonly count: number;
}

/** The forecast is the last value that the window shows. */
export function persistence(windows: SeriesWindows): ForecastScore {
  return scoreForecasts(windows, (index) => windows.before(index, windows.series.horizon)!);
}

/**
 * The forecast is the latest known value of the same phase: a whole number of periods before the one to forecast.
 * It may be older than the window. Where the series does not reach back so far, the forecast is persistence's.
 */
export function seasonalNaive(windows: SeriesWindows, period: number): ForecastScore {
  requireInteger(period, 'period', { min: 1 });
  const { horizon } = windows.series;
  const back = Math.ceil(horizon / period) * period;
  return scoreForecasts(windows, (index) => windows.before(index, back) ?? windows.before(index, horizon)!);
}

/** The forecast is always the same value: that of the training part's mean, say. */
export function constantForecast(windows: SeriesWindows, value: number): ForecastScore {
  return scoreForecasts(windows, () => value);
}

/** The mean of the values that the windows forecast. */
export function meanTarget(windows: SeriesWindows): number {
  let mean = 0;
  for (let index = 0; index < windows.count; index += 1)
    mean += (windows.targetOf(index) - mean) / (index + 1);
  return mean;
}

/** The errors of any forecast of the windows, a model's too. */
export function scoreForecasts(windows: SeriesWindows, forecast: (index: number) => number): ForecastScore {
  let absolute = 0;
  let squared = 0;
  for (let index = 0; index < windows.count; index += 1) {
    const error = forecast(index) - windows.targetOf(index);
    absolute += Math.abs(error);
    squared += error * error;
  }
  const { count } = windows;
  return { meanAbsolute: absolute / count, meanSquared: squared / count, count };
}

export interface ClassPriorScore {
  /** Mean of -ln p(class), in nats. */
  readonly crossEntropy: number;
  /** Of always guessing the class that is most frequent in training. */
  readonly accuracy: number;
}

/**
 * Guessing classes by their frequencies in training, p(k) = (n(k) + 1) / (n + classes). Throws DATA for an id that is
 * no class, or when there is nothing to guess.
 */
export function classPrior(
  training: ArrayLike<number>,
  validation: ArrayLike<number>,
  classes: number,
): ClassPriorScore {
  requireInteger(classes, 'classes', { min: 2 });
  requireSome(validation.length);
  const counts = new Float64Array(classes);
  for (let index = 0; index < training.length; index += 1)
    counts[requireClass(training, index, classes)]! += 1;
  const most = counts.indexOf(Math.max(...counts));
  let nats = 0;
  let right = 0;
  for (let index = 0; index < validation.length; index += 1) {
    const id = requireClass(validation, index, classes);
    nats -= Math.log((counts[id]! + 1) / (training.length + classes));
    if (id === most) right += 1;
  }
  return { crossEntropy: nats / validation.length, accuracy: right / validation.length };
}

/**
 * Guessing c yes-or-no values, [n, c] of 0 and 1, each by its frequency in training, (yes + 1) / (n + 2). The cross
 * entropy is that of all c together, for one row; the accuracy that of one value.
 */
export function ratePrior(
  training: ArrayLike<number>,
  validation: ArrayLike<number>,
  outputs: number,
): ClassPriorScore {
  requireInteger(outputs, 'outputs', { min: 1 });
  requireSome(validation.length);
  const rows = training.length / outputs;
  const yes = new Float64Array(outputs);
  for (let index = 0; index < training.length; index += 1)
    yes[index % outputs]! += requireClass(training, index, 2);
  const rates = yes.map((count) => (count + 1) / (rows + 2));
  let nats = 0;
  let right = 0;
  for (let index = 0; index < validation.length; index += 1) {
    const rate = rates[index % outputs]!;
    const value = requireClass(validation, index, 2);
    nats -= Math.log(value === 1 ? rate : 1 - rate);
    if (value === (rate > 0.5 ? 1 : 0)) right += 1;
  }
  return { crossEntropy: (nats * outputs) / validation.length, accuracy: right / validation.length };
}

function requireClass(ids: ArrayLike<number>, index: number, classes: number): number {
  const id = ids[index]!;
  if (Number.isInteger(id) && id >= 0 && id < classes) return id;
  throw new KronogradError('DATA', `${id} is no class`, {
    where: `target ${index}`,
    fix: `give integers from 0 to ${classes - 1}`,
  });
}

function requireSome(count: number): void {
  if (count > 0) return;
  throw new KronogradError('DATA', 'there is nothing to guess', {
    where: 'baseline',
    fix: 'give a validation part that is not empty',
  });
}
