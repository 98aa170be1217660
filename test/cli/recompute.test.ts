/** `kronograd train --recompute`, and what is said when it is turned on for want of memory. */
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
import { scarcity } from '../train/short-of-memory.js';
import { Collected } from './collect.js';

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kronograd-recompute-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function train(...args: string[]) {
  const [stdout, stderr] = [new Collected(), new Collected()];
  const exitCode = await runCommandLine(['train', ...args], COMMANDS, { stdout, stderr });
  expect({ exitCode, err: stderr.text }).toEqual({ exitCode: 0, err: '' });
  return stdout.text;
}

const TINY = ['--hidden', '8', '--batch', '4', '--backend', 'cpu', '--steps', '3'];

describe.each(['text', 'sequences'])('a run on %s', (kind) => {
  test('is told so, and its checkpoint keeps it', async () => {
    const out = join(root, kind);
    const text = join(root, 'fox.txt');
    await writeFile(text, FOX);
    const what = kind === 'text' ? ['--text', text, '--unroll', '16'] : ['adding', '--window', '16'];
    const told = await train(...what, ...TINY, '--recompute', '--out', out);
    expect(told).toMatch(/arena \S+ MiB, steps computed again/);
    expect((await loadCheckpoint(out)).checkpoint.config.recompute).toBe(true);
    const resumed = await train('--resume', '--out', out, '--backend', 'cpu', '--steps', '5');
    expect(resumed).toMatch(/arena \S+ MiB, steps computed again/);
  });
});

test.each([
  [[], undefined],
  [['--no-recompute'], false],
])('with the options %j the choice is %s', async (options, recompute) => {
  const [out, text] = [join(root, `plain${options.length}`), join(root, 'plain.txt')];
  await writeFile(text, FOX);
  const told = await train('--text', text, '--unroll', '16', ...TINY, ...options, '--out', out);
  expect(told).not.toContain('again');
  expect((await loadCheckpoint(out)).checkpoint.config.recompute).toBe(recompute);
});

test('a run that has no room to store its steps says that it computes them again', async () => {
  const { config, data } = await prepare({ layers: 2, batch: 2, unroll: 64, hidden: 16 });
  const { between } = scarcity(config, data);
  class Short extends Float32Backend {
    override readonly capacity = { buffer: between, total: 2 ** 32 };
  }
  const stream = new Collected();
  const progress = createProgress({ json: true, stream });
  using trainer = await beginTraining(new Short(), config, data, undefined, progress, () => {});
  expect(trainer.config.recompute).toBe(true);
  const [event] = stream.lines.map((line) => JSON.parse(line));
  expect(event).toMatchObject({
    event: 'recompute',
    message: expect.stringContaining('computes steps again'),
  });
});
