/** The WebGPU backend: in browsers on `navigator.gpu`, in Node on Dawn. */

import { KronogradError } from '../../errors.js';
import type { Program, Type } from '../../program/program.js';
import { type Composition, compose, overlappingSteps } from '../../schedule/compose.js';
import { schedule } from '../../schedule/index.js';
import { bufferBytesOf, type Schedule } from '../../schedule/schedule.js';
import type { Backend, Capacity } from '../backend.js';
import { globalGpu, requestAdapter } from './adapter.js';
import { Device, type DeviceOptions } from './device.js';
import { WebGpuExecutable } from './executable.js';
import { Pipelines } from './pipelines.js';
import { WebGpuTensor } from './tensor.js';
import type { TuningOptions } from './tuning/store.js';
import type { Choices, Tuner } from './tuning/tuner.js';

export interface WebGpuOptions extends DeviceOptions {
  /** What shares a dispatch; 'auto' unless given. */
  readonly composition?: Composition | undefined;
  /**
   * Measure, for each program, which kernels are the fastest on this device, and remember it. Unless given, they are
   * chosen by rule.
   */
  readonly tuning?: TuningOptions | undefined;
  /** What a person should know beside the adapter's name. */
  readonly note?: string;
  /** The toggles of Dawn that are on, as far as they are known. */
  readonly toggles?: readonly string[];
}

export class WebGpuBackend implements Backend {
  readonly name = 'webgpu';
  readonly device: Device;
  readonly pipelines: Pipelines;
  readonly toggles: readonly string[];
  readonly #composition: Composition;
  readonly #note: string;
  readonly #tuning: TuningOptions | undefined;
  #tuner: Promise<Tuner> | undefined;

  private constructor(
    device: Device,
    { composition = 'auto', note = '', toggles = [], tuning }: WebGpuOptions,
  ) {
    this.device = device;
    this.toggles = toggles;
    this.#composition = composition;
    this.#note = note;
    this.#tuning = tuning;
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
    const device = await Device.request(await requestAdapter(gpu), options);
    return new WebGpuBackend(device, options);
  }

  get description(): string {
    return this.#note === '' ? this.device.name : `${this.device.name}, ${this.#note}`;
  }

  /** WebGPU does not tell how much memory there is. */
  get capacity(): Capacity {
    return { buffer: this.device.largestBuffer, total: Number.POSITIVE_INFINITY };
  }

  get halves(): boolean {
    return this.device.kernelLimits.halves;
  }

  tensor(type: Type): WebGpuTensor {
    return new WebGpuTensor(this.device, type);
  }

  /** @throws KronogradError KERNEL, MEMORY */
  compile(program: Program): Promise<WebGpuExecutable> {
    return this.compileSchedule(this.schedule(program));
  }

  /** The stages of a program, with memory for what overlaps on this device if there is room for it. */
  schedule(program: Program): Schedule {
    const { kernelLimits, largestBuffer } = this.device;
    const plan = schedule(program, overlappingSteps(kernelLimits, this.#composition));
    const fits = bufferBytesOf(plan, kernelLimits.halves).every((bytes) => bytes <= largestBuffer);
    return fits ? plan : schedule(program);
  }

  /**
   * An executable of a schedule made by hand or by the scheduler.
   * @param composition by default the backend's.
   * @throws KronogradError KERNEL, MEMORY
   */
  async compileSchedule(
    plan: Schedule,
    composition: Composition = this.#composition,
  ): Promise<WebGpuExecutable> {
    const { device, pipelines } = this;
    const choices = await this.#tuned(plan, composition);
    const limits = choices?.limits ?? device.kernelLimits;
    const composed = compose(plan, limits, composition, choices?.loops);
    return WebGpuExecutable.create(device, pipelines, composed, limits);
  }

  /** Undefined where everything goes by rule: also where there is no room to try what is faster. */
  async #tuned(plan: Schedule, composition: Composition): Promise<Choices | undefined> {
    if (this.#tuning === undefined) return undefined;
    const { device } = this;
    this.#tuner ??= this.#startTuner(this.#tuning);
    await device.settled();
    device.check(); // what went wrong before has nothing to do with tuning
    try {
      return await (await this.#tuner).tune(plan, composition);
    } catch (error) {
      if (error instanceof KronogradError && error.code === 'MEMORY') return undefined;
      throw error;
    }
  }

  /** Loaded by those who want it. */
  async #startTuner(tuning: TuningOptions): Promise<Tuner> {
    const { tunerOf } = await import('./tuning/tuned-device.js');
    return tunerOf(this.device, this.description, tuning);
  }

  async finish(): Promise<void> {
    this.device.check();
    await this.device.until(this.device.gpu.queue.onSubmittedWorkDone());
    await this.device.settled();
    this.device.check();
  }

  [Symbol.dispose](): void {
    this.device[Symbol.dispose]();
  }
}
