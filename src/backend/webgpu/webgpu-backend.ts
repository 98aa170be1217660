/** The WebGPU backend: in browsers on `navigator.gpu`, in Node on Dawn. */
import type { Program, Type } from '../../program/program.js';
import { type ComposedSchedule, type Composition, compose } from '../../schedule/compose.js';
import { schedule } from '../../schedule/index.js';
import type { Schedule } from '../../schedule/schedule.js';
import type { Backend, Capacity } from '../backend.js';
import { globalGpu, requestAdapter } from './adapter.js';
import { Device } from './device.js';
import { WebGpuExecutable } from './executable.js';
import { Pipelines } from './pipelines.js';
import { WebGpuTensor } from './tensor.js';

export interface WebGpuOptions {
  /** What shares a dispatch; 'auto' unless given. */
  readonly composition?: Composition | undefined;
  /** What a person should know beside the adapter's name. */
  readonly note?: string;
}

export class WebGpuBackend implements Backend {
  readonly name = 'webgpu';
  readonly device: Device;
  readonly pipelines: Pipelines;
  readonly #composition: Composition;
  readonly #note: string;

  private constructor(device: Device, { composition = 'auto', note = '' }: WebGpuOptions) {
    this.device = device;
    this.#composition = composition;
    this.#note = note;
    this.pipelines = new Pipelines(device);
  }

  /**
   * @param gpu in Node what `loadDawn` gives; by default the browser's.
   * @throws KronogradError NO_ADAPTER
   */
  static async create(
    gpu: GPU | undefined = globalGpu(),
    options: WebGpuOptions = {},
  ): Promise<WebGpuBackend> {
    return new WebGpuBackend(await Device.request(await requestAdapter(gpu)), options);
  }

  get description(): string {
    return this.#note === '' ? this.device.name : `${this.device.name}, ${this.#note}`;
  }

  /** WebGPU does not tell how much memory there is. */
  get capacity(): Capacity {
    return { buffer: this.device.largestBuffer, total: Number.POSITIVE_INFINITY };
  }

  tensor(type: Type): WebGpuTensor {
    return new WebGpuTensor(this.device, type);
  }

  /** @throws KronogradError KERNEL, MEMORY */
  compile(program: Program): Promise<WebGpuExecutable> {
    return this.compileSchedule(schedule(program));
  }

  /** What of a schedule shares a dispatch on this device. @param composition by default the backend's. */
  compose(plan: Schedule, composition: Composition = this.#composition): ComposedSchedule {
    return compose(plan, this.device.kernelLimits, composition);
  }

  /**
   * An executable of a schedule made by hand or by the scheduler.
   * @param composition by default the backend's.
   * @throws KronogradError KERNEL, MEMORY
   */
  compileSchedule(plan: Schedule, composition?: Composition): Promise<WebGpuExecutable> {
    return WebGpuExecutable.create(this.device, this.pipelines, this.compose(plan, composition));
  }

  async finish(): Promise<void> {
    this.device.check();
    await this.device.gpu.queue.onSubmittedWorkDone();
    await this.device.settled();
    this.device.check();
  }

  [Symbol.dispose](): void {
    this.device[Symbol.dispose]();
  }
}
