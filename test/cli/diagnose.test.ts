/** `kronograd diagnose`: what it prints of models of text and of sequences, and what it refuses. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COMMANDS } from '../../src/cli/commands.js';
import { runCommandLine } from '../../src/cli/program.js';
import { Collected } from './collect.js';

let root: string;
/** Folders of a run on text, on sequences, and of a network without time. */
let text: string;
let series: string;
let feedForward: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kronograd-diagnose-'));
  const fox = join(root, 'fox.txt');
  await writeFile(fox, 'the quick brown fox jumps over the lazy dog.\n'.repeat(60));
  const csv = join(root, 'waves.csv');
  const rows = Array.from({ length: 300 }, (_, i) => `${i},${Math.sin(i / 5)}`);
  await writeFile(csv, ['day,y', ...rows].join('\n'));
  [text, series, feedForward] = ['text', 'series', 'feed-forward'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  const sizes = ['--hidden', '6', '--batch', '4', '--steps', '3'];
  const wave = ['--csv', csv, '--target', 'y', '--window', '10'];
  for (const args of [
    ['--text', fox, '--unroll', '8', '--layers', '2', '--cell', 'lstm', '--out', text],
    [...wave, '--cell', 'rnn', '--out', series],
    [...wave, '--network', 'feed-forward', '--out', feedForward],
  ]) {
    const { exitCode, err } = await run('train', ...args, ...sizes);
    expect(err).toBe('');
    expect(exitCode).toBe(0);
  }
});

afterAll(() => rm(root, { recursive: true, force: true }));

async function run(...args: string[]) {
  const stdout = new Collected();
  const stderr = new Collected();
  const exitCode = await runCommandLine([...args, '--backend', 'cpu'], COMMANDS, { stdout, stderr });
  return { exitCode, out: stdout.text, err: stderr.text };
}

describe('kronograd diagnose', () => {
  test('tells of a model of text, layer by layer', async () => {
    const { exitCode, out, err } = await run('diagnose', text);
    expect(err).toBe('');
    expect(exitCode).toBe(0);
    expect(out).toMatch(/text.*, 2 x 8 steps of .*fox\.txt: loss \d\.\d{4}/);
    for (const layer of [0, 1])
      expect(out).toMatch(
        new RegExp(
          `^layer ${layer} \\(lstm\\): error signals shrink by 0\\.\\d+ per step; after 7 steps`,
          'm',
        ),
      );
    expect(out).toMatch(/gates +i 0\.\d+, \d+ % shut, \d+ % open; f .*; o /);
    expect(out).toMatch(/carousel +no: at 0 % of the steps/);
    expect(out).not.toContain('vanishing if');
  });

  test('follows more steps of another text than a run has', async () => {
    const other = join(root, 'other.txt');
    await writeFile(other, 'the lazy dog. '.repeat(10));
    const { out } = await run('diagnose', text, '--text', other, '--steps', '40', '--samples', '3');
    expect(out).toMatch(/3 x 40 steps of .*other\.txt/);
    expect(out).toMatch(/after 39 steps/);
  });

  test('prints one JSON object, with all arrays', async () => {
    const { out } = await run('diagnose', series, '--json', '--samples', '3');
    const found = JSON.parse(out);
    expect(found).toMatchObject({ steps: 10, samples: 3, backend: 'cpu' });
    const [layer] = found.layers;
    expect(layer).toMatchObject({ name: 'layer 0', cell: 'rnn', stateSize: 6, isDense: true });
    expect(layer.steps.largest).toHaveLength(30);
    expect(layer.products.smallest).toHaveLength(30);
    expect(layer.errorSignals.loss).toHaveLength(30);
    expect(layer.byLag.errorSignal).toHaveLength(10);
    expect(layer.certificates.certificates.map(({ proves }: { proves: string }) => proves)).toEqual([
      'vanishing',
      'vanishing',
      'vanishing',
      'not exploding',
      'vanishing',
      'exploding',
    ]);
    expect(layer.certificates.stability).toHaveLength(6);
  });

  test('draws', async () => {
    const file = join(root, 'flow.svg');
    expect((await run('diagnose', series, '--plot', file)).exitCode).toBe(0);
    const svg = await readFile(file, 'utf8');
    expect(svg).toMatch(/^<svg .*<\/svg>\n$/s);
    expect(svg).toContain('layer 0: |dE/ds| of the last loss');
  });
});

describe('kronograd diagnose refuses', () => {
  test.each([
    ['a network without recurrent layers', () => [feedForward], 'OPTION', 'no recurrent layers'],
    ['other steps than sequences have', () => [series, '--steps', '50'], 'OPTION', 'have 10 steps, not 50'],
    [
      'more steps than there are characters',
      () => [text, '--steps', '3000'],
      'TEXT',
      'needs 6001 characters',
    ],
    [
      'a text for a model of sequences',
      () => [series, '--text', 'x.txt'],
      'OPTION',
      '--text does not go with',
    ],
    ['no steps', () => [text, '--steps', '0'], 'OPTION', '--steps cannot be'],
    ['a folder without a checkpoint', () => [join(root, 'none')], 'STORAGE', 'no such folder'],
    ['a plot in no folder', () => [series, '--plot', join(root, 'no', 'x.svg')], 'STORAGE', 'ENOENT'],
  ] as const)('%s', async (_, args, code, message) => {
    const { exitCode, err, out } = await run('diagnose', ...args());
    expect(exitCode).toBe(2);
    expect(err).toContain(`${code}: `);
    expect(err).toContain(message);
    expect(out).toBe('');
  });
});
