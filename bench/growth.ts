/**
 * `npm run bench -- growth [--seconds 1] [--backend cpu] [--out bench/results] [--name growth]`: how the time and the memory
 * of a training step grow with its sizes, as a table and two charts.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { BACKEND_NAMES } from '../src/bench/backends.js';
import { openBackends } from '../src/bench/backends-node.js';
import { exponentOf, GROWTHS, type Growth, type GrowthPoint, measureGrowth } from '../src/bench/growth.js';
import { markdownTable } from '../src/bench/table.js';
import { describeWorkload, resolveWorkload } from '../src/bench/workload.js';
import { lineChart } from '../src/plot/line-chart.js';
import { requireChoice } from '../src/ranges.js';

/** The workload whose sizes are changed one at a time. */
const BASE = 'S';

interface Curve {
  readonly growth: Growth;
  readonly points: readonly GrowthPoint[];
}

type Figure = (point: GrowthPoint) => number;

const FIGURES: readonly (readonly [title: string, figure: Figure])[] = [
  ['median ms', ({ medianMs }) => medianMs],
  ['least ms', ({ minMs }) => minMs],
  ['flops', ({ flops }) => flops],
  ['dispatches', ({ dispatches }) => dispatches],
  ['arena', ({ arenaBytes }) => arenaBytes],
];

/** Behind the smallest sizes, where what does not grow is still most of it. */
const upperHalf = (points: readonly GrowthPoint[]) =>
  points.slice(-Math.max(3, Math.ceil(points.length / 2)));

const exponent = (points: readonly GrowthPoint[], figure: Figure): string =>
  exponentOf(points.map((point) => [point.size, figure(point)] as const)).toFixed(2);

const exponents = (curves: readonly Curve[]): string =>
  markdownTable([
    ['with', 'sizes', ...FIGURES.map(([title]) => title)],
    ...curves.map(({ growth: { name }, points }) => {
      const upper = upperHalf(points);
      const sizes = `${upper[0]!.size} to ${upper.at(-1)!.size}`;
      return [name, sizes, ...FIGURES.map(([, figure]) => exponent(upper, figure))];
    }),
  ]);

const figures = ({ growth: { name }, points }: Curve): string =>
  markdownTable([
    [name, 'median ms', 'least ms', 'Mflop', 'dispatches', 'arena MiB'],
    ...points.map(({ size, medianMs, minMs, flops, dispatches, arenaBytes }) => [
      ...[`${size}`, medianMs.toPrecision(3), minMs.toPrecision(3), (flops / 1e6).toFixed(1)],
      ...[`${dispatches}`, (arenaBytes / 2 ** 20).toFixed(2)],
    ]),
  ]);

/** Each curve against its size as a multiple of the workload's own, and the line of what is proportional to it. */
function chart(title: string, label: string, curves: readonly Curve[], figure: Figure): string {
  const base = resolveWorkload(BASE);
  const series = curves.map(({ growth: { name, key }, points }) => ({
    name,
    points: points.map((point) => [point.size / base[key], figure(point)] as const),
  }));
  const all = series.flatMap(({ points }) => points);
  const [from, to] = [Math.min(...all.map(([x]) => x)), Math.max(...all.map(([x]) => x))];
  const [, atBase] = series[0]!.points.find(([x]) => x === 1)!;
  const proportional = { name: 'proportional', points: [from, to].map((x) => [x, x * atBase] as const) };
  const x = { label: `times the size of ${BASE}: ${describeWorkload(base)}`, scale: 'log' } as const;
  return lineChart({
    title,
    x,
    y: { label, scale: 'log' },
    series: [...series, proportional],
    legend: 'left',
  });
}

/** @param args of the command line, behind its name. */
export async function growth(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: '1' },
      backend: { type: 'string', default: 'cpu' },
      out: { type: 'string', default: 'bench/results' },
      name: { type: 'string', default: 'growth' },
    },
  });
  const load = loadavg()[0]!.toFixed(1);
  const [opened] = await openBackends(requireChoice(values.backend, '--backend', BACKEND_NAMES), {
    threads: 1,
  });
  using backend = opened!.backend;
  const curves: Curve[] = [];
  for (const each of GROWTHS) {
    const points = await measureGrowth(backend, each, { base: BASE, seconds: Number(values.seconds) });
    curves.push({ growth: each, points });
    console.log(`\n${figures(curves.at(-1)!)}`);
  }
  const machine = `${cpus()[0]!.model}, ${cpus().length} processors, Node ${process.versions.node}`;
  const text = [
    '# How a training step grows with its sizes',
    `\nThe LSTM’s step of workload ${BASE} (${describeWorkload(resolveWorkload(BASE))}), one size changed at a time, the sizes of a table in turns; ${backend.description}; ${machine}; load average ${load} when it began. Made by \`npm run bench -- growth\`.`,
    '\nOperations, dispatches and the arena are counts of the schedule and exact. Times are medians and minima of blocks of steps, on the CPU of the processor time that they took.',
    `\n## Exponents\n\np in c size^p, by least squares on logarithms, over the larger half of the sizes. In r and T a step is linear: 1. In H its products are quadratic, and what is done element by element is linear.\n\n${exponents(curves)}`,
    `\n![Time](${values.name}-time.svg)\n\n![Memory](${values.name}-memory.svg)`,
    `\n## Figures\n\n${curves.map(figures).join('\n\n')}\n`,
  ].join('\n');
  await mkdir(values.out, { recursive: true });
  const write = (suffix: string, content: string) =>
    writeFile(join(values.out, `${values.name}${suffix}`), content);
  await write('.md', text);
  const time = chart('Time of a training step', 'milliseconds, median', curves, ({ medianMs }) => medianMs);
  await write('-time.svg', time);
  const memory = chart('Arena of a training step', 'MiB', curves, ({ arenaBytes }) => arenaBytes / 2 ** 20);
  await write('-memory.svg', memory);
  console.log(`\n${exponents(curves)}`);
}
