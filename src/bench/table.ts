/** Results for people: a table in Markdown, which reads as well on a terminal. */
import type { Peaks } from './peaks.js';
import { type Place, placeInWords } from './place.js';
import type { StageProfile } from './profile.js';
import type { Result } from './result.js';

type Column = readonly [title: string, cell: (result: Result) => string];

const orDash = (value: number | null, show: (value: number) => string) =>
  value === null ? '-' : show(value);

/** Three digits that matter. */
const short = (value: number): string =>
  value >= 1000 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3).replace(/\.0+$/, '');

const bytes = (value: number): string => `${short(value / 2 ** 20)} MiB`;

const COLUMNS: readonly Column[] = [
  ['engine', (result) => engineOf(result)],
  ['on', (result) => place(result)],
  ['median ms', ({ median_ms }) => short(median_ms)],
  ['min ms', ({ min_ms }) => short(min_ms)],
  ['spread', ({ spread, median_ms }) => `${((100 * spread) / median_ms).toFixed(0)} %`],
  ['tokens/s', ({ tokens_per_s }) => orDash(tokens_per_s, short)],
  ['GFLOP/s', ({ gflops }) => short(gflops)],
  ['of peak', ({ share_of_peak }) => orDash(share_of_peak, (share) => `${(100 * share).toFixed(0)} %`)],
  ['GB/s', ({ gbytes_per_s }) => orDash(gbytes_per_s, short)],
  ['dispatches', ({ dispatches_per_step }) => orDash(dispatches_per_step, short)],
  ['submits', ({ submits_per_step }) => orDash(submits_per_step, short)],
  ['arena', ({ arena_bytes }) => orDash(arena_bytes, bytes)],
  ['peak RSS', ({ peak_rss_bytes }) => bytes(peak_rss_bytes)],
  [
    'first step ms',
    ({ first_step_ms, first_step_from }) =>
      `${short(first_step_ms)}${first_step_from === 'process start' ? ' (process)' : ''}`,
  ],
  ['loss off by', ({ loss_error }) => orDash(loss_error, (error) => error.toExponential(0))],
  ['vs naive', ({ times_naive }) => orDash(times_naive, (times) => `${short(times)}x`)],
];

/** The engine, and of what it multiplies unless that is floats. */
const engineOf = ({ engine, precision }: Result): string =>
  precision === 'float32' ? engine : `${engine}, ${precision}`;

/** The backend, and of the CPU's the threads. */
const place = ({ backend, adapter }: Result): string =>
  backend === 'cpu' ? `cpu, ${adapter.split(', ').at(-1)}` : backend;

/** The results of one piece of work: the measurements, and how often our step fits into each other one. */
export function resultTable(results: readonly Result[]): string {
  const rows = [
    COLUMNS.map(([title]) => title),
    ...results.map((result) => COLUMNS.map(([, cell]) => cell(result))),
  ];
  return markdownTable(rows);
}

/**
 * How often our step, on each of our backends, fits into everybody's: ratios of medians, and of minima, which
 * other load on the machine disturbs less.
 */
export function ratioTable(results: readonly Result[]): string {
  const ours = results.filter(({ engine }) => engine === 'kronograd');
  const ratios = (other: Result, own: Result) =>
    `${short(other.median_ms / own.median_ms)}x (${short(other.min_ms / own.min_ms)}x)`;
  return markdownTable([
    ['median (minimum) of', ...ours.map((own) => `/ ${engineOf(own)} ${place(own)}`)],
    ...results.map((other) => [
      `${engineOf(other)}, ${place(other)}`,
      ...ours.map((own) => (own === other ? '1' : ratios(other, own))),
    ]),
  ]);
}

/** @param rows The titles first. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, k) => Math.max(...rows.map((row) => row[k]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, k) => (k === 0 ? cell.padEnd(widths[k]!) : cell.padStart(widths[k]!))).join(' | ')} |`;
  const rule = `|${widths.map((width, k) => (k === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`;
  const [titles, ...rest] = rows;
  return [line(titles!), rule, ...rest.map(line)].join('\n');
}

export const describePeaks = (place: Place, { gflops, product, gbytesPerSecond }: Peaks): string =>
  `${placeInWords(place)}: best product ${short(gflops)} GFLOP/s (${product}), copy ${short(gbytesPerSecond)} GB/s`;

/** The stages that make up most of a step, and the rest in one line. */
export function profileTable(stages: readonly StageProfile[]): string {
  const shown = stages.slice(0, 15);
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const rest = stages.slice(shown.length);
  const sum = (of: (stage: StageProfile) => number) => rest.reduce((total, stage) => total + of(stage), 0);
  return markdownTable([
    ['computes', 'stage', 'dispatches', 'ms', 'share', 'GFLOP/s', 'GB/s'],
    ...shown.map(({ label, stage, dispatches, ms, share, gflops, gbytesPerSecond }) => [
      ...[label, stage, `${dispatches}`, short(ms), percent(share), short(gflops), short(gbytesPerSecond)],
    ]),
    [
      'the rest',
      '',
      `${sum((s) => s.dispatches)}`,
      short(sum((s) => s.ms)),
      percent(sum((s) => s.share)),
      '',
      '',
    ],
  ]);
}
