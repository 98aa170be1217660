/** Training with recurrent dropout and zoneout: it learns, takes the same step everywhere, and evaluates without draws. */
import { expect, test } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { createDawnBackend } from '../../src/backend/webgpu/dawn.js';
import { LanguageModel } from '../../src/model/language-model.js';
import { fit } from '../../src/train/fit.js';
import { evaluation } from '../../src/train/step-program.js';
import { advance, newTrainer } from './setup.js';

const noise = { recurrentDropout: 0.1, zoneout: 0.1 };

test('learns a tiny text', async () => {
  const run = { hidden: 32, layers: 1, dropout: 0, steps: 300, schedule: 'constant', ...noise };
  using trainer = await newTrainer(new Float32Backend(), { ...run, evaluateEvery: 300 });
  const { last } = await fit(trainer);
  expect(last!.validationLoss).toBeLessThan(1);
});

test('a step on WebGPU is that of the CPU, and another for another seed', async () => {
  const after = async (backend: Backend, seed: number) => {
    const run = { optimizer: 'sgd', lr: 1, unroll: 4, batch: 4, dropout: 0.2, seed, ...noise };
    using trainer = await newTrainer(backend, run);
    advance(trainer, 2);
    return trainer.parameters();
  };
  using gpu = await createDawnBackend();
  const [onGpu, onCpu] = [await after(gpu, 1), await after(new Float32Backend(), 1)];
  expect(Math.max(...onCpu.map((x, i) => Math.abs(x - onGpu[i]!)))).toBeLessThan(2e-6);
  expect(await after(new Float32Backend(), 2)).not.toEqual(onCpu);
});

test('validation draws nothing and needs no key', () => {
  const model = new LanguageModel({
    ...{ cell: 'lstm', vocabulary: 5, hidden: 4, layers: 2, embedding: 'one-hot' },
    ...noise,
  });
  const program = evaluation(model, 2, 3);
  expect(program.inputs.map(({ name }) => name)).not.toContain('key');
  expect(program.nodes.some(({ op }) => op.kind === 'random')).toBe(false);
});
