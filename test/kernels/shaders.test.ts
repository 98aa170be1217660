/** The shaders as they stand in the repository, and the templates they are. */
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fillTemplate, regionsOf } from '../../kernels/template.js';
import type { WebGpuBackend } from '../../src/backend/webgpu/webgpu-backend.js';
import { openBackend } from './gpu.js';

const folder = new URL('../../shaders/', import.meta.url);
const shaders = readdirSync(folder).filter((name) => name.endsWith('.wgsl'));

describe('shaders', () => {
  let backend: WebGpuBackend;
  beforeAll(async () => {
    backend = await openBackend();
  });
  afterAll(() => backend[Symbol.dispose]());

  it.for(shaders)('%s is valid by itself', async (name, { skip }) => {
    const code = readFileSync(new URL(name, folder), 'utf8');
    const { gpu } = backend.device;
    skip(code.includes('\nenable subgroups;') && !gpu.features.has('subgroups'), 'no subgroups here');
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
