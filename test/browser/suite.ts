/**
 * The cases that run inside a page. The file is bundled for the browser, and also imported by Node for the names alone:
 * touch no browser global outside a case. A case passes when its promise resolves.
 */
export type Case = () => Promise<void>;

function check(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(message);
}

async function device(): Promise<GPUDevice> {
  check('gpu' in navigator, 'navigator.gpu is missing');
  const adapter = await navigator.gpu.requestAdapter();
  check(adapter !== null, 'no adapter');
  return adapter.requestDevice();
}

export const cases: Record<string, Case> = {
  'runs a compute shader and reads its numbers back': async () => {
    const gpu = await device();
    const n = 1000;
    const input = Float32Array.from({ length: n }, (_, i) => i / 8);
    const data = gpu.createBuffer({
      size: input.byteLength,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
    });
    const staging = gpu.createBuffer({
      size: input.byteLength,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    gpu.queue.writeBuffer(data, 0, input);
    const module = gpu.createShaderModule({
      code: /* wgsl */ `
        @group(0) @binding(0) var<storage, read_write> data: array<f32>;
        @compute @workgroup_size(64)
        fn main(@builtin(global_invocation_id) id: vec3u) {
          if (id.x < arrayLength(&data)) { data[id.x] = data[id.x] * data[id.x] + 1.0; }
        }`,
    });
    const pipeline = await gpu.createComputePipelineAsync({ layout: 'auto', compute: { module } });
    const group = gpu.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer: data } }],
    });
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(Math.ceil(n / 64));
    pass.end();
    encoder.copyBufferToBuffer(data, 0, staging, 0, input.byteLength);
    gpu.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const output = new Float32Array(staging.getMappedRange());
    check(output.length === n, `${output.length} numbers came back, not ${n}`);
    for (let i = 0; i < n; i++) {
      const expected = (i / 8) ** 2 + 1; // exact in float32: i < 1000 has 10 bits, its square 20
      check(output[i] === expected, `element ${i} is ${output[i]}, not ${expected}`);
    }
    gpu.destroy();
  },
};
