/**
 * A peer in a process of its own, driven by messages of its parent: `{ create: { backend, workload, weights,
 * batch } }` first, then `{ run: steps }` any number of times. Every reply has the loss of the last step and
 * the process's peak resident size; a failure is a reply too, `{ error }`.
 */

/** Dispatches and submits of WebGPU so far; they stay 0 on other backends. */
const counted = { dispatches: 0, submits: 0 };

/**
 * `navigator.gpu` as browsers have it, from Dawn. A reference must be kept for as long as it is used.
 * @returns the adapter's name
 */
export async function installWebGpu() {
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const gpu = create(['enable-dawn-features=disable_workgroup_init']);
  Object.defineProperty(globalThis, 'navigator', {
    value: { gpu, userAgent: 'Node', hardwareConcurrency: 1 },
    configurable: true,
  });
  const count = (prototype, method, key) => {
    const original = prototype[method];
    prototype[method] = function (...args) {
      counted[key]++;
      return original.apply(this, args);
    };
  };
  count(globalThis.GPUComputePassEncoder.prototype, 'dispatchWorkgroups', 'dispatches');
  count(globalThis.GPUQueue.prototype, 'submit', 'submits');
  const { info } = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  return [info.vendor, info.architecture, info.device, info.description].filter(Boolean).join(' ');
}

/**
 * @param create from a message's `create` to `{ engine, adapter, step }`, where `step` resolves to the loss
 * of the step, before its update, when all of the step's work is done; or `run(count)` instead of `step`, which does so
 * many steps elsewhere and resolves to `{ ms, loss, peakRssBytes }`.
 */
export function serve(create) {
  let peer;
  const peakRssBytes = () => process.resourceUsage().maxRSS * 1024;
  const run = async (count) => {
    if (peer.run !== undefined) return peer.run(count);
    const start = performance.now();
    let loss;
    for (let n = 0; n < count; n++) loss = await peer.step();
    return { ms: performance.now() - start, loss };
  };
  const handle = async (message) => {
    if (message.create === undefined) return run(message.run);
    peer = await create(message.create);
    const first = await run(1); // also what compiles
    return { engine: peer.engine, adapter: peer.adapter, ...first, firstStepMs: performance.now() };
  };
  process.on('message', async (message) => {
    const before = { ...counted };
    let reply;
    try {
      reply = await handle(message);
    } catch (error) {
      reply = { error: error?.message ?? String(error) };
    }
    const dispatches = counted.dispatches - before.dispatches;
    const submits = counted.submits - before.submits;
    process.send({ peakRssBytes: peakRssBytes(), ...reply, dispatches, submits });
  });
}
