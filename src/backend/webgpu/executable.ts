/** A schedule on a device: pipelines, arenas, and one submit for each run. */
import { describeTask } from '../../../kernels/describe.js';
import { generateKernel, type Kernel } from '../../../kernels/index.js';
import type { KernelLimits } from '../../../kernels/kernel.js';
import { type BufferSpec, bytesEach } from '../../../kernels/stage.js';
import { startsOf } from '../../../kernels/task.js';
import { KronogradError } from '../../errors.js';
import type { ComposedSchedule, LabelledTask } from '../../schedule/composed.js';
import { divideBuffers } from '../../schedule/schedule.js';
import type { Executable, Tensor } from '../backend.js';
import { bytesOf, type Device, usedAfterDisposal } from './device.js';
import type { Pipeline, Pipelines } from './pipelines.js';
import { WebGpuTensor } from './tensor.js';
import { hasTimestamps, readTimestamps } from './timestamps.js';

/** A task made ready: what a dispatch needs except for buffers and time. */
interface PreparedTask extends Pipeline {
  readonly kernel: Kernel;
  readonly step: LabelledTask;
}

/** One dispatch of a run. */
interface Dispatch {
  readonly task: PreparedTask;
  readonly bindGroup: GPUBindGroup;
  /** Bytes into the buffer of times; of a kernel that uses the time. */
  readonly timeOffset: number | null;
}

/** How many sets of tensors keep their bind groups: double-buffered batches and then some. */
const CACHED_SETS = 16;

/** A task as error messages name it. */
const nameOf = ({ label, task }: LabelledTask) => `${label} (${describeTask(task)})`;

/** @throws KronogradError KERNEL, naming the task. */
function kernelOf(step: LabelledTask, buffers: readonly BufferSpec[], limits: KernelLimits): Kernel {
  try {
    return generateKernel(step.task, buffers, limits);
  } catch (cause) {
    if (!(cause instanceof KronogradError)) throw cause;
    const { code, message, where, fix } = cause;
    throw new KronogradError(code, message, {
      where: `${nameOf(step)}: ${where}`,
      ...(fix === undefined ? {} : { fix }),
      cause,
    });
  }
}

export class WebGpuExecutable implements Executable {
  readonly schedule: ComposedSchedule;
  readonly arenaBytes: number;
  readonly dispatches: number;
  readonly #device: Device;
  readonly #buffers: readonly BufferSpec[];
  /** Every dispatch of a run in order, loops unrolled. */
  readonly #sequence: readonly { task: PreparedTask; time: number }[];
  /** Those of the buffers that are bound by name. */
  readonly #named: readonly BufferSpec[];
  readonly #arenas: readonly GPUBuffer[];
  readonly #times: GPUBuffer;
  readonly #sets = new Map<string, readonly Dispatch[]>();
  readonly #tensorIds = new WeakMap<WebGpuTensor, number>();
  #nextTensorId = 0;
  #disposed = false;

  private constructor(
    device: Device,
    schedule: ComposedSchedule,
    prepared: ReadonlyMap<LabelledTask, PreparedTask>,
  ) {
    this.#device = device;
    this.schedule = schedule;
    this.#buffers = schedule.buffers;
    this.#sequence = schedule.steps.flatMap((step) => {
      if (step.kind === 'task') {
        const task = prepared.get(step)!;
        return startsOf(step.task).map((time) => ({ task, time }));
      }
      const { first, count, direction, tasks } = step;
      return Array.from({ length: count }, (_, n) =>
        tasks.map((inner) => ({ task: prepared.get(inner)!, time: first + n * direction })),
      ).flat();
    });
    this.dispatches = this.#sequence.length;
    this.#times = device.times(1 + this.#sequence.reduce((last, { time }) => Math.max(last, time), 0));
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const { arenas, named } = divideBuffers(schedule.buffers);
    this.#named = named;
    this.#arenas = arenas.map((spec) => {
      const bytes = bytesOf(spec.length, bytesEach(spec, device.kernelLimits.halves));
      return device.allocate(bytes, usage, `the ${spec.name}`);
    });
    this.arenaBytes = this.#arenas.reduce((sum, { size }) => sum + size, 0);
  }

  /**
   * Generates and compiles all kernels, and allocates the arenas.
   * @param limits what the kernels are generated for; those that the schedule was composed for.
   * @throws KronogradError KERNEL for a shader that does not compile, MEMORY for an arena that does not fit.
   */
  static async create(
    device: Device,
    pipelines: Pipelines,
    schedule: ComposedSchedule,
    limits: KernelLimits = device.kernelLimits,
  ): Promise<WebGpuExecutable> {
    device.check();
    const steps = schedule.steps.flatMap((step) => (step.kind === 'task' ? [step] : step.tasks));
    const prepared = new Map<LabelledTask, PreparedTask>();
    await Promise.all(
      steps.map(async (step) => {
        const kernel = kernelOf(step, schedule.buffers, limits);
        prepared.set(step, { kernel, step, ...(await pipelines.get(kernel, nameOf(step))) });
      }),
    );
    device.check();
    return new WebGpuExecutable(device, schedule, prepared);
  }

  run(tensors: Readonly<Record<string, Tensor>>): void {
    this.#device.check();
    if (this.#disposed) throw usedAfterDisposal('an executable');
    const bound = this.#named.map((spec) => this.#tensor(spec, tensors[spec.name]));
    const key = bound.map((tensor) => this.#idOf(tensor)).join();
    const known = this.#sets.get(key);
    if (known !== undefined) {
      this.#submit(known);
      return;
    }
    const dispatches = this.#bindAndSubmit(bound.map(({ buffer }) => buffer));
    const oldest = this.#sets.keys().next();
    if (this.#sets.size >= CACHED_SETS && !oldest.done) this.#sets.delete(oldest.value);
    this.#sets.set(key, dispatches);
  }

  /**
   * Runs once with a clock around each dispatch.
   * @returns milliseconds of each task of the schedule, over all times, by label; null without `timestamp-query`.
   */
  async profile(tensors: Readonly<Record<string, Tensor>>): Promise<Map<string, number> | null> {
    const device = this.#device;
    if (!hasTimestamps(device)) return null;
    device.check();
    const bound = this.#named.map((spec) => this.#tensor(spec, tensors[spec.name]));
    const dispatches = this.#bind(bound.map(({ buffer }) => buffer));
    const times = new Map<string, number>();
    const most = 2048; // a query set holds 4096 timestamps, two for each dispatch
    for (let from = 0; from < dispatches.length; from += most) {
      const part = dispatches.slice(from, from + most);
      const stamps = await readTimestamps(device, 2 * part.length, (encoder, querySet) => {
        part.forEach((dispatch, n) => {
          const timestampWrites = {
            querySet,
            beginningOfPassWriteIndex: 2 * n,
            endOfPassWriteIndex: 2 * n + 1,
          };
          this.#encode(encoder, [dispatch], { timestampWrites });
        });
      });
      part.forEach(({ task }, n) => {
        const nanoseconds = Number(stamps[2 * n + 1]! - stamps[2 * n]!);
        const { label } = task.step;
        times.set(label, (times.get(label) ?? 0) + nanoseconds / 1e6);
      });
    }
    device.check();
    return times;
  }

  #idOf(tensor: WebGpuTensor): number {
    let id = this.#tensorIds.get(tensor);
    if (id === undefined) this.#tensorIds.set(tensor, (id = this.#nextTensorId++));
    return id;
  }

  #tensor(spec: BufferSpec, tensor: Tensor | undefined): WebGpuTensor {
    const fail = (what: string, fix: string) => new KronogradError('SHAPE', what, { where: spec.name, fix });
    if (tensor === undefined)
      throw fail(
        `no tensor is bound to '${spec.name}'`,
        'bind every input and output of the program by its name',
      );
    if (!(tensor instanceof WebGpuTensor) || tensor.device !== this.#device)
      throw fail(
        `the tensor bound to '${spec.name}' is of another backend`,
        'make it with this backend’s tensor()',
      );
    if (tensor.type.dtype !== spec.dtype || tensor.length !== spec.length)
      throw fail(
        `'${spec.name}' is ${spec.dtype} with ${spec.length} elements, the tensor ${tensor.type.dtype} with ${tensor.length}`,
        'give the tensor the type of the program’s input or output',
      );
    return tensor;
  }

  /** The dispatches over the given buffers. Bind groups are shared by tasks with the same layout and buffers. */
  #bind(tensors: readonly GPUBuffer[]): Dispatch[] {
    const { gpu, timeStride } = this.#device;
    const buffers = [...this.#arenas, ...tensors];
    const groups = new Map<GPUBindGroupLayout, Map<string, GPUBindGroup>>();
    const groupOf = ({ layout, kernel }: PreparedTask): GPUBindGroup => {
      let ofLayout = groups.get(layout);
      if (ofLayout === undefined) groups.set(layout, (ofLayout = new Map()));
      const key = kernel.bindings.map(({ buffer }) => buffer).join();
      let group = ofLayout.get(key);
      if (group === undefined) {
        const entries: GPUBindGroupEntry[] = kernel.bindings.map(({ buffer }, binding) => ({
          binding,
          resource: { buffer: buffers[buffer]! },
        }));
        if (kernel.usesTime)
          entries.push({ binding: entries.length, resource: { buffer: this.#times, size: 4 } });
        const label = kernel.bindings.map(({ buffer }) => this.#buffers[buffer]!.name).join(', ');
        ofLayout.set(key, (group = gpu.createBindGroup({ label, layout, entries })));
      }
      return group;
    };
    return this.#sequence.map(({ task, time }) => ({
      task,
      bindGroup: groupOf(task),
      timeOffset: task.kernel.usesTime ? time * timeStride : null,
    }));
  }

  #encode(
    encoder: GPUCommandEncoder,
    dispatches: readonly Dispatch[],
    descriptor: GPUComputePassDescriptor = {},
  ): void {
    const pass = encoder.beginComputePass(descriptor);
    let pipeline: GPUComputePipeline | undefined;
    let group: GPUBindGroup | undefined;
    let offset: number | null = null;
    for (const { task, bindGroup, timeOffset } of dispatches) {
      if (task.pipeline !== pipeline) pass.setPipeline((pipeline = task.pipeline));
      if (bindGroup !== group || timeOffset !== offset) {
        if (timeOffset === null) pass.setBindGroup(0, bindGroup);
        else pass.setBindGroup(0, bindGroup, [timeOffset]);
        group = bindGroup;
        offset = timeOffset;
      }
      const [x, y, z] = task.kernel.workgroups;
      pass.dispatchWorkgroups(x, y, z);
    }
    pass.end();
  }

  #submit(dispatches: readonly Dispatch[]): void {
    const encoder = this.#device.gpu.createCommandEncoder({ label: 'run' });
    this.#encode(encoder, dispatches);
    this.#device.gpu.queue.submit([encoder.finish()]);
  }

  /** The first run over a set of tensors, watched for validation errors. */
  #bindAndSubmit(buffers: readonly GPUBuffer[]): readonly Dispatch[] {
    const dispatches: Dispatch[] = [];
    this.#device.guard(
      'validation',
      () => {
        dispatches.push(...this.#bind(buffers));
        this.#submit(dispatches);
      },
      (error) => this.#diagnose(dispatches, error),
    );
    return dispatches;
  }

  /** After a run failed validation: encodes each dispatch alone to find the one to blame. */
  async #diagnose(dispatches: readonly Dispatch[], error: GPUError): Promise<void> {
    const { gpu } = this.#device;
    const verdicts = dispatches.map((dispatch) => {
      gpu.pushErrorScope('validation');
      const encoder = gpu.createCommandEncoder();
      this.#encode(encoder, [dispatch]);
      encoder.finish();
      return gpu.popErrorScope();
    });
    const found = (await Promise.all(verdicts)).findIndex((verdict) => verdict !== null);
    const guilty = dispatches[found]?.task;
    this.#device.fail(
      new KronogradError('KERNEL', `a dispatch failed validation: ${error.message}`, {
        ...(guilty === undefined ? {} : { where: nameOf(guilty.step) }),
        fix: 'bind each tensor under one name only; otherwise this is a defect of kronograd: please report it',
      }),
    );
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#sets.clear();
    for (const arena of this.#arenas) this.#device.release(arena);
  }
}
