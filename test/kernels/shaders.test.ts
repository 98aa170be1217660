/** The shaders as they stand in the repository, and the templates they are. */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fillTemplate, regionsOf } from '../../kernels/template.js';
import { SUBGROUP_MATRIX } from '../../src/backend/webgpu/adapter.js';
import type { WebGpuBackend } from '../../src/backend/webgpu/webgpu-backend.js';
import { openUnfinished } from './gpu.js';

const folder = new URL('../../shaders/', import.meta.url);
const shaders = readdirSync(folder).filter((name) => name.endsWith('.wgsl'));

/** What a device has to have for an extension of WGSL. */
const features: Readonly<Record<string, GPUFeatureName>> = {
  f16: 'shader-f16',
  subgroups: 'subgroups',
  chromium_experimental_subgroup_matrix: SUBGROUP_MATRIX,
};

describe('shaders', () => {
  let backend: WebGpuBackend;
  beforeAll(async () => {
    backend = await openUnfinished();
  });
  afterAll(() => backend[Symbol.dispose]());

  it.for(shaders)('%s is valid by itself', async (name, { skip }) => {
    const code = readFileSync(new URL(name, folder), 'utf8');
    const { gpu } = backend.device;
    const needed = [...code.matchAll(/^enable (\w+);/gm)].map(([, extension]) => features[extension!]!);
    const missing = needed.filter((feature) => !gpu.features.has(feature));
    skip(missing.length > 0, `${backend.description} has no ${missing.join(', ')}`);
    const module = gpu.createShaderModule({ code });
    const { messages } = await module.getCompilationInfo();
    expect(messages.map(({ message, lineNum }) => `${name}:${lineNum} ${message}`)).toEqual([]);
    if (!code.includes('@compute')) return;
    gpu.pushErrorScope('validation');
    gpu.createComputePipeline({ layout: 'auto', compute: { module } });
    expect(await gpu.popErrorScope()).toBeNull();
  });
});

describe('templates', () => {
  const source = 'a\n  //#begin one\n  x\n  //#end one\nb\n//#begin two\n//#end two\n';

  it('replaces regions at their indentation and drops the markers', () => {
    expect(fillTemplate(source, { one: ['p', '', '  q'], two: ['r'] })).toBe('a\n  p\n\n    q\nb\nr\n');
    expect([...regionsOf(source)]).toEqual([
      ['one', '  x\n'],
      ['two', ''],
    ]);
  });

  it('refuses a missing or an unknown region', () => {
    expect(() => fillTemplate(source, { one: [] })).toThrow("no text for the region 'two'");
    expect(() => fillTemplate(source, { one: [], two: [], three: [] })).toThrow("no region named 'three'");
  });
});
