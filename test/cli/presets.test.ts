import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadTrainingSetup } from '../../src/cli/presets.js';
import { addTrainOptions, type TrainOptions } from '../../src/cli/train-options.js';

const cpu = { gpu: false };
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kronograd-presets-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** The options that commander makes of arguments, as `train` gets them. */
function parsed(...args: string[]): TrainOptions {
  const command = addTrainOptions(new Command('train')).exitOverride();
  return command.parse(args, { from: 'user' }).opts<TrainOptions>();
}

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

describe('presets', () => {
  test('moby-dick brings its text', async () => {
    const { config, text, textFile } = await loadTrainingSetup('moby-dick', parsed(), cpu);
    expect(text).toContain('Call me Ishmael.');
    expect(textFile).toMatch(/data\.txt$/);
    expect(config).toMatchObject({ cell: 'lstm', backend: 'auto', out: 'runs/moby-dick' });
  });

  test('is larger on a GPU', async () => {
    const small = await loadTrainingSetup('moby-dick', {}, cpu);
    const large = await loadTrainingSetup('moby-dick', {}, { gpu: true });
    expect(large.config.hidden).toBeGreaterThan(small.config.hidden);
  });

  test('has no dropout for optimizers that cannot do with it, unless that is asked for', async () => {
    const gpu = { gpu: true };
    expect((await loadTrainingSetup('moby-dick', parsed(), gpu)).config.dropout).toBeGreaterThan(0);
    expect((await loadTrainingSetup('moby-dick', parsed('--optimizer', 'hf'), gpu)).config.dropout).toBe(0);
    const both = parsed('--optimizer', 'hf', '--dropout', '0.1');
    await expect(loadTrainingSetup('moby-dick', both, gpu)).rejects.toMatchObject({
      where: '--dropout, --optimizer',
    });
  });

  test('options are laid over it', async () => {
    const text = await file('own.txt', 'abc');
    const options = parsed(
      '--hidden',
      '64',
      '--epochs',
      '2',
      '--lr',
      '1e-3',
      '--text',
      text,
      '--resume',
      '--json',
    );
    const setup = await loadTrainingSetup('moby-dick', options, cpu);
    expect(setup).toMatchObject({ text: 'abc', config: { hidden: 64, epochs: 2, lr: 0.001, layers: 1 } });
    expect(setup.config.steps).toBeUndefined();
    expect(setup.config).not.toHaveProperty('json');
  });

  test.each([
    ['--hidden', '0', '--hidden cannot be 0'],
    ['--batch', '-3', '--batch cannot be -3'],
    ['--layers', '1.5', '--layers cannot be 1.5'],
    ['--hidden', '1e9', '--hidden cannot be 1000000000'],
    ['--lr', '0', '--lr cannot be 0'],
    ['--cell', 'gru2', '--cell cannot be "gru2"'],
    ['--backend', 'cuda', '--backend cannot be "cuda"'],
    ['--optimizer', 'adagrad', '--optimizer cannot be "adagrad"'],
    ['--schedule', 'linear', '--schedule cannot be "linear"'],
    ['--dropout', '1', '--dropout cannot be 1'],
    ['--clip-value', '-1', '--clip-value cannot be -1'],
    ['--weight-decay', '2', '--weight-decay cannot be 2'],
  ])('%s %s is refused by name', async (flag, value, message) => {
    await expect(loadTrainingSetup('moby-dick', parsed(flag, value), cpu)).rejects.toMatchObject({
      code: 'OPTION',
      message,
      where: flag,
    });
  });

  test.each(['NaN', 'Infinity', 'many', ''])('--steps "%s" is refused when it is parsed', (value) => {
    expect(() => parsed('--steps', value)).toThrow(
      expect.objectContaining({ code: 'OPTION', where: '--steps' }),
    );
  });

  test('an unknown preset is refused with the known ones', async () => {
    await expect(loadTrainingSetup('moby', {}, cpu)).rejects.toMatchObject({
      code: 'OPTION',
      message: 'there is no preset "moby"',
      fix: 'give one of moby-dick, births, weather, occupancy, digits, adding, copy-memory, temporal-order, parity, or a file that ends in .json',
    });
    await expect(loadTrainingSetup('constructor', {}, cpu)).rejects.toMatchObject({ code: 'OPTION' });
  });
});

describe('a config file', () => {
  test('names its text relative to itself, and options win', async () => {
    await file('book.txt', 'a book');
    const config = await file('config.json', '{"hidden": 32, "epochs": 3, "text": "book.txt"}');
    const setup = await loadTrainingSetup(config, parsed('--steps', '5'), cpu);
    expect(setup).toMatchObject({ text: 'a book', config: { hidden: 32, steps: 5 } });
    expect(setup.config.epochs).toBeUndefined();
  });

  test('without a text and without --text is refused', async () => {
    const config = await file('textless.json', '{}');
    await expect(loadTrainingSetup(config, {}, cpu)).rejects.toMatchObject({
      code: 'OPTION',
      message: 'there is no text to learn from',
    });
  });

  test.each([
    ['unknown-keys.json', '{"hiden": 32, "layer": 1}', 'unknown keys "hiden", "layer"'],
    ['bad-value.json', '{"hidden": "32"}', 'hidden cannot be "32"'],
    ['nan.json', '{"lr": null}', 'lr cannot be null'],
    ['list.json', '[]', 'not a JSON object'],
    ['syntax.json', '{"hidden": }', 'this is not a configuration'],
    ['text.json', '{"text": 1}', 'text cannot be 1'],
  ])('%s is refused and named', async (name, content, message) => {
    const path = await file(name, content);
    await expect(loadTrainingSetup(path, {}, cpu)).rejects.toMatchObject({
      code: 'OPTION',
      message: expect.stringContaining(message),
      where: expect.stringContaining(name),
    });
  });

  test('that cannot be read is refused', async () => {
    const missing = join(folder, 'missing.json');
    await expect(loadTrainingSetup(missing, {}, cpu)).rejects.toMatchObject({
      code: 'STORAGE',
      message: 'there is no such file',
      where: missing,
    });
    const directory = join(folder, 'directory.json');
    await mkdir(directory);
    await expect(loadTrainingSetup(directory, {}, cpu)).rejects.toMatchObject({
      code: 'STORAGE',
      message: 'this is a folder, not a file',
    });
  });

  test('a text that cannot be used is refused', async () => {
    const options = { text: await file('binary.txt', 'a\0b') };
    await expect(loadTrainingSetup('moby-dick', options, cpu)).rejects.toMatchObject({ code: 'TEXT' });
    const missing = { text: join(folder, 'none.txt') };
    await expect(loadTrainingSetup('moby-dick', missing, cpu)).rejects.toMatchObject({ code: 'STORAGE' });
  });
});
