/** The cache of measurements on disk: kept, shared, and never in the way. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defaultTuningPath, TuningFile } from '../../../../src/backend/webgpu/tuning/file-store-node.js';

let folder: string;
let path: string;
let said: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kronograd-tuning-'));
  path = join(folder, 'cache', 'tuning.json');
  said = [];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = () => TuningFile.open({ path, warn: (message) => said.push(message) });
const put = (text: string) => {
  mkdirSync(join(folder, 'cache'), { recursive: true });
  writeFileSync(path, text);
};

describe('the file', () => {
  it('gives back what was set, in the next process too, and leaves nothing beside it', async () => {
    const file = await open();
    await Promise.all([file.set('a', '1'), file.set('b', '2'), file.set('a', '3')]);
    const again = await open();
    expect([await again.get('a'), await again.get('b'), await again.get('c')]).toEqual(['3', '2', undefined]);
    expect(again.size).toBe(2);
    expect(readdirSync(join(folder, 'cache'))).toEqual(['tuning.json']);
    expect(said).toEqual([]);
  });

  it('keeps what another process wrote meanwhile', async () => {
    const [one, other] = [await open(), await open()];
    await one.set('a', '1');
    await other.set('b', '2');
    const both = await open();
    expect([await both.get('a'), await both.get('b')]).toEqual(['1', '2']);
  });

  it.each([
    ['cut off', '{"format":"kronograd-tuning","version":1,"entr', /is damaged: it is rebuilt/],
    ['of something else', '{"name":"x"}', /is not one: it is rebuilt/],
    ['null', 'null', /is not one/],
    ['a later version', '{"format":"kronograd-tuning","version":2,"entries":{}}', /is of version 2, not 1/],
    ['of numbers', '{"format":"kronograd-tuning","version":1,"entries":{"a":1}}', /is damaged/],
  ])('%s is rebuilt, and it is said', async (_, text, message) => {
    put(text);
    const file = await open();
    expect(said).toEqual([expect.stringMatching(message)]);
    expect(said[0]).toContain(path);
    expect(file.size).toBe(0);
    await file.set('a', '1');
    expect(await (await open()).get('a')).toBe('1');
    expect(said).toHaveLength(1);
  });

  it('that cannot be written is known to the process all the same, and that is said once', async () => {
    writeFileSync(join(folder, 'cache'), 'a file where the folder should be');
    const file = await open();
    said.length = 0;
    await file.set('a', '1');
    await file.set('b', '2');
    expect(await file.get('b')).toBe('2');
    expect(said).toEqual([expect.stringMatching(/cannot be written .*known to this process only/)]);
    expect(readFileSync(join(folder, 'cache'), 'utf8')).toMatch(/^a file/);
  });
});

describe('its place', () => {
  it('is in the cache folder of the platform, or where the user says', () => {
    expect(defaultTuningPath('linux', { XDG_CACHE_HOME: '/c' })).toBe(join('/c', 'kronograd', 'tuning.json'));
    expect(defaultTuningPath('linux', {})).toMatch(/\.cache.kronograd.tuning\.json$/);
    expect(defaultTuningPath('darwin', {})).toMatch(/Library.Caches.kronograd.tuning\.json$/);
    expect(defaultTuningPath('win32', { LOCALAPPDATA: 'L' })).toBe(join('L', 'kronograd', 'tuning.json'));
  });
});
