/** `kronograd train --precision mixed`: what is said, what is kept, and what does not go with it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { beginTraining } from '../../src/cli/begin-training.js';
import { COMMANDS } from '../../src/cli/commands.js';
import { runCommandLine } from '../../src/cli/program.js';
import { createProgress } from '../../src/cli/progress.js';
import { loadCheckpoint } from '../../src/train/checkpoint-node.js';
import { FOX, prepare } from '../train/setup.js';
import { Collected } from './collect.js';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kronograd-mixed-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function run(...args: string[]) {
  const [stdout, stderr] = [new Collected(), new Collected()];
  const exitCode = await runCommandLine(args, COMMANDS, { stdout, stderr });
  return { exitCode, out: stdout.text, err: stderr.text };
}

async function train(...args: string[]) {
  const { exitCode, out, err } = await run('train', ...args);
  expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
  return out;
}

const TINY = ['--hidden', '8', '--batch', '4', '--backend', 'cpu', '--steps', '3'];
const WIDE = 'halves   have 4 bytes here, without shader-f16';

describe.each(['text', 'sequences'])('a run on %s', (kind) => {
  test('tells its scale, and goes on so', async () => {
    const out = join(root, kind);
    const text = join(root, 'fox.txt');
    await writeFile(text, FOX);
    const what = kind === 'text' ? ['--text', text, '--unroll', '16'] : ['adding', '--window', '16'];
    const told = await train(...what, ...TINY, '--precision', 'mixed', '--out', out);
    expect(told).toContain('scale 2^16');
    expect(told.split(WIDE)).toHaveLength(2);
    const { checkpoint } = await loadCheckpoint(out);
    expect(checkpoint.config.precision).toBe('mixed');
    expect(Array.from(checkpoint.optimizer.tensors.get('scaling')!.data)).toEqual([2 ** 16, 3, 3, 0]);

    const resumed = await train('--resume', '--out', out, '--backend', 'cpu', '--steps', '5', '--json');
    const events = resumed
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const steps = events.filter(({ event }) => event === 'step');
    expect(steps.map(({ step }) => step)).toEqual([4, 5]);
    for (const step of steps) expect(step).toMatchObject({ lossScale: 2 ** 16, skippedSteps: 0 });
    expect(events.filter(({ event }) => event === 'wideHalves')).toHaveLength(1);
  });
});

test('a run in float32 says nothing of scales', async () => {
  const text = join(root, 'plain.txt');
  await writeFile(text, FOX);
  const told = await train('--text', text, '--unroll', '16', ...TINY, '--out', join(root, 'plain'));
  expect(told).not.toMatch(/scale|halves/);
});

test('where halves have 2 bytes, nothing needs to be said', async () => {
  const { config, data } = await prepare({ precision: 'mixed' });
  class Narrow extends Float32Backend {
    override readonly halves = true;
  }
  const stdout = new Collected();
  const progress = createProgress({ stream: stdout });
  using trainer = await beginTraining(new Narrow(), config, data, undefined, progress, () => {});
  expect(trainer.config.precision).toBe('mixed');
  expect(stdout.text).toBe('');
});

test.each([
  [['--precision', 'half'], 'float32, mixed'],
  [['--precision', 'mixed', '--optimizer', 'hf'], 'use an optimizer of first order'],
])('%j is refused', async (options, fix) => {
  const { exitCode, err } = await run('train', 'adding', ...TINY, ...options, '--out', join(root, 'refused'));
  expect(exitCode).not.toBe(0);
  expect(err).toContain('--precision');
  expect(err).toContain(fix);
});
