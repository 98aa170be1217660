/** The cases that every backend must pass, here in Node; test/browser runs them in a page. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { createDawnBackend } from '../../src/backend/webgpu/dawn.js';
import { backendCases, type ScheduledBackend } from '../support/backend-cases.js';

const backends: Readonly<Record<string, () => Promise<ScheduledBackend>>> = {
  'the CPU in float32': async () => new Float32Backend(),
  'WebGPU, stage by stage': () => createDawnBackend({ composition: 'none' }),
  'WebGPU, composed': () => createDawnBackend({ composition: 'all' }),
};

describe.each(Object.entries(backends))('%s', (where, open) => {
  let backend: ScheduledBackend;
  beforeAll(async () => {
    backend = await open();
  });
  afterAll(() => backend[Symbol.dispose]());

  it.each(backendCases)('$name', async ({ name, run }) => {
    const measured = await run(backend);
    if (name.includes('LSTM') || name.includes('halves')) console.log(`${where}: ${measured}`);
  });
});
