/** Every cell of the table learns a tiny text, and takes the same step on a GPU as on the CPU. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { createDawnBackend } from '../../src/backend/webgpu/dawn.js';
import { TEXT_CELLS } from '../../src/train/config.js';
import { fit } from '../../src/train/fit.js';
import { advance, newTrainer } from './setup.js';

/** Nats per character of the fox, after 3.4 at the start. */
const LEARNT = 0.5;

test.each(TEXT_CELLS)('%s learns a tiny text', async (cell) => {
  const run = { cell, hidden: 32, layers: 1, dropout: 0, steps: 200, schedule: 'constant' };
  using trainer = await newTrainer(new Float32Backend(), { ...run, evaluateEvery: 200 });
  const { last } = await fit(trainer);
  expect(last!.validationLoss).toBeLessThan(LEARNT);
});

describe('one step on WebGPU is that of the CPU', () => {
  let gpu: Backend;
  beforeAll(async () => {
    gpu = await createDawnBackend();
  });
  afterAll(() => gpu[Symbol.dispose]());

  test.each(TEXT_CELLS)('%s', async (cell) => {
    // Plain descent: Adam would make a step of the learning rate out of a gradient that is rounding alone.
    const run = { cell, layers: 1, dropout: 0, optimizer: 'sgd', lr: 1, unroll: 4 };
    const after = async (backend: Backend) => {
      using trainer = await newTrainer(backend, run);
      advance(trainer, 1);
      return { theta: await trainer.parameters(), losses: await trainer.losses() };
    };
    const [onGpu, onCpu] = [await after(gpu), await after(new Float32Backend())];
    expect(onGpu.losses[0]!.loss).toBeCloseTo(onCpu.losses[0]!.loss, 5);
    const largest = Math.max(...onCpu.theta.map((x, i) => Math.abs(x - onGpu.theta[i]!)));
    expect(largest).toBeLessThan(1e-6);
  });
});
