/** What a user may get wrong with `train`, `sample` and `eval`: a code, a place, a fix, exit code 2, and no harm done. */
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { COMMANDS } from '../../src/cli/commands.js';
import { runCommandLine } from '../../src/cli/program.js';
import { CHECKPOINT_FILES } from '../../src/train/checkpoint.js';
import { Collected } from './collect.js';

let root: string;
let text: string;
/** A run's folder, with one checkpoint of each kind; each test has a copy of its own. */
let trained: string;
let folder: string;

const SMALL = ['--hidden', '8', '--batch', '2', '--unroll', '8', '--steps', '4', '--backend', 'cpu'];

async function kronograd(...args: string[]) {
  const stdout = new Collected();
  const stderr = new Collected();
  const exitCode = await runCommandLine(args, COMMANDS, { stdout, stderr });
  return { exitCode, out: stdout.text, err: stderr.text };
}

/** Runs the command and checks that it refuses in the one form that refusals have. */
async function refusal(...args: string[]): Promise<string> {
  const { exitCode, err } = await kronograd(...args);
  expect(err).toMatch(/^[A-Z_]+: .+\n {2}where: .+\n {2}fix: {3}.+\n$/);
  expect(exitCode).toBe(2);
  return err;
}

const file = async (name: string, content: string | Uint8Array): Promise<string> => {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
};

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kronograd-bad-input-'));
  text = join(root, 'fox.txt');
  await writeFile(text, 'the quick brown fox jumps over the lazy dog. '.repeat(10));
  trained = join(root, 'trained');
  expect((await kronograd('train', '--text', text, ...SMALL, '--out', trained)).exitCode).toBe(0);
});

afterAll(() => rm(root, { recursive: true, force: true }));

beforeEach(async () => {
  folder = await mkdtemp(join(root, 'test-'));
});

async function copyOfTrained(): Promise<{ run: string; checkpoint: string }> {
  const run = join(folder, 'run');
  await cp(trained, run, { recursive: true });
  const [last] = (await readdir(run)).filter((name) => name.startsWith('last-'));
  return { run, checkpoint: join(run, last!) };
}

describe('a text to train on', () => {
  test.each([
    ['empty', '', 'TEXT: the text is empty'],
    ['of one character', 'a', 'TEXT: the text has only one character'],
    ['binary', Uint8Array.of(97, 0, 98), 'TEXT: the file is binary: NUL at byte 1'],
    ['not UTF-8', Uint8Array.of(97, 98, 0xff, 99), 'TEXT: the file is not UTF-8: bad byte at 2'],
    ['too short to split', 'abc', 'TEXT: the text is too short'],
  ])('that is %s', async (_what, content, message) => {
    const path = await file('bad.txt', content);
    const err = await refusal('train', '--text', path, ...SMALL, '--out', join(folder, 'run'));
    expect(err).toContain(message);
    expect(await readdir(folder)).toEqual(['bad.txt']);
  });

  test('that is shorter than a batch: the largest that fits', async () => {
    const err = await refusal(
      'train',
      '--text',
      text,
      ...SMALL,
      '--batch',
      '100',
      '--out',
      join(folder, 'run'),
    );
    expect(err).toContain(
      'TEXT: one batch of 100 streams of 8 characters needs 801 characters, the text has 427',
    );
    expect(err).toContain('a batch of at most 53 at unroll 8');
  });

  test('that is not there', async () => {
    expect(await refusal('train', '--text', join(folder, 'none'), ...SMALL)).toMatch(/^STORAGE/);
  });
});

describe('an option of train', () => {
  test.each([
    [['--hiden', '8'], "OPTION: unknown option '--hiden'"],
    [['--cell', 'quantum'], 'OPTION: --cell cannot be "quantum"'],
    [['--cell', 'attention-rnn'], 'OPTION: attention-rnn is for sequences'],
    [['--hidden', '0'], 'OPTION: --hidden cannot be 0'],
    [['--hidden', '-1'], 'OPTION: --hidden cannot be -1'],
    [['--batch', 'NaN'], 'OPTION: --batch cannot be "NaN"'],
    [['--unroll', '1e99'], 'OPTION: --unroll cannot be 1e+99'],
    [['--lr', '0'], 'OPTION: --lr cannot be 0'],
    [['--seed', '1.5'], 'OPTION: --seed cannot be 1.5'],
    [['--backend', 'abacus'], 'OPTION: --backend cannot be "abacus"'],
    [['--epochs', '1'], 'OPTION: --steps and --epochs exclude each other'],
  ])('%j', async (args, message) => {
    const err = await refusal('train', '--text', text, ...SMALL, ...args, '--out', join(folder, 'run'));
    expect(err).toContain(message);
    expect(await readdir(folder)).toEqual([]);
  });

  test('a preset that there is not', async () => {
    expect(await refusal('train', 'war-and-peace', '--text', text)).toContain('OPTION: there is no preset');
  });

  test('a model too large for the device: the limit, and the largest that fits', async () => {
    const err = await refusal('train', '--text', text, ...SMALL, '--hidden', '32768', '--out', folder);
    expect(err).toMatch(/^MEMORY: .* 4096 MiB\n.*\n {2}fix: {3}use --hidden of at most about \d+\n$/);
    expect(await readdir(folder)).toEqual([]);
  });

  test('an --out that is a file', async () => {
    const out = await file('file', 'precious');
    expect(await refusal('train', '--text', text, ...SMALL, '--out', out)).toMatch(/^STORAGE/);
    expect(await readFile(out, 'utf8')).toBe('precious');
  });
});

describe('train --resume', () => {
  const resume = (run: string, ...args: string[]) => ['train', '--resume', '--out', run, ...args];

  test('from a folder without a checkpoint', async () => {
    expect(await refusal(...resume(folder))).toContain('STORAGE: there is no checkpoint in this folder');
    expect(await refusal(...resume(join(folder, 'none')))).toContain('STORAGE: there is no such folder');
  });

  test.each([
    ['--hidden', '9', 'hidden is 8 there, 9 here'],
    ['--layers', '2', 'layers is 1 there, 2 here'],
    ['--batch', '3', 'batch is 2 there, 3 here'],
    ['--seed', '9', 'seed is 1 there, 9 here'],
  ])('of another model: %s %s', async (option, value, message) => {
    const { run, checkpoint } = await copyOfTrained();
    const before = await readFile(join(checkpoint, 'checkpoint.json'));
    const err = await refusal(...resume(run, option, value, '--steps', '9'));
    expect(err).toMatch(/^CHECKPOINT/);
    expect(err).toContain(message);
    expect(await readFile(join(checkpoint, 'checkpoint.json'))).toEqual(before);
  });

  test('of another text', async () => {
    const { run } = await copyOfTrained();
    const other = await file('other.txt', 'pack my box with five dozen liquor jugs. '.repeat(10));
    const err = await refusal(...resume(run, '--text', other));
    expect(err).toContain('CHECKPOINT: the checkpoint is of another text');
  });

  test('whose text has moved', async () => {
    const moved = await file('moved.txt', await readFile(text));
    const run = join(folder, 'run');
    await kronograd('train', '--text', moved, ...SMALL, '--out', run);
    await rm(moved);
    expect(await refusal(...resume(run))).toContain(`where: ${moved}`);
    const again = await file('again.txt', await readFile(text));
    expect(await kronograd(...resume(run, '--text', again))).toMatchObject({ exitCode: 0 });
  });
});

const damages: [string, (checkpoint: string) => Promise<unknown>, RegExp][] = [
  [
    'truncated',
    (checkpoint) => truncate(join(checkpoint, 'weights.safetensors'), 99),
    /^CHECKPOINT: .*damaged/,
  ],
  ['without a file', (checkpoint) => rm(join(checkpoint, 'training.safetensors')), /^CHECKPOINT: .*missing/],
  [
    'bit-flipped',
    async (checkpoint) => {
      const path = join(checkpoint, 'weights.safetensors');
      const bytes = await readFile(path);
      bytes[bytes.length - 40]! ^= 1;
      await writeFile(path, bytes);
    },
    /^CHECKPOINT: .*SHA-256/,
  ],
  [
    'of another version',
    async (checkpoint) => {
      const path = join(checkpoint, 'checkpoint.json');
      await writeFile(path, (await readFile(path, 'utf8')).replace('"version": 1', '"version": 99'));
    },
    /^CHECKPOINT: the checkpoint has version 99/,
  ],
  [
    'of another program',
    (checkpoint) => writeFile(join(checkpoint, 'checkpoint.json'), '{"model": "gpt"}'),
    /^CHECKPOINT: this is not a Kronograd checkpoint/,
  ],
];

describe.each(damages)('a checkpoint that is %s', (_what, damage, message) => {
  test.each([['train --resume --out'], ['sample --backend cpu'], ['eval --backend cpu']])(
    '%s',
    async (command) => {
      const { run, checkpoint } = await copyOfTrained();
      await damage(checkpoint);
      expect(await refusal(...command.split(' '), run)).toMatch(message);
    },
  );
});

describe('sample', () => {
  test.each([
    [['--prompt', 'Ahab'], 'TEXT: character "A" (U+0041) at position 0'],
    [['--length', '0'], 'OPTION: --length cannot be 0'],
    [['--length', 'many'], 'OPTION: --length cannot be "many"'],
    [['--temperature', '0'], 'OPTION: --temperature cannot be 0'],
    [['--temperature', 'NaN'], 'OPTION: --temperature cannot be "NaN"'],
    [['--seed', '-1'], 'OPTION: --seed cannot be -1'],
    [['--backend', 'abacus'], 'OPTION: --backend cannot be "abacus"'],
  ])('%j', async (args, message) => {
    expect(await refusal('sample', trained, ...args)).toContain(message);
  });

  test('a path that is no checkpoint', async () => {
    expect(await refusal('sample', text)).toContain('STORAGE: a checkpoint is a folder, and this is a file');
    expect(await refusal('sample', join(folder, 'none'))).toContain('STORAGE: there is no such folder');
  });

  test('writes the prompt and as many characters as asked for', async () => {
    const args = ['sample', trained, '--prompt', 'the', '--length', '20', '--backend', 'cpu'];
    const { exitCode, out, err } = await kronograd(...args);
    expect({ exitCode, err }).toEqual({ exitCode: 0, err: '' });
    expect(out).toMatch(/^the.{20}\n$/);
    expect((await kronograd(...args)).out).toBe(out);
    expect((await kronograd(...args, '--seed', '2')).out).not.toBe(out);
  });

  test('falls back to the checkpoint before a damaged one, and says so', async () => {
    const { run, checkpoint } = await copyOfTrained();
    await cp(checkpoint, join(run, 'last-000009-step-00000009'), { recursive: true });
    await truncate(join(run, 'last-000009-step-00000009', CHECKPOINT_FILES[0]), 10);
    const { exitCode, err } = await kronograd('sample', run, '--length', '3', '--backend', 'cpu');
    expect(exitCode).toBe(0);
    expect(err).toContain('using the one before it');
  });
});

describe('eval', () => {
  test('measures the validation part of the text that was trained on', async () => {
    const { exitCode, out } = await kronograd('eval', trained, '--backend', 'cpu', '--json');
    expect(exitCode).toBe(0);
    const { loss, bitsPerCharacter, characters } = JSON.parse(out);
    expect(characters).toBe(23);
    expect(loss).toBeGreaterThan(2);
    expect(bitsPerCharacter).toBeCloseTo(loss / Math.LN2, 12);
  });

  test('gives the figure that training ended with', async () => {
    const { loss } = JSON.parse((await kronograd('eval', trained, '--backend', 'cpu', '--json')).out);
    const { run } = await copyOfTrained();
    const { out } = await kronograd('train', '--resume', '--out', run, '--json');
    const result = out.split('\n').find((line) => line.includes('"event":"result"'))!;
    expect(JSON.parse(result).validationLoss).toBe(loss);
  });

  test('a text with a character that the model does not know', async () => {
    const path = await file('other.txt', 'the whale, Ahab');
    const err = await refusal('eval', trained, '--text', path);
    expect(err).toContain('TEXT: character "," (U+002C) at position 9');
    expect(err).toContain(`where: ${path}`);
  });

  test.each([
    ['empty', ''],
    ['of one character', 't'],
  ])('a text that is %s', async (_what, content) => {
    expect(await refusal('eval', trained, '--text', await file('bad.txt', content))).toMatch(/^TEXT/);
  });

  test('a text of two characters is enough', async () => {
    const path = await file('two.txt', 'th');
    const { out } = await kronograd('eval', trained, '--text', path, '--backend', 'cpu');
    expect(out).toMatch(/bits\/char on 2 characters\n$/);
  });

  test('a training text that has changed', async () => {
    const own = join(folder, 'own.txt');
    await copyFile(text, own);
    const run = join(folder, 'run');
    await mkdir(run);
    await kronograd('train', '--text', own, ...SMALL, '--out', run);
    await writeFile(own, 'the quick brown fox');
    expect(await refusal('eval', run)).toContain(
      'TEXT: the text is not the one that the model was trained on',
    );
  });

  test('a model trained without a validation text', async () => {
    const run = join(folder, 'run');
    const config = await file('config.json', JSON.stringify({ validationFraction: 0, text }));
    await kronograd('train', config, ...SMALL, '--out', run);
    expect(await refusal('eval', run)).toContain('trained without a validation text');
  });
});
