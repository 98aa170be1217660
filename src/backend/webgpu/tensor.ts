/** Tensors in GPU memory. */
import { KronogradError } from '../../errors.js';
import { sizeOf, type Type, typeText } from '../../program/program.js';
import type { Tensor } from '../backend.js';
import { bytesOf, type Device, usedAfterDisposal } from './device.js';

export class WebGpuTensor implements Tensor {
  readonly type: Type;
  readonly device: Device;
  readonly length: number;
  readonly #buffer: GPUBuffer;
  #disposed = false;

  /** Zeros. @throws KronogradError MEMORY when it is larger than the device's limits. */
  constructor(device: Device, type: Type) {
    device.check();
    this.device = device;
    this.type = type;
    this.length = sizeOf(type.shape);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.#buffer = device.allocate(bytesOf(this.length), usage, `a tensor ${typeText(type)}`);
  }

  /** The memory. */
  get buffer(): GPUBuffer {
    if (this.#disposed) throw usedAfterDisposal(`a tensor ${typeText(this.type)}`);
    return this.#buffer;
  }

  write(data: ArrayLike<number>): void {
    this.device.check();
    const { length, buffer } = this;
    if (data.length !== length)
      throw new KronogradError('SHAPE', `${data.length} numbers do not fill a tensor of ${length}`, {
        where: `a tensor ${typeText(this.type)}`,
        fix: 'write as many numbers as the tensor has elements',
      });
    const Elements = this.type.dtype === 'int' ? Int32Array : Float32Array;
    const elements = data instanceof Elements ? data : Elements.from(data);
    this.device.gpu.queue.writeBuffer(buffer, 0, elements as GPUAllowSharedBufferSource);
  }

  async read(): Promise<Float32Array | Int32Array> {
    this.device.check();
    const { gpu } = this.device;
    const bytes = this.length * 4;
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
    const staging = this.device.allocate(bytesOf(this.length), usage, 'a readback');
    try {
      const encoder = gpu.createCommandEncoder({ label: 'read' });
      encoder.copyBufferToBuffer(this.buffer, 0, staging, 0, bytes);
      gpu.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ).catch(async (cause: Error) => {
        await this.device.settled();
        this.device.check();
        throw new KronogradError('KERNEL', `a readback failed: ${cause.message}`, {
          where: `a tensor ${typeText(this.type)}`,
          cause,
        });
      });
      await this.device.settled();
      this.device.check();
      const copy = staging.getMappedRange(0, bytes).slice(0);
      staging.unmap();
      return this.type.dtype === 'int' ? new Int32Array(copy) : new Float32Array(copy);
    } finally {
      this.device.release(staging);
    }
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.device.release(this.#buffer);
  }
}
