/** `kronograd train` in a process of its own: what it prints, and what survives when it is killed. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDawnBackend } from '../../src/backend/webgpu/dawn.js';
import { CHECKPOINT_FILES } from '../../src/train/checkpoint.js';
import { buildCommand, start } from './process.js';

let command: string;
let removeCommand: () => Promise<void>;
let root: string;
let text: string;
/** The working folder of a test. Runs are saved into `run` in it, so that configurations agree between folders. */
let folder: string;

beforeAll(async () => {
  ({ command, remove: removeCommand } = await buildCommand());
  root = await mkdtemp(join(tmpdir(), 'kronograd-train-'));
  text = join(root, 'fox.txt');
  await writeFile(text, 'the quick brown fox jumps over the lazy dog.\n'.repeat(60));
});

afterAll(async () => {
  await removeCommand();
  await rm(root, { recursive: true, force: true });
});

beforeEach(async () => {
  folder = await mkdtemp(join(root, 'test-'));
});

const SMALL = [
  '--hidden',
  '16',
  '--layers',
  '2',
  '--batch',
  '4',
  '--unroll',
  '8',
  '--lr',
  '0.01',
  '--out',
  'run',
];

const train = (args: readonly string[], cwd = folder) => start(command, ['train', ...args], cwd);

const checkpointsOf = async (cwd: string): Promise<string[]> =>
  (await readdir(join(cwd, 'run')).catch(() => [])).filter((name) => name.startsWith('last-')).sort();

/** The files of the newest checkpoint. */
async function newest(cwd: string): Promise<Buffer[]> {
  const name = (await checkpointsOf(cwd)).at(-1)!;
  return Promise.all(CHECKPOINT_FILES.map((file) => readFile(join(cwd, 'run', name, file))));
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe('a run', () => {
  const args = (steps: number) => ['--text', text, ...SMALL, '--backend', 'cpu', '--steps', String(steps)];

  test('says what it trains and how well it went', async () => {
    const { exitCode, out, err } = await train(args(300)).ended;
    expect(err).toBe('');
    expect(exitCode).toBe(0);
    expect(out).toMatch(/^backend {2}CPU, WebAssembly/);
    expect(out).toMatch(/text .*fox\.txt: [\d,]+ characters to learn from, \d+ for validation, 29 different/);
    expect(out).toMatch(/model .*lstm, 2 x 16 units: [\d,]+ parameters/);
    expect(out).toMatch(
      /300 steps of 4 x 8 characters: \d+\.\d epochs; \d+ dispatches a step, arena \S+ MiB/,
    );
    expect(out).toMatch(/step 300\/300 {2}loss \S+ {2}\S+ bits\/char {2}\S+ tokens\/s {2}0:00 left/);
    expect(out).toMatch(/validation {2}loss \S+, \S+ bits\/char/);
    expect(out).toMatch(/bigram {6}\S+ bits\/char on the same text: (not )?beaten/);
    expect(out).toMatch(/checkpoint {2}run\/last-\d+-step-00000300\n$/);
  });

  test('--json prints an object a line', async () => {
    const { out } = await train([...args(20), '--json']).ended;
    const events = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string });
    const kinds = events.map(({ event }) => event);
    expect(new Set(kinds)).toEqual(
      new Set('backend text model run start step validation result baseline sample checkpoint'.split(' ')),
    );
    expect(kinds.filter((kind) => kind === 'step')).toHaveLength(20);
  });

  test('learns the text: far better than a bigram', async () => {
    const { out } = await train([...args(800), '--lr', '0.02', '--json']).ended;
    const events = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const { bitsPerCharacter } = events.find(({ event }) => event === 'result');
    const { bigramBitsPerCharacter, beaten } = events.find(({ event }) => event === 'baseline');
    expect(bitsPerCharacter).toBeLessThan(0.3);
    expect(bigramBitsPerCharacter).toBeGreaterThan(0.8);
    expect(beaten).toBe(true);
  });
});

describe.each([
  ['cpu', 400],
  ['webgpu', 60],
])('kill -9 on %s', (backend, steps) => {
  test('a resumed run ends with the bits of one that was never stopped', async () => {
    const args = ['--text', text, ...SMALL, '--backend', backend];
    const config = join(root, `${backend}.json`);
    await writeFile(config, JSON.stringify({ steps, saveEvery: 10, evaluateEvery: 25, dropout: 0.2 }));
    const whole = join(folder, 'whole');
    const killed = join(folder, 'killed');
    for (const cwd of [whole, killed]) await mkdir(cwd);
    expect((await train([config, ...args], whole).ended).exitCode).toBe(0);

    const last = `step-${String(steps).padStart(8, '0')}`;
    let kills = 0;
    for (const saves of [1, 2]) {
      const before = await checkpointsOf(killed);
      const first = before.length === 0;
      const running = train(first ? [config, ...args] : ['--resume', '--out', 'run'], killed);
      // Killed when it has saved once or twice, at whatever it does then.
      const isNew = (name: string) => !before.includes(name);
      let seen = new Set<string>();
      await until(async () => {
        seen = new Set([...seen, ...(await checkpointsOf(killed)).filter(isNew)]);
        return seen.size >= saves;
      });
      running.child.kill('SIGKILL');
      expect((await running.ended).signal).toBe('SIGKILL');
      expect((await checkpointsOf(killed)).at(-1)).not.toContain(last);
      kills += 1;
    }
    expect(kills).toBe(2);

    const resumed = await train(['--resume', '--out', 'run'], killed).ended;
    expect(resumed.err).toBe('');
    expect(resumed.out).toMatch(/resumed {2}after step \d+0 from run\/last-/);
    expect((await checkpointsOf(killed)).at(-1)).toContain(last);
    expect(await newest(killed)).toEqual(await newest(whole));
  }, 180_000);
});

describe('Ctrl-C', () => {
  test('stops after the step, saves, exits with 130, and the run can be resumed', async () => {
    const running = train(['--text', text, ...SMALL, '--backend', 'cpu', '--steps', '100000', '--json']);
    await until(async () => running.out().includes('"event":"step"'));
    running.child.kill('SIGINT');
    running.child.kill('SIGINT'); // as from a terminal through npm: the same key, twice
    const { exitCode, out, err } = await running.ended;
    expect(err).toBe('');
    expect(exitCode).toBe(130);
    const step = Number(
      /stopped after step (\d+); to continue: kronograd train --resume --out run/.exec(out)![1],
    );
    expect((await checkpointsOf(folder)).at(-1)).toContain(`step-${String(step).padStart(8, '0')}`);
    const resumed = await train(['--resume', '--out', 'run', '--steps', String(step + 5)]).ended;
    expect(resumed.out).toContain(`resumed  after step ${step} from run/last-`);
    expect(resumed.exitCode).toBe(0);
  });
});

describe('divergence', () => {
  test('exits with 2, says when and what to try, and harms nothing that was saved', async () => {
    const args = ['--text', text, ...SMALL, '--backend', 'cpu'];
    await train([...args, '--steps', '30']).ended;
    const before = await newest(folder);
    const { exitCode, err } = await train(['--resume', '--out', 'run', '--steps', '90', '--lr', '1e30'])
      .ended;
    expect(exitCode).toBe(2);
    expect(err).toMatch(/^DIVERGED: the loss became \S+ at step 32\n {2}where: step 32\n {2}fix: {3}lower/);
    expect(err).toContain('--lr, now 1e+30');
    expect(err).toContain('continue from the checkpoint of step 30');
    expect(err).not.toContain('    at ');
    expect(await newest(folder)).toEqual(before);
  });
});

test('without an adapter, webgpu is refused and auto takes the CPU', async () => {
  const env = { ...process.env, VK_DRIVER_FILES: '/nowhere.json', VK_ICD_FILENAMES: '/nowhere.json' };
  const args = ['train', '--text', text, ...SMALL, '--steps', '2'];
  const refused = await start(command, [...args, '--backend', 'webgpu'], folder, env).ended;
  expect(refused.exitCode).toBe(2);
  expect(refused.err).toMatch(/NO_ADAPTER: .*\n {2}where: .*\n {2}fix: /);
  const auto = await start(command, args, folder, env).ended;
  expect(auto.out).toMatch(/^backend {2}CPU.*\(no GPU can be used: WebGPU found no graphics adapter\)/);
  expect(auto.exitCode).toBe(0);
});

test('auto does not take a GPU that is a CPU', async ({ skip }) => {
  using backend = await createDawnBackend();
  skip(!backend.device.adapter.isSoftware, 'there is a real GPU here');
  const { out } = await train(['--text', text, ...SMALL, '--steps', '2']).ended;
  expect(out).toMatch(/^backend {2}CPU.*is software: the CPU is faster\)/);
});
