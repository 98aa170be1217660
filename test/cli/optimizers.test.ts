/** `kronograd train --optimizer` with optimizers of second order: what it prints, that it goes on, what it refuses. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { COMMANDS } from '../../src/cli/commands.js';
import { runCommandLine } from '../../src/cli/program.js';
import { loadCheckpoint } from '../../src/train/checkpoint-node.js';
import { Collected } from './collect.js';

let out: string;

beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), 'kronograd-optimizers-'));
});

afterEach(() => rm(out, { recursive: true, force: true }));

async function train(...args: string[]) {
  const stdout = new Collected();
  const stderr = new Collected();
  const all = ['train', ...args, '--backend', 'cpu', '--out', out];
  const exitCode = await runCommandLine(all, COMMANDS, { stdout, stderr });
  return { exitCode, out: stdout.text, err: stderr.text };
}

const SMALL = ['adding', '--window', '10', '--cell', 'rnn', '--hidden', '8', '--batch', '64'];

describe('adding', () => {
  test.each([
    [
      'hf',
      ['--damping', '0.2', '--structural-damping', '0.1', '--curvature-batch', '16', '--cg-iterations', '20'],
    ],
    ['lbfgs', []],
  ])('is trained by %s, stopped and resumed', async (optimizer, options) => {
    const first = await train(...SMALL, '--optimizer', optimizer, ...options, '--steps', '3');
    expect(first.err).toBe('');
    expect(first.exitCode).toBe(0);
    expect(first.out).toContain(`${optimizer} takes as many programs a step as it finds it needs`);
    const second = await train('--resume', '--steps', '5');
    expect(second.err).toBe('');
    expect(second.out).toContain('resumed  after step 3');
    const { checkpoint } = await loadCheckpoint(out);
    expect(checkpoint.position.step).toBe(5);
    expect(checkpoint.optimizer.name).toBe(optimizer);
  });

  test('as JSON, without figures that there are not', async () => {
    const { out: told } = await train(...SMALL, '--optimizer', 'lbfgs', '--steps', '2', '--json');
    const events = told
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const run = events.find(({ event }) => event === 'run')!;
    expect(run).toMatchObject({ steps: 2, batch: 64 });
    expect(run).not.toHaveProperty('dispatches');
    expect(events.filter(({ event }) => event === 'step').length).toBeGreaterThan(0);
  });
});

describe('an option that an optimizer does not look at is refused', () => {
  test.each([
    ['hf', '--lr', '0.1'],
    ['lbfgs', '--clip', '1'],
    ['lbfgs', '--schedule', 'constant'],
    ['adam', '--damping', '1'],
    ['lbfgs', '--structural-damping', '1'],
  ])('%s %s', async (optimizer, flag, value) => {
    const { exitCode, err } = await train(...SMALL, '--optimizer', optimizer, flag, value);
    expect(exitCode).not.toBe(0);
    expect(err).toContain(`${flag} means nothing to the optimizer ${optimizer}`);
  });

  test('in a file too, by its name, unless an option says another optimizer', async () => {
    const path = join(out, 'run.json');
    await writeFile(path, JSON.stringify({ preset: 'adding', window: 10, optimizer: 'hf', clip: 1 }));
    const refused = await train(path, '--steps', '1');
    expect(refused.exitCode).not.toBe(0);
    expect(refused.err).toContain(`${path}: clip means nothing to the optimizer hf`);
    const { err, exitCode } = await train(path, '--steps', '1', '--optimizer', 'sgd');
    expect({ err, exitCode }).toEqual({ err: '', exitCode: 0 });
  });

  test('dropout, which would be another function each time', async () => {
    const { err } = await train(...SMALL, '--layers', '2', '--dropout', '0.1', '--optimizer', 'hf');
    expect(err).toContain('--dropout does not go with the optimizer hf');
  });
});
