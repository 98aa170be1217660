/** `kronograd doctor` as a process, on machines with and without what it looks for. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cache, graphicsEnvironment, root } from '../../scripts/swiftshader.mjs';
import type { Examination } from '../../src/cli/examination.js';

/** A folder that finds the packages of this project, and one that finds none. */
let inside: string;
let outside: string;

beforeAll(async () => {
  mkdirSync(cache, { recursive: true });
  inside = mkdtempSync(join(cache, 'doctor-'));
  outside = mkdtempSync(join(tmpdir(), 'kronograd-doctor-'));
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: ['src/cli/main.ts'],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    target: 'es2022',
    external: ['webgpu'],
    loader: { '.wgsl': 'text' },
    // The packages within are CommonJS.
    banner: { js: "import { createRequire as r } from 'node:module'; const require = r(import.meta.url);" },
  });
  for (const folder of [inside, outside]) writeFileSync(join(folder, 'cli.mjs'), outputFiles[0]!.contents);
});

afterAll(() => {
  for (const folder of [inside, outside]) rmSync(folder, { recursive: true, force: true });
});

/** What it prints; rejects for every exit code but 0. On standard error the driver's loader may have its say. */
async function doctor(folder: string, env: NodeJS.ProcessEnv, ...options: string[]): Promise<string> {
  const args = [join(folder, 'cli.mjs'), 'doctor', ...options];
  return (await promisify(execFile)(process.execPath, args, { env })).stdout;
}

const examine = async (folder: string, env: NodeJS.ProcessEnv, ...options: string[]): Promise<Examination> =>
  JSON.parse(await doctor(folder, env, '--json', ...options));

describe('with an adapter', async () => {
  const { kind, env } = await graphicsEnvironment();

  test.skipIf(kind === 'none')('describes it, its limits and its costs', async () => {
    const { adapters, problem, dawn, backends } = await examine(inside, env);
    expect(problem).toBeNull();
    expect(dawn).toMatch(/^\d+\.\d+/);
    const [adapter] = adapters;
    expect(adapter?.limits.maxStorageBuffersPerShaderStage).toBeGreaterThanOrEqual(8);
    const { dispatch, pass, submit, readback } = adapter!.costs!;
    for (const cost of [dispatch, pass, submit, readback]) expect(cost).toBeGreaterThanOrEqual(0);
    expect(readback).toBeGreaterThan(0);
    expect(backends.auto.name).toBe(adapters.every((each) => each.isSoftware) ? 'cpu' : 'webgpu');
  });

  test.skipIf(kind === 'none')('says which toggles are on, and what subgroups can do', async () => {
    const { toggles } = await examine(inside, env);
    expect(toggles).toEqual(['disable_workgroup_init']);
    const text = await doctor(inside, env, '--unsafe-fast');
    const { adapters } = await examine(inside, env, '--unsafe-fast');
    for (const { subgroups, subgroupMatrices } of adapters) {
      if (subgroups !== null) expect(text).toMatch(/^ +subgroups of \d+( to \d+)?$/m);
      for (const { M, N, K } of subgroupMatrices) expect(text).toContain(`${M}x${N}x${K} `);
    }
    expect(text).toMatch(/toggles disable_workgroup_init, skip_validation, disable_robustness, /);
  });

  test.skipIf(kind === 'none')(
    'says where the tuning cache is, how large, and when it is no cache',
    async () => {
      const folder = join(outside, 'kronograd');
      mkdirSync(folder, { recursive: true });
      const path = join(folder, 'tuning.json');
      const own = { ...env, XDG_CACHE_HOME: outside };
      writeFileSync(path, JSON.stringify({ format: 'kronograd-tuning', version: 1, entries: { a: 'b' } }));
      expect((await examine(inside, own)).tuning).toEqual({ path, entries: 1, problem: null });
      writeFileSync(path, 'not JSON');
      expect(await doctor(inside, own)).toMatch(
        /^tuning .*tuning\.json, 0 entries\n.* is damaged: it is rebuilt$/m,
      );
    },
  );

  test.skipIf(kind === 'none')('says it in words, and which backend is chosen and why', async () => {
    const text = await doctor(inside, env);
    expect(text).toMatch(/^adapter {5}\w+/m);
    expect(text).toMatch(/^ {2}costs .*a dispatch .*, a pass .*, a submit .*, a readback \d/m);
    const software = text.includes('(a CPU that plays GPU)');
    expect(text).toMatch(software ? /^auto {8}cpu: CPU, .*thread/m : /^auto {8}webgpu: \w+/m);
    expect(text).toMatch(software ? /because .*is software/ : /because there is a GPU/);
  });
});

test.skipIf(process.platform !== 'linux')('without a driver it says what to install', async () => {
  const nothing = join(tmpdir(), 'no-driver.json');
  const env = { ...process.env, VK_DRIVER_FILES: nothing, VK_ICD_FILENAMES: nothing };
  const { adapters, problem, backends } = await examine(inside, env);
  expect(adapters).toEqual([]);
  expect(problem?.code).toBe('NO_ADAPTER');
  expect(problem?.fix).toContain('driver');
  expect(backends.auto.name).toBe('cpu');
  expect(await doctor(inside, env)).toMatch(
    /^adapter {5}none: .*\n {2}where .*\n {2}fix {7}install .*driver/m,
  );
});

test('without the npm package webgpu it says so', async () => {
  const { dawn, adapters, problem, backends } = await examine(outside, process.env);
  expect({ dawn, adapters }).toEqual({ dawn: null, adapters: [] });
  expect(problem?.code).toBe('NO_ADAPTER');
  expect(problem?.fix).toContain('npm install webgpu');
  expect(backends.auto.name).toBe('cpu');
  expect(await doctor(outside, process.env)).toContain('the npm package is not installed');
});
