/** `kronograd bench tune`, and who is tuned without being asked. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openWebGpu } from '../../src/backend/open-node.js';
import { tuningTable } from '../../src/bench/tune.js';
import { bench } from '../../src/cli/bench.js';
import { runCommandLine } from '../../src/cli/program.js';
import { Builder } from '../../src/program/builder.js';
import { float } from '../../src/program/program.js';
import { Collected } from '../cli/collect.js';
import { MemoryStore } from '../support/tuning.js';

let folder: string;
const before = process.env.XDG_CACHE_HOME;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kronograd-tune-'));
  process.env.XDG_CACHE_HOME = folder;
});
afterEach(() => {
  if (before === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before;
  rmSync(folder, { recursive: true, force: true });
});

async function run(...args: string[]) {
  const [stdout, stderr] = [new Collected(), new Collected()];
  const exitCode = await runCommandLine(['bench', ...args], [bench], { stdout, stderr });
  return { exitCode, out: stdout.lines, err: stderr.text };
}

describe('bench tune', () => {
  it('prints and keeps what it measured', async () => {
    const sizes = ['--batch', '2', '--unroll', '2', '--hidden', '8', '--vocab', '8'];
    const { exitCode, out, err } = await run('tune', '--cell', 'rnn', '--workload', 'T', ...sizes, '--json');
    expect([exitCode, err]).toEqual([0, '']);
    const results = out.map((line) => JSON.parse(line));
    for (const result of results) {
      expect(result).toMatchObject({ name: 'tune', work: 'rnn', workload: expect.any(String) });
      expect(result.best).toBeLessThanOrEqual(result.rule);
    }
    const { entries } = JSON.parse(readFileSync(join(folder, 'kronograd', 'tuning.json'), 'utf8'));
    const kept = Object.entries<string>(entries).map(([key, value]) => [key.split(' | ').at(-1), value]);
    expect(new Map(kept as [string, string][])).toEqual(
      new Map(results.map(({ what, choice }) => [what, choice])),
    );
    expect(kept.length).toBeGreaterThan(1);
  });

  it('is of GPUs', async () => {
    const { exitCode, err } = await run('tune', '--backend', 'cpu', '--workload', 'T');
    expect(exitCode).toBe(2);
    expect(err).toMatch(
      /OPTION: what is tuned are the kernels of a GPU\n.*\n {2}fix: {3}use --backend webgpu/,
    );
  });

  it('shows the rule’s time, the best, and their ratio', () => {
    const table = tuningTable([
      { what: 'x', rule: 6, best: 4, choice: 'another' },
      { what: 'y', rule: 5, best: 5, choice: 'the same' },
    ]);
    const cells = table.split('\n').map((row) =>
      row
        .split('|')
        .map((cell) => cell.trim())
        .filter(Boolean),
    );
    expect(cells.slice(2)).toEqual([
      ['x', '6.00', '4.00', '1.50x', 'another'],
      ['y', '5.00', '5.00', '1.00x', 'the rule'],
    ]);
  });
});

describe('what a command opens', () => {
  it('is tuned on a real GPU only', async () => {
    const store = new MemoryStore();
    using backend = await openWebGpu({ tuning: { store, milliseconds: 1000 } });
    const on = new Builder();
    const program = on.build({ c: on.gemm(on.input('a', float(64, 64)), on.input('b', float(64, 64))) });
    using _executable = await backend.compile(program);
    expect(store.entries.size > 0).toBe(!backend.device.adapter.isSoftware);
  });
});
