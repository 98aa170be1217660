import { spawn } from 'node:child_process';
import * as nodeFileSystem from 'node:fs/promises';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CHECKPOINT_FILES } from '../../src/train/checkpoint.js';
import { type FileSystem, loadCheckpoint, saveCheckpoint } from '../../src/train/checkpoint-node.js';
import { sampleCheckpoint } from './sample-checkpoint.js';

let root: string;
let run: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kronograd-checkpoint-'));
  run = join(root, 'runs', 'one');
});

afterEach(() => rm(root, { recursive: true, force: true }));

const stepOf = async (path: string) => (await loadCheckpoint(path)).checkpoint.position.step;

describe('saveCheckpoint and loadCheckpoint', () => {
  test('a run folder gives the newest, a checkpoint folder itself', async () => {
    const first = await saveCheckpoint(run, sampleCheckpoint(1));
    const second = await saveCheckpoint(run, sampleCheckpoint(2));
    expect(await loadCheckpoint(run)).toEqual({ checkpoint: sampleCheckpoint(2), folder: second });
    expect(await stepOf(first)).toBe(1);
  });

  test('two are kept, and no temporary folder', async () => {
    for (const step of [1, 2, 3, 4]) await saveCheckpoint(run, sampleCheckpoint(step));
    expect((await readdir(run)).sort()).toEqual(['last-000003-step-00000003', 'last-000004-step-00000004']);
  });

  test('the order of saving decides what is newest, not the step', async () => {
    await saveCheckpoint(run, sampleCheckpoint(5000));
    await saveCheckpoint(run, sampleCheckpoint(10));
    await saveCheckpoint(run, sampleCheckpoint(10));
    expect(await stepOf(run)).toBe(10);
  });

  test('the best one outlives later ones', async () => {
    await saveCheckpoint(run, sampleCheckpoint(1), { kind: 'best' });
    await saveCheckpoint(run, sampleCheckpoint(2), { kind: 'best' });
    for (const step of [2, 3, 4]) await saveCheckpoint(run, sampleCheckpoint(step));
    expect((await loadCheckpoint(run, { kind: 'best' })).checkpoint.position.step).toBe(2);
    expect(await stepOf(run)).toBe(4);
    expect((await readdir(run)).filter((name) => name.startsWith('best'))).toHaveLength(1);
  });

  test('what a killed process left behind is removed', async () => {
    await mkdir(join(run, '.tmp-1'), { recursive: true });
    await writeFile(join(run, '.tmp-1', 'weights.safetensors'), 'half');
    await saveCheckpoint(run, sampleCheckpoint(1));
    expect(await readdir(run)).toEqual(['last-000001-step-00000001']);
  });
});

describe('damage', () => {
  const damages: [string, (path: string) => Promise<void>][] = [
    ['truncated', (path) => truncate(path, 40)],
    ['empty', (path) => truncate(path, 0)],
    ['missing', (path) => rm(path)],
    [
      'bit-flipped',
      async (path) => {
        const bytes = await readFile(path);
        bytes[bytes.length - 12]! ^= 4;
        await writeFile(path, bytes);
      },
    ],
  ];
  const cases = CHECKPOINT_FILES.flatMap((file) =>
    damages.map(([name, damage]) => [name, file, damage] as const),
  );

  test.each(cases)('a %s %s: the one before is loaded, with a warning', async (_name, file, damage) => {
    const previous = await saveCheckpoint(run, sampleCheckpoint(1));
    const newest = await saveCheckpoint(run, sampleCheckpoint(2));
    await damage(join(newest, file));
    const loaded = await loadCheckpoint(run);
    expect(loaded.folder).toBe(previous);
    expect(loaded.checkpoint).toEqual(sampleCheckpoint(1));
    expect(loaded.warning).toContain(join(newest, file));
    await expect(loadCheckpoint(newest)).rejects.toMatchObject({
      code: 'CHECKPOINT',
      where: join(newest, file),
    });
  });

  test('when none is good, the newest one says why', async () => {
    for (const step of [1, 2]) {
      const folder = await saveCheckpoint(run, sampleCheckpoint(step));
      await truncate(join(folder, 'checkpoint.json'), 10);
    }
    await expect(loadCheckpoint(run)).rejects.toMatchObject({
      code: 'CHECKPOINT',
      where: join(run, 'last-000002-step-00000002', 'checkpoint.json'),
    });
  });

  test('nothing to load', async () => {
    await mkdir(run, { recursive: true });
    const storage = (message: string) => expect.objectContaining({ code: 'STORAGE', message });
    await expect(loadCheckpoint(run)).rejects.toThrow(storage('there is no checkpoint in this folder'));
    await expect(loadCheckpoint(join(run, 'x'))).rejects.toThrow(storage('there is no such folder'));
    await writeFile(join(run, 'file'), '');
    await expect(loadCheckpoint(join(run, 'file'))).rejects.toThrow(
      storage('a checkpoint is a folder, and this is a file'),
    );
  });
});

describe('a disk that refuses', () => {
  /** The real file system, except that the call number `failing` to change anything fails with `code`. */
  function failingAt(failing: number, code: string): FileSystem & { calls: number } {
    const fileSystem = { ...nodeFileSystem, calls: 0 };
    const attempt = () => {
      fileSystem.calls += 1;
      if (fileSystem.calls === failing) throw Object.assign(new Error(`${code}: injected`), { code });
    };
    fileSystem.mkdir = (async (...args: Parameters<typeof nodeFileSystem.mkdir>) => {
      attempt();
      return nodeFileSystem.mkdir(...args);
    }) as typeof nodeFileSystem.mkdir;
    fileSystem.rename = async (...args) => {
      attempt();
      return nodeFileSystem.rename(...args);
    };
    fileSystem.open = async (...args) => {
      attempt();
      const handle = await nodeFileSystem.open(...args);
      const writeWhole = handle.writeFile.bind(handle);
      handle.writeFile = async (data, options) => {
        await writeWhole((data as Uint8Array).subarray(0, 20), options); // a full disk takes a part first
        attempt();
        await handle.truncate(0);
        await handle.write(data as Uint8Array, 0, undefined, 0);
      };
      const sync = handle.sync.bind(handle);
      handle.sync = async () => {
        attempt();
        return sync();
      };
      return handle;
    };
    return fileSystem;
  }

  test('full at any point: a typed error, and the checkpoints saved before are as they were', async () => {
    await saveCheckpoint(run, sampleCheckpoint(1));
    await saveCheckpoint(run, sampleCheckpoint(2));
    const counting = failingAt(-1, '');
    await saveCheckpoint(join(root, 'elsewhere'), sampleCheckpoint(3), { fileSystem: counting });
    expect(counting.calls).toBeGreaterThan(10);

    for (let failing = 1; failing <= counting.calls; failing += 1) {
      const saving = saveCheckpoint(run, sampleCheckpoint(3), { fileSystem: failingAt(failing, 'ENOSPC') });
      await expect(saving).rejects.toMatchObject({
        code: 'STORAGE',
        message: 'the checkpoint was not saved: the disk is full',
        where: run,
      });
      const names = await readdir(run);
      expect(names.some((name) => name.startsWith('.tmp-'))).toBe(false);
      expect(names).toContain('last-000002-step-00000002');
      expect(await stepOf(run)).toBeGreaterThanOrEqual(2);
    }
  });

  test.each([
    ['EDQUOT', 'the disk is full'],
    ['EACCES', 'the folder is not writable'],
    ['EROFS', 'the folder is not writable'],
    ['EIO', 'the disk reports EIO'],
  ])('%s is put in words', async (code, words) => {
    const saving = saveCheckpoint(run, sampleCheckpoint(1), { fileSystem: failingAt(1, code) });
    await expect(saving).rejects.toMatchObject({
      code: 'STORAGE',
      message: `the checkpoint was not saved: ${words}`,
    });
  });

  test('a file where the folder should be', async () => {
    await writeFile(join(root, 'file'), 'precious');
    for (const path of [join(root, 'file'), join(root, 'file', 'run')]) {
      await expect(saveCheckpoint(path, sampleCheckpoint(1))).rejects.toMatchObject({
        code: 'STORAGE',
        message: 'the checkpoint was not saved: a part of this path is a file, not a folder',
      });
    }
    expect(await readFile(join(root, 'file'), 'utf8')).toBe('precious');
  });

  test.skipIf(process.getuid?.() === 0)(
    'a folder that may not be written to (root may write anywhere)',
    async () => {
      await mkdir(run, { recursive: true });
      await chmod(run, 0o500);
      await expect(saveCheckpoint(run, sampleCheckpoint(1))).rejects.toMatchObject({ code: 'STORAGE' });
      await chmod(run, 0o700);
    },
  );

  test('an old checkpoint that cannot be removed does not fail the save', async () => {
    const stubborn: FileSystem = {
      ...nodeFileSystem,
      rm: (path, options) =>
        String(path).includes('last-') ? Promise.reject(new Error('busy')) : nodeFileSystem.rm(path, options),
    };
    for (const step of [1, 2, 3]) await saveCheckpoint(run, sampleCheckpoint(step), { fileSystem: stubborn });
    expect(await stepOf(run)).toBe(3);
    await saveCheckpoint(run, sampleCheckpoint(4));
    expect(await readdir(run)).toHaveLength(2);
  });
});

describe('kill -9', () => {
  test('at any instant of saving leaves a checkpoint that loads, and none that was reported is lost', async () => {
    const script = join(root, 'save-forever.mjs');
    await build({
      entryPoints: [join(import.meta.dirname, 'save-forever.ts')],
      outfile: script,
      bundle: true,
      platform: 'node',
      format: 'esm',
      logLevel: 'error',
    });

    let lastStep = 0;
    for (let round = 0; round < 12; round += 1) {
      const child = spawn(process.execPath, [script, run, round === 0 ? 'start' : 'resume'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let reported = lastStep;
      let savesSeen = 0;
      const exited = new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
      child.stdout.on('data', (chunk: Buffer) => {
        const steps = chunk.toString().trim().split('\n').map(Number);
        reported = steps.at(-1)!;
        savesSeen += steps.length;
        // A different phase of the save in each round: a save takes some milliseconds.
        if (savesSeen >= 3) setTimeout(() => child.kill('SIGKILL'), round % 6);
      });
      expect(await exited).toBe('SIGKILL');
      const loaded = await loadCheckpoint(run);
      expect(loaded.warning).toBeUndefined();
      expect(loaded.checkpoint.position.step).toBeGreaterThanOrEqual(reported);
      expect(loaded.checkpoint).toEqual(sampleCheckpoint(loaded.checkpoint.position.step));
      lastStep = loaded.checkpoint.position.step;
    }
  }, 60_000);
});
