/** One stage on the GPU, beside the oracle. */
import { expect } from 'vitest';
import { generateKernel, type Kernel } from '../../kernels/index.js';
import type { Stage } from '../../kernels/stage.js';
import { createDawnBackend } from '../../src/backend/webgpu/dawn.js';
import type { Device } from '../../src/backend/webgpu/device.js';
import type { WebGpuBackend } from '../../src/backend/webgpu/webgpu-backend.js';
import { type Buffer, expected } from '../support/stages.js';

export * from '../support/stages.js';

/** A backend for a test file, to be disposed by it. */
export const openBackend = (): Promise<WebGpuBackend> => createDawnBackend();

/** Dispatches a kernel once over buffers with the given contents; resolves to all contents afterwards. */
export async function dispatch(
  backend: WebGpuBackend,
  kernel: Kernel,
  buffers: readonly Buffer[],
  t = 0,
): Promise<Float64Array[]> {
  const device: Device = backend.device;
  const { gpu } = device;
  const { pipeline, layout } = await backend.pipelines.get(kernel, 'a kernel under test');
  const tensors = buffers.map(({ dtype, length, data }) => {
    const tensor = backend.tensor({ dtype, shape: [length] });
    tensor.write(data);
    return tensor;
  });
  try {
    const entries: GPUBindGroupEntry[] = kernel.bindings.map(({ buffer }, binding) => ({
      binding,
      resource: { buffer: tensors[buffer]!.buffer },
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
    gpu.queue.submit([encoder.finish()]);
    return await Promise.all(tensors.map(async (tensor) => Float64Array.from(await tensor.read())));
  } finally {
    for (const tensor of tensors) tensor[Symbol.dispose]();
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
  buffers.forEach(({ name }, n) => {
    expectClose(actual[n]!, wanted[n]!, tolerance, `buffer ${name}`, scale);
  });
  return actual;
}
