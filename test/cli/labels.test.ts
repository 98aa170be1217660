/** `kronograd train occupancy --csv`: labels of a series of one's own. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { COMMANDS } from '../../src/cli/commands.js';
import { runCommandLine } from '../../src/cli/program.js';
import { loadCheckpoint } from '../../src/train/checkpoint-node.js';
import { Collected } from './collect.js';

let root: string;
let csv: string;
let out: string;

const ROWS = 400;
const left = (i: number) => 20 + 10 * Math.sin(i / 5);
const right = (i: number) => 50 + 20 * Math.cos(i / 3);
/** The first tells the last row, the second the two before it. */
const labelsOf = (i: number) => [left(i) > 22 ? 1 : 0, right(i - 1) + right(i - 2) > 100 ? 1 : 0] as const;
const HEADER = 'day,left,jam left,right,jam right,note';
const row = (i: number) => {
  const [first, second] = labelsOf(i);
  return `2026-${i},${left(i)},${first},${right(i)},${second},row ${i}`;
};

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kronograd-labels-'));
  csv = join(root, 'lanes.csv');
  await writeFile(csv, [HEADER, ...Array.from({ length: ROWS }, (_, i) => row(i))].join('\n'));
});

afterAll(() => rm(root, { recursive: true, force: true }));

beforeEach(async () => {
  out = join(await mkdtemp(join(root, 'test-')), 'run');
});

async function kronograd(...args: string[]) {
  const [stdout, stderr] = [new Collected(), new Collected()];
  const exitCode = await runCommandLine([...args, '--backend', 'cpu'], COMMANDS, { stdout, stderr });
  return { exitCode, out: stdout.text, err: stderr.text };
}

const train = (...args: string[]) =>
  kronograd('train', 'occupancy', '--hidden', '16', '--window', '6', ...args, '--out', out);
const lanes = () => ['--csv', csv, '--target', 'jam left, jam right'];

/** Cross-entropy of both labels in the rows of the test part, guessed by their rates in the training part. */
function rateBaseline(T: number): number {
  const rows = (begin: number, end: number) =>
    Array.from({ length: end - begin - T + 1 }, (_, i) => labelsOf(begin + T - 1 + i));
  const [training, tested] = [rows(0, 280), rows(340, ROWS)];
  return [0, 1].reduce((sum, k) => {
    const rate = (training.filter((labels) => labels[k] === 1).length + 1) / (training.length + 2);
    const nats = tested.map((labels) => -Math.log(labels[k] === 1 ? rate : 1 - rate));
    return sum + nats.reduce((a, b) => a + b) / tested.length;
  }, 0);
}

test('learns the labels at the ends of windows from all other numbers, and says what it beats', async () => {
  const { exitCode, out: told, err } = await train(...lanes(), '--steps', '300', '--lr', '0.01');
  expect(err).toBe('');
  expect(exitCode).toBe(0);
  expect(told).toMatch(
    /data .*lanes\.csv: 6 steps of 2 features in, 2 labels out; 275 windows to learn from, 55 .* 55 for the test/,
  );
  expect(told).toMatch(/model .*relu-rnn, 1 x 16 units/);
  const baseline = /rates of the labels: cross-entropy (\S+), beaten/.exec(told)![1];
  expect(baseline).toBe(rateBaseline(6).toFixed(4));
  // The labels are functions of what is shown.
  expect(Number(/test {8}cross-entropy (\S+),/.exec(told)![1])).toBeLessThan(0.4);
  const { checkpoint } = await loadCheckpoint(out);
  const { spec } = JSON.parse(checkpoint.config.data as string);
  expect(spec).toMatchObject({ kind: 'labels', features: ['left', 'right'] });
  expect((await train('--resume', ...lanes(), '--steps', '301', '--lr', '0.01')).err).toBe('');
});

test('eval measures the test part, or another file with the features of the run', async () => {
  await train(...lanes(), '--steps', '30');
  const { out: own } = await kronograd('eval', out, '--json');
  const loss = (told: string) => JSON.parse(told.split('\n')[0]!).testLoss as number;
  const other = join(root, 'other.csv');
  const rows = Array.from({ length: 60 }, (_, i) => `${row(340 + i)},${i}`);
  await writeFile(other, [`${HEADER},more`, ...rows].join('\n'));
  const { out: told, err } = await kronograd('eval', out, '--csv', other, '--json');
  expect(err).toBe('');
  expect(loss(told)).toBeCloseTo(loss(own), 6);
  // Without the file it was trained on, which features there were is known.
  const text = await kronograd('eval', out, '--csv', other);
  expect(text.out).toMatch(/other\.csv: 6 steps of 2 features in, 2 labels out; 55 windows for the test/);
});

test('--features names what is shown', async () => {
  const { out: told } = await train(...lanes(), '--features', 'right', '--steps', '2');
  expect(told).toMatch(/6 steps of 1 features in/);
});

test('a configuration file says the same', async () => {
  const file = join(root, 'run.json');
  await writeFile(
    file,
    JSON.stringify({ preset: 'occupancy', csv: 'lanes.csv', target: 'jam left', steps: 2 }),
  );
  const { out: told, err } = await kronograd('train', file, '--out', out);
  expect(err).toBe('');
  expect(told).toMatch(/14 steps of 3 features in, 1 label out/);
});

test.each<[string[], RegExp]>([
  [['--csv', 'CSV'], /^OPTION: --target cannot be undefined/],
  [['--csv', 'CSV', '--target', 'jam'], /^DATA: there is no column "jam"[\s\S]*where: .*lanes.csv: header/],
  [['--csv', 'CSV', '--target', 'left'], /^DATA: the label 20 is neither 0 nor 1[\s\S]*row 1, column "left"/],
  [['--csv', 'CSV', '--target', 'jam left', '--features', 'jam left'], /^OPTION: "jam left" is a label/],
  [['--csv', 'CSV', '--target', 'jam left', '--features', 'day'], /^DATA: "2026-0" is no number/],
  [
    ['--csv', 'CSV', '--target', 'left,right,jam left,jam right'],
    /^DATA: there is no column of numbers beside/,
  ],
  [['--csv', 'CSV', '--target', 'jam left', '--horizon', '2'], /^OPTION: --horizon is for forecasts/],
  [
    ['--csv', 'CSV', '--target', 'jam left', '--window', '100'],
    /^DATA: a window of 100 steps takes 100 rows/,
  ],
  [['--csv', 'none.csv', '--target', 'jam left'], /^STORAGE: /],
  [['--target', 'jam left'], /^OPTION: --target is for --csv/],
])('%j is refused', async (args, message) => {
  const { exitCode, err } = await train(...args.map((arg) => (arg === 'CSV' ? csv : arg)));
  expect(err).toMatch(message);
  expect(exitCode).toBe(2);
});

test('a label that is neither 0 nor 1 is told with its row and column', async () => {
  const bad = join(root, 'bad.csv');
  const text = await readFile(csv, 'utf8');
  await writeFile(bad, text.replace(/(2026-7,[^,]*),[01],/, '$1,2,'));
  const { err } = await train('--csv', bad, '--target', 'jam left');
  expect(err).toMatch(
    /^DATA: the label 2 is neither 0 nor 1\n {2}where: .*bad\.csv: row 8, column "jam left"\n/,
  );
});
