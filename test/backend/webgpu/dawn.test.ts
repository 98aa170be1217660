/** Dawn's toggles: off unless asked for, and then on, with the same results. */
import { expect, test } from 'vitest';
import { createDawnBackend } from '../../../src/backend/webgpu/dawn.js';
import type { WebGpuBackend } from '../../../src/backend/webgpu/webgpu-backend.js';
import { EngineContender } from '../../../src/bench/engine.js';
import { trainingWork } from '../../../src/bench/training-work.js';
import { resolveWorkload } from '../../../src/bench/workload.js';

/** Whether Dawn looks at what it is given: a sampler that makes no sense, and that nobody uses. */
async function validates({ device: { gpu } }: WebGpuBackend): Promise<boolean> {
  gpu.pushErrorScope('validation');
  gpu.createSampler({ lodMinClamp: -1 });
  return (await gpu.popErrorScope()) !== null;
}

async function losses(backend: WebGpuBackend): Promise<number[]> {
  const work = trainingWork('lstm', resolveWorkload('T', { hidden: 13, layers: 2 }));
  using engine = await EngineContender.create(backend, work, { at: 0, from: 'compile start' });
  const found = [(await engine.loss())!];
  for (let step = 1; step < 5; step++) {
    await engine.run(1);
    found.push((await engine.loss())!);
  }
  return found;
}

test('--unsafe-fast turns validation off and gives the same bits', async () => {
  using safe = await createDawnBackend();
  using fast = await createDawnBackend({ unsafeFast: true });
  expect([await validates(safe), await validates(fast)]).toEqual([true, false]);
  const unfinished = (backend: WebGpuBackend) =>
    backend.device.adapter.features.filter((name) => name.startsWith('chromium-experimental'));
  expect(unfinished(fast).length).toBeGreaterThan(unfinished(safe).length);
  expect([safe.description, fast.description]).toEqual([
    safe.device.name,
    `${safe.device.name}, unsafe-fast`,
  ]);
  expect(await losses(fast)).toEqual(await losses(safe));
});
