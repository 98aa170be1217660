/** A device with what it remembers: its memory in use, and the first thing that went wrong. */
import { defaultLimits, type KernelLimits } from '../../../kernels/kernel.js';
import { KronogradError } from '../../errors.js';
import { type AdapterDescription, adapterName, describeAdapter, SUBGROUP_MATRIX } from './adapter.js';

/** Limits that bound sizes and kernels; the adapter's own values are requested, not WebGPU's cautious defaults. */
const requestedLimits = [
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxStorageBuffersPerShaderStage',
] as const;

const wantedFeatures = ['timestamp-query', 'subgroups', 'shader-f16', SUBGROUP_MATRIX] as const;

/**
 * A CPU that plays GPU: a few cores with 4 lanes, two vectors at a time. SwiftShader on two cores does 60
 * multiply-adds an invocation in a microsecond, and starts a dispatch in 12. A GPU's numbers are in `defaultLimits`.
 */
const software = { parallelInvocations: 16, coreInvocations: 8, dispatchCost: 700, directRead: 8 };

/** Of a buffer, a multiple of 16 so that it can be bound as vec4. */
export const bytesOf = (elements: number, each = 4): number =>
  Math.max(16, Math.ceil((each * elements) / 16) * 16);

/** For what was given up and is asked for all the same. */
export const usedAfterDisposal = (what: string): KronogradError =>
  new KronogradError('OPTION', `${what} is used after its disposal`, {
    fix: 'dispose of a backend, its tensors and its executables after their last use',
  });

export type Wait = <T>(promise: Promise<T>) => Promise<T>;

export interface DeviceOptions {
  /** Kernels of subgroup matrices, which only programs with unfinished APIs can use. */
  readonly matrixKernels?: KernelLimits['matrixKernels'];
  /** Awaits a promise of a CPU that plays GPU, where the runtime's own way would take a processor from it. */
  readonly wait?: Wait;
}

export class Device implements Disposable {
  readonly adapter: AdapterDescription;
  readonly gpu: GPUDevice;
  readonly kernelLimits: KernelLimits;
  /** Awaits what this device has promised. */
  readonly until: Wait;
  #failure: KronogradError | undefined;
  #disposed = false;
  readonly #verdicts = new Set<Promise<void>>();
  readonly #buffers = new Map<GPUBuffer, number>();
  readonly #times = new Map<number, GPUBuffer>();

  private constructor(
    adapter: AdapterDescription,
    gpu: GPUDevice,
    { matrixKernels = null, wait = (promise) => promise }: DeviceOptions,
  ) {
    this.adapter = adapter;
    this.gpu = gpu;
    this.until = adapter.isSoftware ? wait : (promise) => promise;
    const { limits } = gpu;
    this.kernelLimits = {
      ...defaultLimits,
      ...(adapter.isSoftware ? software : {}),
      maxComputeInvocationsPerWorkgroup: limits.maxComputeInvocationsPerWorkgroup,
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
      maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
      halves: gpu.features.has('shader-f16'),
      subgroups: gpu.features.has('subgroups') ? adapter.subgroups : null,
      subgroupMatrices: gpu.features.has(SUBGROUP_MATRIX) ? adapter.subgroupMatrices : [],
      matrixKernels,
    };
    gpu.lost.then(({ reason, message }) => {
      if (this.#disposed) return;
      this.fail(
        new KronogradError('DEVICE_LOST', `the GPU device was lost (${reason}): ${message}`, {
          where: adapterName(adapter),
          fix: 'resume from the last checkpoint; if it happens again, make the batch or the unroll smaller, or use the CPU backend',
        }),
      );
    });
    gpu.addEventListener('uncapturederror', ({ error }) => {
      const code = error.constructor.name === 'GPUOutOfMemoryError' ? 'MEMORY' : 'KERNEL';
      this.fail(new KronogradError(code, error.message, { where: adapterName(adapter) }));
    });
  }

  /** @throws KronogradError NO_ADAPTER when the adapter refuses a device. */
  static async request(adapter: GPUAdapter, options: DeviceOptions = {}): Promise<Device> {
    const description = describeAdapter(adapter);
    const requiredLimits: Record<string, number> = {};
    for (const name of requestedLimits) requiredLimits[name] = adapter.limits[name];
    const requiredFeatures = wantedFeatures.filter((feature) => adapter.features.has(feature));
    try {
      const gpu = await adapter.requestDevice({ label: 'kronograd', requiredLimits, requiredFeatures });
      return new Device(description, gpu, options);
    } catch (cause) {
      throw new KronogradError('NO_ADAPTER', `the adapter gave no device: ${(cause as Error).message}`, {
        where: adapterName(description),
        fix: 'close other programs that use the GPU, update its driver, or use the CPU backend',
        cause,
      });
    }
  }

  get name(): string {
    return adapterName(this.adapter);
  }

  /** Bytes that a buffer can have, to be created and to be bound as a whole. */
  get largestBuffer(): number {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.gpu.limits;
    return Math.min(maxBufferSize, maxStorageBufferBindingSize);
  }

  /** Buffers alive, for finding leaks. */
  get liveBuffers(): number {
    return this.#buffers.size;
  }

  /** Their bytes. */
  get liveBytes(): number {
    let bytes = 0;
    for (const size of this.#buffers.values()) bytes += size;
    return bytes;
  }

  /** Keeps the first failure, and a lost device above all others: `check` throws it from then on. */
  fail(error: KronogradError): void {
    if (this.#failure === undefined || error.code === 'DEVICE_LOST') this.#failure = error;
  }

  /**
   * Throws what went wrong since the last look. A lost device stays lost; other failures are told once.
   * @throws KronogradError DEVICE_LOST, KERNEL or MEMORY; OPTION after disposal
   */
  check(): void {
    if (this.#disposed) throw usedAfterDisposal('the WebGPU backend');
    const failure = this.#failure;
    if (failure === undefined) return;
    if (failure.code !== 'DEVICE_LOST') this.#failure = undefined;
    throw failure;
  }

  /**
   * Runs GPU calls inside an error scope; `explain` turns what they did wrong into the failure to keep.
   * It is known after `settled`.
   */
  guard<T>(filter: GPUErrorFilter, calls: () => T, explain: (error: GPUError) => Promise<void> | void): T {
    this.gpu.pushErrorScope(filter);
    const result = calls();
    const verdict = this.gpu.popErrorScope().then(
      (error) => (error === null ? undefined : explain(error)),
      () => {}, // the device was lost, which is told as itself
    );
    this.#verdicts.add(verdict);
    verdict.finally(() => this.#verdicts.delete(verdict));
    return result;
  }

  /** Resolves when every guarded call so far has its verdict. */
  async settled(): Promise<void> {
    await this.until(Promise.all(this.#verdicts));
  }

  /**
   * A buffer of at least `bytes`, counted until `release`.
   * @throws KronogradError MEMORY beyond the device's limits, with the numbers; nothing is created then.
   * When the GPU's memory is full it is the next `check` that throws.
   */
  allocate(bytes: number, usage: GPUBufferUsageFlags, label: string): GPUBuffer {
    const limit = this.largestBuffer;
    if (bytes > limit)
      throw new KronogradError('MEMORY', `${label} needs ${bytes} bytes; one buffer can have ${limit}`, {
        where: this.name,
        fix: 'make the batch, the unroll or the hidden size smaller',
      });
    const buffer = this.guard(
      'out-of-memory',
      () => this.gpu.createBuffer({ size: bytes, usage, label }),
      () =>
        this.fail(
          new KronogradError(
            'MEMORY',
            `the GPU has no room for ${label}: ${bytes} bytes beside ${this.liveBytes} in use`,
            { where: this.name, fix: 'make the batch, the unroll or the hidden size smaller' },
          ),
        ),
    );
    this.#buffers.set(buffer, bytes);
    return buffer;
  }

  /** Destroys a buffer now; work already submitted still sees it. */
  release(buffer: GPUBuffer): void {
    if (this.#buffers.delete(buffer)) buffer.destroy();
  }

  /** Bytes from one time to the next in `times`. */
  get timeStride(): number {
    return this.gpu.limits.minUniformBufferOffsetAlignment;
  }

  /** A uniform buffer in which `{ t: i32 }` for t = 0 .. count-1 stand `timeStride` apart. Shared; never released. */
  times(count: number): GPUBuffer {
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(64, count)));
    let buffer = this.#times.get(capacity);
    if (buffer === undefined) {
      const words = new Int32Array((capacity * this.timeStride) / 4);
      for (let t = 0; t < capacity; t++) words[(t * this.timeStride) / 4] = t;
      const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
      buffer = this.allocate(words.byteLength, usage, `the times up to ${capacity}`);
      this.gpu.queue.writeBuffer(buffer, 0, words);
      this.#times.set(capacity, buffer);
    }
    return buffer;
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const buffer of this.#buffers.keys()) buffer.destroy();
    this.#buffers.clear();
    this.gpu.destroy();
  }
}
