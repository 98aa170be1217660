/** One stage on the GPU, beside the oracle. */
import { expect } from 'vitest';
import { matrixKernels } from '../../kernels/gemm_matrix.js';
import { generateKernel, type Kernel } from '../../kernels/index.js';
import type { Stage } from '../../kernels/stage.js';
import { createDawnBackend, dawnToggles, loadDawn } from '../../src/backend/webgpu/dawn.js';
import type { Device } from '../../src/backend/webgpu/device.js';
import { WebGpuBackend } from '../../src/backend/webgpu/webgpu-backend.js';
import { bitsOfHalf, halfOfBits } from '../../src/program/half.js';
import { type Buffer, expected } from '../support/stages.js';

export * from '../support/stages.js';

/** A backend for a test file, to be disposed by it. */
export const openBackend = (): Promise<WebGpuBackend> => createDawnBackend();

/** Kept for as long as the process lives: Dawn's objects must not outlive it. */
let unfinished: GPU | undefined;

/** One with the APIs that are not finished, and with all checks. */
export async function openUnfinished(): Promise<WebGpuBackend> {
  await loadDawn(); // the constants of WebGPU
  const { create } = await import('webgpu');
  unfinished ??= create([`enable-dawn-features=${[...dawnToggles(), 'allow_unsafe_apis'].join()}`]);
  return WebGpuBackend.create(unfinished, { matrixKernels });
}

/** How the numbers of a buffer lie in memory: halves in 2 bytes where shaders know them. */
function encode({ dtype, data }: Buffer, device: Device): Int32Array | Float32Array | Uint16Array {
  if (dtype === 'int') return Int32Array.from(data);
  if (dtype === 'float' || !device.kernelLimits.halves) return Float32Array.from(data);
  return Uint16Array.from(data, bitsOfHalf);
}

function decode({ dtype, length }: Buffer, bytes: ArrayBuffer, device: Device): Float64Array {
  if (dtype === 'int') return Float64Array.from(new Int32Array(bytes, 0, length));
  if (dtype === 'float' || !device.kernelLimits.halves)
    return Float64Array.from(new Float32Array(bytes, 0, length));
  return Float64Array.from(new Uint16Array(bytes, 0, length), halfOfBits);
}

/** Dispatches a kernel once over buffers with the given contents; resolves to all contents afterwards. */
export async function dispatch(
  { device, pipelines }: WebGpuBackend,
  kernel: Kernel,
  buffers: readonly Buffer[],
  t = 0,
): Promise<Float64Array[]> {
  const { gpu } = device;
  const { pipeline, layout } = await pipelines.get(kernel, 'a kernel under test');
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const memory = buffers.map((buffer) => {
    const contents = encode(buffer, device);
    // A multiple of 16, to be bound as vectors.
    const size = Math.max(16, Math.ceil(contents.byteLength / 16) * 16);
    const bytes = new Uint8Array(size);
    bytes.set(new Uint8Array(contents.buffer));
    const storage = gpu.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
    gpu.queue.writeBuffer(storage, 0, bytes);
    return { storage, readback: gpu.createBuffer({ size, usage: COPY_DST | MAP_READ }) };
  });
  try {
    const entries: GPUBindGroupEntry[] = kernel.bindings.map(({ buffer }, binding) => ({
      binding,
      resource: { buffer: memory[buffer]!.storage },
    }));
    if (kernel.usesTime)
      entries.push({ binding: entries.length, resource: { buffer: device.times(t + 1), size: 4 } });
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    const offsets = kernel.usesTime ? [t * device.timeStride] : [];
    pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }), offsets);
    pass.dispatchWorkgroups(...kernel.workgroups);
    pass.end();
    for (const { storage, readback } of memory)
      encoder.copyBufferToBuffer(storage, 0, readback, 0, storage.size);
    gpu.queue.submit([encoder.finish()]);
    const contents = await Promise.all(
      memory.map(async ({ readback }, n) => {
        await readback.mapAsync(GPUMapMode.READ);
        return decode(buffers[n]!, readback.getMappedRange(), device);
      }),
    );
    device.check();
    return contents;
  } finally {
    for (const { storage, readback } of memory) {
      storage.destroy();
      readback.destroy();
    }
  }
}

/**
 * Equal within `tolerance` of the expected values' scale, NaN with NaN; says where the difference is largest.
 * @param scale what the tolerance is relative to; by default the largest finite |expected|.
 */
export function expectClose(
  actual: ArrayLike<number>,
  wanted: ArrayLike<number>,
  tolerance: number,
  what = 'values',
  scale?: number,
): void {
  expect(actual.length, `${what}: length`).toBe(wanted.length);
  const sizes = Array.from(wanted, Math.abs).filter(Number.isFinite);
  const unit = scale ?? sizes.reduce((largest, size) => Math.max(largest, size), 0);
  let worst = 0;
  let where = 0;
  for (let n = 0; n < wanted.length; n++) {
    if (Object.is(actual[n], wanted[n])) continue;
    const difference = Math.abs(actual[n]! - wanted[n]!);
    if (!(difference <= worst)) {
      worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
      where = n;
    }
  }
  const message = `${what}: largest difference ${worst} at ${where} (${actual[where]} for ${wanted[where]}), allowed ${tolerance} of ${unit}`;
  expect(worst, message).toBeLessThanOrEqual(tolerance * unit);
}

/** A unit in the last place of the largest: what a half may be off that was not rounded before it was stored. */
const UNROUNDED = 2 ** -10;

/** Runs a stage on the GPU and compares every buffer with the oracle. */
export async function check(
  backend: WebGpuBackend,
  stage: Stage,
  buffers: readonly Buffer[],
  options: { tolerance: number; t?: number; scale?: number; kernel?: Kernel },
): Promise<Float64Array[]> {
  const { tolerance, t = 0, scale } = options;
  const kernel = options.kernel ?? generateKernel(stage, buffers, backend.device.kernelLimits);
  const actual = await dispatch(backend, kernel, buffers, t);
  const wanted = expected(stage, buffers, t);
  buffers.forEach(({ name, dtype }, n) => {
    const allowed = dtype === 'half' ? Math.max(tolerance, UNROUNDED) : tolerance;
    expectClose(actual[n]!, wanted[n]!, allowed, `buffer ${name}`, scale);
  });
  return actual;
}
