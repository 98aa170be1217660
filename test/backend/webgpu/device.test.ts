import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterEach, describe, expect, it } from 'vitest';
import { describeAdapter, requestAdapter, SUBGROUP_MATRIX } from '../../../src/backend/webgpu/adapter.js';
import { createDawnBackend, loadDawn } from '../../../src/backend/webgpu/dawn.js';
import { bytesOf } from '../../../src/backend/webgpu/device.js';
import { probe } from '../../../src/backend/webgpu/probe.js';
import { WebGpuBackend } from '../../../src/backend/webgpu/webgpu-backend.js';
import { float, int } from '../../../src/program/program.js';
import { withoutDawnWarnings } from '../../support/dawn-warnings.js';

const open: WebGpuBackend[] = [];
async function openBackend(): Promise<WebGpuBackend> {
  const backend = await createDawnBackend();
  open.push(backend);
  return backend;
}
afterEach(() => {
  for (const backend of open.splice(0)) backend[Symbol.dispose]();
});

const kernelStage = (buffer: number) => ({
  kind: 'pointwise' as const,
  shape: [4],
  scalars: [{ kind: 'constant' as const, value: 1 }],
  stores: [{ ref: { buffer, offset: 0, strides: [1], time: null }, value: 0 }],
});

describe('adapters', () => {
  it('describes the adapter and asks for all it has', async () => {
    const backend = await openBackend();
    const { adapter, gpu } = backend.device;
    expect(backend.description).not.toBe('');
    expect(adapter.limits.maxBufferSize).toBeGreaterThanOrEqual(2 ** 28);
    expect(gpu.limits.maxStorageBufferBindingSize).toBe(adapter.limits.maxStorageBufferBindingSize);
    expect(gpu.limits.maxStorageBuffersPerShaderStage).toBe(adapter.limits.maxStorageBuffersPerShaderStage);
    for (const feature of ['timestamp-query', 'subgroups', 'shader-f16'] as const)
      expect(gpu.features.has(feature)).toBe(adapter.features.includes(feature));
    const { halves, subgroups } = backend.device.kernelLimits;
    expect(halves).toBe(adapter.features.includes('shader-f16'));
    expect(subgroups !== null).toBe(adapter.features.includes('subgroups'));
    if (subgroups !== null) expect(subgroups.min).toBeLessThanOrEqual(subgroups.max);
  });

  it('says what to install where there is no WebGPU, and what to do without an adapter', async () => {
    await expect(WebGpuBackend.create(undefined)).rejects.toMatchObject({
      code: 'NO_ADAPTER',
      fix: expect.stringContaining('npm install webgpu'),
    });
    const empty = { requestAdapter: async () => null } as unknown as GPU;
    await expect(requestAdapter(empty)).rejects.toMatchObject({
      code: 'NO_ADAPTER',
      fix: expect.stringContaining('driver'),
    });
  });

  it('recognises an adapter that is a CPU', async () => {
    const adapter = (info: object) =>
      ({
        info: { vendor: '', architecture: '', device: '', description: '', ...info },
        features: new Set(),
        limits: {},
      }) as never;
    expect(describeAdapter(adapter({ architecture: 'swiftshader' })).isSoftware).toBe(true);
    expect(describeAdapter(adapter({ architecture: 'swiftshader' })).subgroups).toBe(null);
    expect(describeAdapter(adapter({ isFallbackAdapter: true })).isSoftware).toBe(true);
    expect(describeAdapter(adapter({ vendor: 'nvidia', architecture: 'ampere' })).isSoftware).toBe(false);
  });

  it('knows the sizes of subgroups and of their products, where the adapter tells them', () => {
    const product = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 };
    const info = { vendor: '', architecture: '', device: '', description: '', subgroupMinSize: 8 };
    const of = (info: object, ...features: string[]) =>
      describeAdapter({ info, features: new Set(features), limits: {} } as never);
    const full = { ...info, subgroupMaxSize: 32, subgroupMatrixConfigs: new Set([product]) };
    expect(of(full, 'subgroups', SUBGROUP_MATRIX)).toMatchObject({
      subgroups: { min: 8, max: 32 },
      subgroupMatrices: [product],
    });
    expect(of(full)).toMatchObject({ subgroups: null, subgroupMatrices: [] });
    expect(of(info, 'subgroups', SUBGROUP_MATRIX)).toMatchObject({ subgroups: null, subgroupMatrices: [] });
  });

  it('measures what its fixed costs are', async () => {
    const { device } = await openBackend();
    const costs = await probe(device);
    for (const [name, microseconds] of Object.entries(costs)) {
      expect(microseconds, name).toBeGreaterThanOrEqual(0);
      expect(microseconds, name).toBeLessThan(1e6);
    }
    expect(device.liveBuffers).toBe(0);
  });
});

describe('tensors', () => {
  it('hold floats and integers, written and read in order', async () => {
    const backend = await openBackend();
    using x = backend.tensor(float(2, 3));
    using n = backend.tensor(int(5));
    expect(await x.read()).toEqual(new Float32Array(6));
    x.write([1, 2, 3, 4, 5, 0.1]);
    n.write(Int32Array.of(-1, 2 ** 31 - 1, 0, 7, -(2 ** 31)));
    const first = x.read();
    x.write(Float64Array.of(6, 5, 4, 3, 2, 1));
    expect(await first).toEqual(Float32Array.of(1, 2, 3, 4, 5, 0.1));
    expect(await x.read()).toEqual(Float32Array.of(6, 5, 4, 3, 2, 1));
    expect(await n.read()).toEqual(Int32Array.of(-1, 2 ** 31 - 1, 0, 7, -(2 ** 31)));
    expect(() => x.write([1, 2])).toThrow(expect.objectContaining({ code: 'SHAPE' }));
  });

  it('give their memory back once, whatever happens', async () => {
    const backend = await openBackend();
    const { device } = backend;
    const x = backend.tensor(float(10));
    expect([device.liveBuffers, device.liveBytes]).toEqual([1, bytesOf(10)]);
    await x.read();
    expect(device.liveBuffers).toBe(1);
    x[Symbol.dispose]();
    x[Symbol.dispose]();
    expect([device.liveBuffers, device.liveBytes]).toEqual([0, 0]);
    expect(() => x.write(new Array(10).fill(0))).toThrow('after its disposal');
    await expect(x.read()).rejects.toThrow('after its disposal');
    expect(device.liveBuffers).toBe(0);
  });

  it('are refused beyond the limits, with the numbers', async () => {
    const backend = await openBackend();
    const limit = Math.min(
      backend.device.gpu.limits.maxBufferSize,
      backend.device.gpu.limits.maxStorageBufferBindingSize,
    );
    const elements = limit / 4 + 4;
    expect(() => backend.tensor(float(elements))).toThrow(
      expect.objectContaining({
        code: 'MEMORY',
        message: expect.stringMatching(new RegExp(`${elements * 4} bytes; one buffer can have ${limit}`)),
      }),
    );
    expect(backend.device.liveBuffers).toBe(0);
  });
});

describe('a lost device', () => {
  it('is reported by every later call', async () => {
    const backend = await openBackend();
    const x = backend.tensor(float(4));
    const schedule = {
      buffers: [
        { name: 'arena', dtype: 'float' as const, length: 4 },
        { name: 'x', dtype: 'float' as const, length: 4 },
      ],
      steps: [{ kind: 'stage' as const, label: 'x = 1', stage: kernelStage(1) }],
    };
    const executable = await backend.compileSchedule(schedule);
    executable.run({ x });
    await backend.finish();
    backend.device.gpu.destroy();
    await backend.device.gpu.lost;
    const lost = expect.objectContaining({ code: 'DEVICE_LOST' });
    for (let n = 0; n < 2; n++) {
      expect(() => executable.run({ x })).toThrow(lost);
      expect(() => x.write([1, 2, 3, 4])).toThrow(lost);
      expect(() => backend.tensor(float(1))).toThrow(lost);
      await expect(x.read()).rejects.toEqual(lost);
      await expect(backend.finish()).rejects.toEqual(lost);
      await expect(backend.compileSchedule(schedule)).rejects.toEqual(lost);
    }
  });

  it('fails a readback that is under way', async () => {
    const backend = await openBackend();
    const x = backend.tensor(float(4));
    const reading = x.read();
    backend.device.gpu.destroy();
    await expect(reading).rejects.toMatchObject({ code: 'DEVICE_LOST' });
  });

  it('is none after disposal, which can be repeated', async () => {
    const backend = await openBackend();
    backend[Symbol.dispose]();
    backend[Symbol.dispose]();
    await expect(backend.finish()).rejects.toThrow('after its disposal');
  });
});

describe('the process', () => {
  /** Runs a program that imports the backend; resolves to its exit code and output. */
  async function execute(body: string): Promise<{ code: number | null; output: string }> {
    const here = fileURLToPath(new URL('.', import.meta.url));
    const contents = `import { createDawnBackend } from '../../../src/backend/webgpu/dawn.ts';\n${body}`;
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: here, loader: 'ts' },
      ...{ bundle: true, write: false, platform: 'node', format: 'esm', target: 'es2022' },
      loader: { '.wgsl': 'text' },
      external: ['webgpu'],
    });
    const child = spawn(process.execPath, ['--input-type=module', '-'], { timeout: 30_000 });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      output += chunk;
    });
    child.stdin.end(outputFiles[0]!.text);
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, output: withoutDawnWarnings(output) };
  }

  const work = `
    const backend = await createDawnBackend();
    const x = backend.tensor({ dtype: 'float', shape: [4] });
    x.write([1, 2, 3, 4]);
    console.log((await x.read()).join());
    await backend.finish();`;

  it('ends by itself after disposal', async () => {
    const { code, output } = await execute(`${work} backend[Symbol.dispose](); console.log('end');`);
    expect({ code, output }).toEqual({ code: 0, output: '1,2,3,4\nend\n' });
  });

  it('ends by itself with the backend in use to the last', async () => {
    const { code, output } = await execute(`${work} globalThis.kept = backend; console.log('end');`);
    expect({ code, output }).toEqual({ code: 0, output: '1,2,3,4\nend\n' });
  });

  it('ends by itself after losing the device', async () => {
    const { code, output } = await execute(`${work} backend.device.gpu.destroy();
      await backend.device.gpu.lost; await backend.finish().catch((error) => console.log(error.code));`);
    expect({ code, output }).toEqual({ code: 0, output: '1,2,3,4\nDEVICE_LOST\n' });
  });
});

describe('loading Dawn', () => {
  it('gives a GPU object and the constants', async () => {
    const gpu = await loadDawn();
    expect(typeof gpu.requestAdapter).toBe('function');
    expect(GPUBufferUsage.STORAGE).toBe(128);
  });
});
