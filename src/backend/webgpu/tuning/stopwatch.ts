/** How long dispatches take on a device, over scratch memory: what they compute is thrown away. */
import type { Kernel } from '../../../../kernels/kernel.js';
import { type BufferSpec, bytesEach } from '../../../../kernels/stage.js';
import { bytesOf, type Device } from '../device.js';
import { Pipelines } from '../pipelines.js';
import { hasTimestamps, readTimestamps } from '../timestamps.js';
import type { Timer } from './race.js';

/** One dispatch to time. */
export interface Dispatch {
  readonly kernel: Kernel;
  /** What its uniform says, of a kernel that has one. */
  readonly time: number;
}

export class Stopwatch implements Disposable {
  readonly #device: Device;
  readonly #buffers: readonly BufferSpec[];
  /** Its own: those of what loses need not be kept. */
  readonly #pipelines: Pipelines;
  /** Of the buffers that were needed so far, by number. */
  readonly #scratch = new Map<number, GPUBuffer>();

  /** @param buffers those of the schedule that the kernels are for. */
  constructor(device: Device, buffers: readonly BufferSpec[]) {
    this.#device = device;
    this.#buffers = buffers;
    this.#pipelines = new Pipelines(device);
  }

  /**
   * Compiles the dispatches' kernels, and gives what runs all dispatches in order and says how long they took.
   * @throws KronogradError KERNEL, MEMORY
   */
  async prepare(dispatches: readonly Dispatch[]): Promise<Timer> {
    const device = this.#device;
    const { gpu, timeStride } = device;
    const scratch = new Map<number, GPUBuffer>();
    for (const { kernel } of dispatches)
      for (const { buffer } of kernel.bindings) scratch.set(buffer, this.#buffer(buffer));
    await device.settled();
    device.check();
    const times = device.times(1 + Math.max(...dispatches.map(({ time }) => time)));
    const groups = new Map<Kernel, GPUBindGroup>();
    const ready = await Promise.all(
      dispatches.map(async ({ kernel, time }) => {
        const { pipeline, layout } = await this.#pipelines.get(kernel, 'a kernel to be timed');
        const entries = kernel.bindings.map(({ buffer }, binding): GPUBindGroupEntry => {
          return { binding, resource: { buffer: scratch.get(buffer)! } };
        });
        if (kernel.usesTime) entries.push({ binding: entries.length, resource: { buffer: times, size: 4 } });
        const group = groups.get(kernel) ?? gpu.createBindGroup({ layout, entries });
        groups.set(kernel, group);
        return { pipeline, group, offsets: kernel.usesTime ? [time * timeStride] : [], kernel };
      }),
    );
    const encode = (encoder: GPUCommandEncoder, repeats: number, descriptor?: GPUComputePassDescriptor) => {
      const pass = encoder.beginComputePass(descriptor);
      for (let n = 0; n < repeats; n++)
        for (const { pipeline, group, offsets, kernel } of ready) {
          pass.setPipeline(pipeline);
          pass.setBindGroup(0, group, offsets);
          pass.dispatchWorkgroups(...kernel.workgroups);
        }
      pass.end();
    };
    return async (repeats) => {
      if (hasTimestamps(device)) {
        const [begin, end] = await readTimestamps(device, 2, (encoder, querySet) =>
          encode(encoder, repeats, {
            timestampWrites: { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
          }),
        );
        return Number(end! - begin!) / 1e6;
      }
      const encoder = gpu.createCommandEncoder({ label: 'stopwatch' });
      encode(encoder, repeats);
      const begin = performance.now();
      gpu.queue.submit([encoder.finish()]);
      await device.until(gpu.queue.onSubmittedWorkDone());
      return performance.now() - begin;
    };
  }

  #buffer(number: number): GPUBuffer {
    let buffer = this.#scratch.get(number);
    if (buffer === undefined) {
      const spec = this.#buffers[number]!;
      const bytes = bytesOf(spec.length, bytesEach(spec, this.#device.kernelLimits.halves));
      buffer = this.#device.allocate(bytes, GPUBufferUsage.STORAGE, 'scratch memory to time kernels on');
      this.#scratch.set(number, buffer);
    }
    return buffer;
  }

  [Symbol.dispose](): void {
    for (const buffer of this.#scratch.values()) this.#device.release(buffer);
    this.#scratch.clear();
  }
}
