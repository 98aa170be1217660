/** What the fixed costs of a device are: for `doctor`, the bench, and anyone who wonders why small steps are slow. */
import type { Device } from './device.js';

/** Medians, in microseconds. */
export interface ProbedCosts {
  /** One dispatch more in a pass, until the GPU is done: encoding, or execution, whichever is slower. */
  readonly dispatch: number;
  /** One pass more in a submit. */
  readonly pass: number;
  /** The call of `submit` for one dispatch. */
  readonly submit: number;
  /** From asking for 4 bytes to having them. */
  readonly readback: number;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** A kernel that does next to nothing, to be dispatched again and again. */
const code = `
@group(0) @binding(0) var<storage, read_write> b0: array<f32>;
@compute @workgroup_size(1)
fn main() {
  b0[0] += 1f;
}
`;

/**
 * Measures for some tenths of a second.
 * @throws KronogradError DEVICE_LOST
 */
export async function probe(device: Device): Promise<ProbedCosts> {
  device.check();
  const { gpu } = device;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
  const buffer = device.allocate(16, usage, 'a probe');
  const staging = device.allocate(16, GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ, 'a probe');
  try {
    const pipeline = await gpu.createComputePipelineAsync({
      layout: 'auto',
      compute: { module: gpu.createShaderModule({ code }) },
    });
    const entries = [{ binding: 0, resource: { buffer } }];
    const group = gpu.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    const encode = (passes: number, dispatches: number): GPUCommandBuffer => {
      const encoder = gpu.createCommandEncoder();
      for (let p = 0; p < passes; p++) {
        const pass = encoder.beginComputePass();
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        for (let d = 0; d < dispatches; d++) pass.dispatchWorkgroups(1);
        pass.end();
      }
      return encoder.finish();
    };
    const timed = async (work: () => unknown): Promise<number> => {
      const start = performance.now();
      await work();
      return (performance.now() - start) * 1000;
    };
    const repeat = async (work: () => unknown): Promise<number> => {
      const times: number[] = [];
      for (let n = 0; n < 9; n++) times.push(await timed(work));
      return median(times);
    };
    const run = (passes: number, dispatches: number) =>
      timed(() => {
        gpu.queue.submit([encode(passes, dispatches)]);
        return gpu.queue.onSubmittedWorkDone();
      });
    // Enough of each that the wait for the callback, up to some milliseconds, is lost among them; and few beside
    // many each time, so that a busy spell of the machine meets both.
    const [few, many] = [64, 1024];
    const slope = async (timeOf: (n: number) => Promise<number>): Promise<number> => {
      const slopes: number[] = [];
      for (let n = 0; n < 9; n++) slopes.push((-(await timeOf(few)) + (await timeOf(many))) / (many - few));
      return Math.max(0, median(slopes));
    };

    await run(1, 1); // warm up
    const dispatch = await slope((n) => run(1, n));
    const pass = Math.max(0, (await slope((n) => run(n, 1))) - dispatch);
    const submit = await repeat(() => gpu.queue.submit([encode(1, 1)]));
    await gpu.queue.onSubmittedWorkDone();
    const readback = await repeat(async () => {
      const encoder = gpu.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, 0, staging, 0, 4);
      gpu.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ);
      staging.unmap();
    });
    device.check();
    return { dispatch, pass, submit, readback };
  } finally {
    device.release(buffer);
    device.release(staging);
  }
}
