/** Tensors in GPU memory. */
import { bytesEach } from '../../../kernels/stage.js';
import { KronogradError } from '../../errors.js';
import { bitsOfHalf, halfOfBits, roundToHalf } from '../../program/half.js';
import { sizeOf, type Type, typeText } from '../../program/program.js';
import type { Tensor } from '../backend.js';
import { bytesOf, type Device, usedAfterDisposal } from './device.js';

export class WebGpuTensor implements Tensor {
  readonly type: Type;
  readonly device: Device;
  readonly length: number;
  readonly #each: 2 | 4;
  readonly #buffer: GPUBuffer;
  #disposed = false;

  /** Zeros. @throws KronogradError MEMORY when it is larger than the device's limits. */
  constructor(device: Device, type: Type) {
    device.check();
    this.device = device;
    this.type = type;
    this.length = sizeOf(type.shape);
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    this.#each = bytesEach(type, device.kernelLimits.halves);
    this.#buffer = device.allocate(bytesOf(this.length, this.#each), usage, `a tensor ${typeText(type)}`);
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
    this.device.gpu.queue.writeBuffer(buffer, 0, this.#encode(data) as GPUAllowSharedBufferSource);
  }

  async read(): Promise<Float32Array | Int32Array> {
    this.device.check();
    const { gpu } = this.device;
    // Copies are of whole words.
    const bytes = 4 * Math.ceil((this.length * this.#each) / 4);
    const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
    const staging = this.device.allocate(bytesOf(this.length, this.#each), usage, 'a readback');
    try {
      const encoder = gpu.createCommandEncoder({ label: 'read' });
      encoder.copyBufferToBuffer(this.buffer, 0, staging, 0, bytes);
      gpu.queue.submit([encoder.finish()]);
      await this.device.until(staging.mapAsync(GPUMapMode.READ)).catch(async (cause: Error) => {
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
      return this.#decode(copy);
    } finally {
      this.device.release(staging);
    }
  }

  /** The elements as they lie in memory. */
  #encode(data: ArrayLike<number>): ArrayBufferView {
    const { length } = data;
    if (this.#each === 2)
      // A whole number of words.
      return Uint16Array.from({ length: length + (length & 1) }, (_, i) =>
        i < length ? bitsOfHalf(data[i]!) : 0,
      );
    if (this.type.dtype === 'half') return Float32Array.from(data, roundToHalf);
    const Elements = this.type.dtype === 'int' ? Int32Array : Float32Array;
    return data instanceof Elements ? data : Elements.from(data);
  }

  #decode(bytes: ArrayBuffer): Float32Array | Int32Array {
    if (this.#each === 2) return Float32Array.from(new Uint16Array(bytes, 0, this.length), halfOfBits);
    return this.type.dtype === 'int' ? new Int32Array(bytes) : new Float32Array(bytes);
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.device.release(this.#buffer);
  }
}
