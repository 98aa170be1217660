/** `kronograd curvature`: its numbers against dense matrices in float64, what it prints, and what it refuses. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { COMMANDS } from '../../src/cli/commands.js';
import { checkpointProblem } from '../../src/cli/curvature-problem.js';
import type { CurvatureReport, Eigenvalue } from '../../src/cli/curvature-report.js';
import { runCommandLine } from '../../src/cli/program.js';
import { eigenvaluesOf, toDense } from '../../src/curvature/dense.js';
import { gaussNewtonOperator, hessianOperator } from '../../src/curvature/model-operator.js';
import type { Estimate } from '../../src/curvature/trace.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { loadCheckpoint } from '../../src/train/checkpoint-node.js';
import { expectClose } from '../support/numbers.js';
import { Collected } from './collect.js';

let root: string;
let text: string;
let series: string;

async function run(...args: string[]) {
  const stdout = new Collected();
  const stderr = new Collected();
  const exitCode = await runCommandLine(args, COMMANDS, { stdout, stderr });
  return { exitCode, out: stdout.text, err: stderr.text };
}

const curvature = (folder: string, ...args: string[]) =>
  run('curvature', folder, '--backend', 'cpu', ...args);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kronograd-curvature-'));
  [text, series] = [join(root, 'text'), join(root, 'series')];
  const small = ['--hidden', '3', '--layers', '1', '--batch', '4', '--steps', '20', '--backend', 'cpu'];
  await writeFile(join(root, 'text.txt'), 'abcabdacb '.repeat(60));
  await writeFile(join(root, 'other.txt'), 'bca dab '.repeat(30));
  const rows = Array.from({ length: 120 }, (_, i) => `${i},${Math.sin(i / 5)}`);
  await writeFile(join(root, 'waves.csv'), ['day,y', ...rows].join('\n'));
  await writeFile(
    join(root, 'more.csv'),
    ['y', ...rows.map((row) => Number(row.split(',')[1]) ** 2)].join('\n'),
  );
  const trained = [
    await run('train', '--text', join(root, 'text.txt'), '--unroll', '5', '--out', text, ...small),
    await run(
      'train',
      '--csv',
      join(root, 'waves.csv'),
      '--target',
      'y',
      '--window',
      '4',
      '--out',
      series,
      ...small,
    ),
  ];
  expect(trained.map(({ err }) => err)).toEqual(['', '']);
});

afterAll(() => rm(root, { recursive: true, force: true }));

/** The matrix of the first two batches, in float64. */
async function denseOf(folder: string, make: typeof hessianOperator): Promise<number[][]> {
  const {
    model,
    theta: weights,
    batches,
  } = await checkpointProblem(await loadCheckpoint(folder), { batches: 2 });
  using space = new VectorSpace(new Float64Backend());
  using theta = space.vector(model.parameters.size);
  theta.write(weights);
  using operator = make(space, { model, theta, batches });
  return await toDense(operator);
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, x) => total + x, 0);

describe('the numbers', () => {
  test.each<[string, string, string[], typeof hessianOperator]>([
    ['Hessian', 'text', ['--trace', '--density'], hessianOperator],
    ['Gauss-Newton matrix', 'text', ['--ggn', '--trace'], gaussNewtonOperator],
    ['Hessian', 'series', ['--blocks'], hessianOperator],
  ])('of the %s of a model of %s are those of the dense matrix: %j', async (matrix, kind, args, make) => {
    const folder = kind === 'text' ? text : series;
    const wanted = ['--top', '3', '--bottom', '2', '--batches', '2', '--json'];
    const { exitCode, out, err } = await curvature(folder, ...args, ...wanted);
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    const found: CurvatureReport = JSON.parse(out);
    expect(found).toMatchObject({ matrix, batches: 2, backend: 'cpu', converged: true });

    const rows = await denseOf(folder, make);
    const eigenvalues = eigenvaluesOf(rows);
    const scale = eigenvalues.at(-1)!;
    const values = (pairs: readonly Eigenvalue[]) => pairs.map(({ value }) => value);
    const near = ({ value, standardError }: Estimate, exact: number) =>
      expect(Math.abs(value - exact)).toBeLessThan(5 * standardError + 1e-5 * scale);
    expectClose(values(found.largest), eigenvalues.slice(-3).reverse(), 1e-4, 'largest', scale);
    expectClose(values(found.smallest), eigenvalues.slice(0, 2), 1e-4, 'smallest', scale);

    // What was asked for is there, and nothing else.
    expect(found.trace !== undefined).toBe(args.includes('--trace'));
    expect(found.density !== undefined).toBe(args.includes('--density'));
    expect(found.blocks !== undefined).toBe(args.includes('--blocks'));
    if (found.trace && found.squaredFrobeniusNorm) {
      near(found.trace, sum(eigenvalues));
      near(found.squaredFrobeniusNorm, sum(eigenvalues.map((x) => x * x)));
    }
    if (found.density) {
      const { grid, density } = found.density;
      expect(sum(density) * (grid[1]! - grid[0]!)).toBeCloseTo(1, 2);
    }
    let from = 0;
    for (const { name, parameters, largest, trace } of found.blocks ?? []) {
      const block = rows.slice(from, from + parameters).map((row) => row.slice(from, from + parameters));
      expectClose([largest.value], [eigenvaluesOf(block).at(-1)!], 1e-4, name, scale);
      near(trace, sum(block.map((row, i) => row[i]!)));
      from += parameters;
    }
    if (found.blocks) expect(from).toBe(rows.length);
  });

  test('are taken on another text and another series, when they are given', async () => {
    const own = JSON.parse((await curvature(text, '--json')).out);
    const other = JSON.parse((await curvature(text, '--json', '--text', join(root, 'other.txt'))).out);
    expect(other.source).toBe(join(root, 'other.txt'));
    expect(other.loss).not.toBe(own.loss);
    const more = JSON.parse((await curvature(series, '--json', '--csv', join(root, 'more.csv'))).out);
    expect(more.source).toBe(join(root, 'more.csv'));
    // Standardised by its own rows, ten times the series would be the series.
    const tenfold = join(root, 'tenfold.csv');
    const rows = (await readFile(join(root, 'waves.csv'), 'utf8')).split('\n').slice(1);
    await writeFile(tenfold, ['y', ...rows.map((row) => 10 * Number(row.split(',')[1]))].join('\n'));
    const [once, tenTimes] = await Promise.all(
      ['waves.csv', 'tenfold.csv'].map(async (file) =>
        JSON.parse((await curvature(series, '--json', '--csv', join(root, file))).out),
      ),
    );
    expect(tenTimes.loss).toBeGreaterThan(10 * once.loss);
  });
});

test('people get tables with errors, remarks and a picture', async () => {
  const plot = join(root, 'density.svg');
  const { exitCode, out } = await curvature(text, '--trace', '--blocks', '--plot', plot);
  expect(exitCode).toBe(0);
  expect(out).toMatch(/Hessian of \d+ parameters; loss \S+, gradient norm \S+/);
  expect(out).toMatch(/\| largest 5 +\| +\S+ \| +\+- \S+ \|/);
  expect(out).toMatch(/negative curvature: -\S+, \S+ % of the largest; this is no minimum/);
  expect(out).toMatch(/trace \S+ \+- \S+, mean eigenvalue \S+/);
  expect(out).toMatch(/\| head.weight +\| +\d+ \| +\S+ \+- \S+ \| +\S+ \+- \S+ \|/);
  expect(out).toMatch(/\| eigenvalues +\| +share \|/);
  expect(await readFile(plot, 'utf8')).toMatch(/^<svg .*<\/svg>\n$/s);
});

describe('train --log-curvature', () => {
  const more = ['--backend', 'cpu', '--resume', '--log-curvature', '2'];

  test('tells the largest eigenvalue every so many steps, of text and of sequences', async () => {
    for (const folder of [text, series]) {
      const { exitCode, out, err } = await run('train', '--out', folder, '--steps', '25', '--json', ...more);
      expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
      const events = out.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line)]));
      const told = events.filter(({ event }) => event === 'curvature');
      expect(told.map(({ step }) => step)).toEqual([22, 24]);
      for (const { eigenvalue, error } of told) expect(eigenvalue).toBeGreaterThan(error);
    }
  });

  test('for people too, and not for a number of steps that is none', async () => {
    const { out } = await run('train', '--out', text, '--steps', '26', ...more);
    expect(out).toMatch(/step 26: largest eigenvalue of the Hessian \S+ \+- \S+, by \d+ products/);
    const { err, exitCode } = await run('train', '--log-curvature', '0');
    expect(err).toMatch(/OPTION: --log-curvature cannot be 0/);
    expect(exitCode).toBe(2);
  });
});

describe('what cannot be done is refused', () => {
  test.each<[string, () => string[], RegExp]>([
    [
      'more eigenvalues than parameters',
      () => [series, '--top', '900'],
      /OPTION: --top \+ --bottom cannot be 900\n/,
    ],
    ['more batches than there are', () => [text, '--batches', '999'], /OPTION: batches cannot be 999\n/],
    ['a series for a model of text', () => [text, '--csv', 'x.csv'], /OPTION: --csv does not go with/],
    ['a text for a model of sequences', () => [series, '--text', 'x.txt'], /OPTION: --text does not go with/],
    ['a text of other characters', () => [text, '--text', join(root, 'waves.csv')], /TEXT: .*\n/],
    ['a series without the column', () => [series, '--csv', join(root, 'text.txt')], /DATA: .*\n/],
    [
      'a plot where there is no folder',
      () => [text, '--plot', join(root, 'no', 'x.svg')],
      /STORAGE: .*ENOENT/,
    ],
    ['no checkpoint', () => [join(root, 'nowhere')], /CHECKPOINT|STORAGE/],
    ['another backend', () => [text, '--backend', 'metal'], /OPTION: --backend cannot be "metal"/],
  ])('%s', async (_, args, expected) => {
    const { exitCode, err } = await run('curvature', ...args());
    expect(err).toMatch(expected);
    expect(exitCode).toBe(2);
  });

  test('a text that has changed since', async () => {
    const file = join(root, 'text.txt');
    const before = await readFile(file, 'utf8');
    await writeFile(file, before.replace('abcabd', 'abdabc'));
    const { exitCode, err } = await curvature(text);
    await writeFile(file, before);
    expect(err).toMatch(/CHECKPOINT: the checkpoint is of another text/);
    expect(exitCode).toBe(2);
  });
});
