/** Config files of runs on sequences: what they say, what options change, and what is refused, by the file's name. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COMMANDS } from '../../src/cli/commands.js';
import { loadTrainingSetup } from '../../src/cli/presets.js';
import { runCommandLine } from '../../src/cli/program.js';
import { setUpSequences } from '../../src/cli/sequence-setup.js';
import { Collected } from './collect.js';

let root: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'kronograd-config-'));
  const rows = Array.from({ length: 200 }, (_, i) => `${i},${Math.sin(i / 5)},${Math.cos(i / 3)}`);
  await writeFile(join(root, 'waves.csv'), ['day,y,z', ...rows].join('\n'));
});

afterAll(() => rm(root, { recursive: true, force: true }));

async function file(content: object | string, name = 'run.json'): Promise<string> {
  const path = join(root, name);
  await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

const wave = { csv: 'waves.csv', target: 'y', features: ['y', 'z'], window: 7, horizon: 2, period: 31 };

describe('a config file of sequences', () => {
  test('forecasts a CSV file beside it', async () => {
    const path = await file({ ...wave, cell: 'lstm', hidden: 9, epochs: 2, groups: [{ match: 'head.*' }] });
    const setup = await setUpSequences(path, {});
    expect(setup!.spec).toEqual({ kind: 'csv', ...wave, csv: undefined, file: join(root, 'waves.csv') });
    expect(setup!.config).toMatchObject({
      cell: 'lstm',
      hidden: 9,
      epochs: 2,
      groups: [{ match: 'head.*' }],
    });
    expect(setup!.config.steps).toBeUndefined();
  });

  test('is a preset with changes, and options win', async () => {
    const content = {
      preset: 'parity',
      window: 12,
      hidden: 9,
      segmentLength: [2, 10],
      cell: 'lstm',
      lr: 0.5,
    };
    const setup = await setUpSequences(await file(content), { hidden: 5, window: 14, steps: 3 });
    expect(setup!.spec).toEqual({ kind: 'parity', window: 14 });
    expect(setup!.config).toMatchObject({
      hidden: 5,
      cell: 'lstm',
      lr: 0.5,
      segmentLength: [2, 10],
      steps: 3,
    });
    // From the preset.
    expect(setup!.config).toMatchObject({ batch: 32, out: 'runs/parity' });
  });

  test('one column may stand alone, with spaces around it', async () => {
    const setup = await setUpSequences(await file({ ...wave, features: ' z ' }), {});
    expect(setup!.spec).toMatchObject({ features: ['z'] });
  });

  test('of text is for text, with a preset or without', async () => {
    await file('to be or not to be', 'hamlet.txt');
    const path = await file({ preset: 'moby-dick', text: 'hamlet.txt', hidden: 3 });
    expect(await setUpSequences(path, {})).toBeNull();
    const setup = await loadTrainingSetup(path, {}, { gpu: false });
    expect(setup).toMatchObject({ text: 'to be or not to be', config: { hidden: 3, lr: 0.02 } });
  });

  test('trains from the command line', async () => {
    const path = await file({ ...wave, steps: 3, hidden: 4, out: join(root, 'run') });
    const [stdout, stderr] = [new Collected(), new Collected()];
    const exitCode = await runCommandLine(['train', path, '--backend', 'cpu'], COMMANDS, { stdout, stderr });
    expect(stderr.text).toBe('');
    expect(exitCode).toBe(0);
    expect(stdout.text).toMatch(/data .*waves\.csv, y: 7 steps of 2 features in, 2 ahead out/);
    expect(stdout.text).toMatch(/baseline {4}seasonal-naive/);
  });

  test.each<[string, object, string, string]>([
    ['an unknown key', { ...wave, hiden: 3 }, 'unknown key "hiden"', 'hiden'],
    ['a key of runs on text', { ...wave, unroll: 3 }, 'unknown key "unroll"', 'unroll'],
    ['a bad value', { ...wave, hidden: '3' }, 'hidden cannot be "3"', 'hidden'],
    ['a bad window', { ...wave, window: 0 }, 'window cannot be 0', 'window'],
    ['a window that is no number', { ...wave, window: '7' }, 'window cannot be "7"', 'window'],
    ['no target', { csv: 'waves.csv' }, 'target cannot be undefined', 'target'],
    ['a CSV file that is no name', { ...wave, csv: 1 }, 'csv cannot be 1', 'csv'],
    ['features that are no names', { ...wave, features: [1] }, 'features cannot be 1', 'features'],
    ['no features', { ...wave, features: [] }, 'features cannot be []', 'features'],
    ['a preset that is no name', { preset: 3 }, 'preset cannot be 3', 'preset'],
    ['a text beside a CSV file', { ...wave, text: 'a.txt' }, 'text is for runs on text', 'text'],
    ['a preset beside a CSV file', { ...wave, preset: 'births' }, 'exclude each other', 'csv'],
    ['a window without sequences', { text: 'a.txt', window: 3 }, 'window is for --csv', 'window'],
    ['a horizon of a task', { preset: 'parity', horizon: 3 }, 'horizon is for forecasts', 'horizon'],
    ['an empty list of segments', { preset: 'parity', segmentLength: [] }, 'cannot be []', 'segmentLength'],
  ])('%s is refused', async (_, content, message, key) => {
    const path = await file(content, 'bad.json');
    await expect(setUpSequences(path, {})).rejects.toMatchObject({
      code: 'OPTION',
      message: expect.stringContaining(message),
      where: expect.stringContaining(`bad.json: ${key}`),
    });
  });

  test('an unknown preset is refused with the known ones', async () => {
    const path = await file({ preset: 'birth' }, 'bad.json');
    expect(await setUpSequences(path, {})).toBeNull();
    await expect(loadTrainingSetup(path, {}, { gpu: false })).rejects.toMatchObject({
      code: 'OPTION',
      where: `${path}: preset`,
      fix: expect.stringContaining('moby-dick, births'),
    });
  });
});
