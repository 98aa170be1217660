import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { createDawnBackend } from '../../src/backend/webgpu/dawn.js';
import type { KronogradError } from '../../src/errors.js';
import { decodeCheckpoint } from '../../src/train/checkpoint.js';
import type { TrainConfigInput } from '../../src/train/config.js';
import { fit } from '../../src/train/fit.js';
import { Trainer } from '../../src/train/trainer.js';
import { RING_LENGTH } from '../../src/train/training-steps.js';
import { advance, bitsOf, FOX, newTrainer, prepare } from './setup.js';

const backends: [string, () => Promise<Backend>][] = [
  ['cpu-float64', async () => new Float64Backend()],
  ['cpu', async () => new Float32Backend()],
  ['webgpu', () => createDawnBackend()],
];

describe.each(backends)('on %s', (_name, open) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await open();
  });
  afterAll(() => backend[Symbol.dispose]());

  test('the same seed gives the same bits, another seed others', async () => {
    using one = await newTrainer(backend);
    using two = await newTrainer(backend);
    using other = await newTrainer(backend, { seed: 2 });
    for (const trainer of [one, two, other]) advance(trainer, 6);
    expect(await bitsOf(one)).toEqual(await bitsOf(two));
    expect((await one.losses()).map(({ loss }) => loss)).not.toEqual(
      (await other.losses()).map(({ loss }) => loss),
    );
  });

  test('a restored run gives the bits of one that never stopped', async () => {
    using whole = await newTrainer(backend);
    // Across the end of an epoch, where the state is reset.
    const total = whole.data.stream.batchesPerEpoch + 5;
    advance(whole, total);

    using first = await newTrainer(backend);
    advance(first, total - 9);
    const saved = await decodeCheckpoint(await bitsOf(first), 'test');
    advance(first, 3); // what a killed run made after its last save is lost
    using second = await Trainer.restore(backend, saved, first.config, first.data);
    advance(second, 9);
    expect(await bitsOf(second)).toEqual(await bitsOf(whole));
  });

  test('reading losses, evaluating and saving change nothing', async () => {
    using quiet = await newTrainer(backend);
    using watched = await newTrainer(backend);
    advance(quiet, 5);
    for (let i = 0; i < 5; i += 1) {
      advance(watched, 1);
      await watched.losses();
      await watched.evaluate(watched.data.validation);
      await watched.checkpoint();
    }
    expect(await bitsOf(watched)).toEqual(await bitsOf(quiet));
  });
});

describe('losses', () => {
  test('come in order, each once, and the last of them when the ring has gone round', async () => {
    using trainer = await newTrainer(new Float32Backend(), { steps: 1000 });
    expect(await trainer.losses()).toEqual([]);
    advance(trainer, 3);
    expect((await trainer.losses()).map(({ step }) => step)).toEqual([1, 2, 3]);
    expect(await trainer.losses()).toEqual([]);
    advance(trainer, RING_LENGTH + 7);
    const steps = (await trainer.losses()).map(({ step }) => step);
    expect(steps).toEqual(Array.from({ length: RING_LENGTH }, (_, i) => 3 + 7 + 1 + i));
  });

  test('begin at the entropy of a uniform guess, with a gradient to follow', async () => {
    using trainer = await newTrainer(new Float64Backend());
    advance(trainer, 1);
    const [first] = await trainer.losses();
    expect(first!.loss).toBeCloseTo(Math.log(trainer.data.vocabulary.size), 0);
    expect(first!.gradientNorm).toBeGreaterThan(0.01);
  });
});

describe('restore refuses a checkpoint', () => {
  const saved = async () => {
    using trainer = await newTrainer(new Float32Backend());
    advance(trainer, 2);
    return trainer.checkpoint();
  };

  test.each([
    [{ hidden: 9 }, 'hidden is 8 there, 9 here'],
    [{ layers: 1 }, 'layers is 2 there, 1 here'],
    [{ batch: 5 }, 'batch is 4 there, 5 here'],
    [{ optimizer: 'sgd' }, 'optimizer is "adam" there, "sgd" here'],
    [{ seed: 3 }, 'seed is 1 there, 3 here'],
  ])('for another run: %o', async (changes, message) => {
    const { config, data } = await prepare(changes);
    await expect(Trainer.restore(new Float32Backend(), await saved(), config, data)).rejects.toMatchObject({
      code: 'CHECKPOINT',
      message: expect.stringContaining(message),
    });
  });

  test('of another text', async () => {
    const { config, data } = await prepare({}, 'pack my box with five dozen liquor jugs. '.repeat(40));
    await expect(Trainer.restore(new Float32Backend(), await saved(), config, data)).rejects.toMatchObject({
      code: 'CHECKPOINT',
      message: 'the checkpoint is of another text',
    });
  });

  test('with a weight missing', async () => {
    const checkpoint = await saved();
    const weights = new Map(checkpoint.weights);
    weights.delete('head.bias');
    const { config, data } = await prepare();
    await expect(
      Trainer.restore(new Float32Backend(), { ...checkpoint, weights }, config, data),
    ).rejects.toMatchObject({ code: 'CHECKPOINT', message: expect.stringContaining('"head.bias"') });
  });

  test('with a part of the optimizer missing', async () => {
    const checkpoint = await saved();
    const optimizer = { ...checkpoint.optimizer, tensors: new Map() };
    const { config, data } = await prepare();
    await expect(
      Trainer.restore(new Float32Backend(), { ...checkpoint, optimizer }, config, data),
    ).rejects.toMatchObject({ code: 'CHECKPOINT', message: expect.stringContaining('"m"') });
  });
});

test('what does not change the continuity may differ', async () => {
  const backend = new Float32Backend();
  using trainer = await newTrainer(backend);
  advance(trainer, 2);
  const { config, data } = await prepare({ lr: 0.5, clip: 1, steps: 500 });
  using restored = await Trainer.restore(backend, await trainer.checkpoint(), config, data);
  expect(restored.stepsDone).toBe(2);
});

test('disposing gives all memory back, also after a refusal', async () => {
  const backend = new Float32Backend();
  const trainer = await newTrainer(backend);
  const checkpoint = await trainer.checkpoint();
  await trainer.evaluate(trainer.data.validation);
  const { config, data } = trainer;
  trainer[Symbol.dispose]();
  trainer[Symbol.dispose]();
  const damaged = { ...checkpoint, state: new Map() };
  await expect(Trainer.restore(backend, damaged, config, data)).rejects.toMatchObject({ code: 'CHECKPOINT' });
  expect(backend.bytesInUse).toBe(0);
});

test('1,000 steps on a GPU leave no memory behind', async () => {
  using backend = await createDawnBackend();
  const sizes = {
    hidden: 4,
    layers: 1,
    batch: 2,
    unroll: 2,
    steps: 1000,
    evaluateEvery: 250,
    saveEvery: 100,
  };
  using trainer = await newTrainer(backend, sizes);
  advance(trainer, 1);
  await trainer.losses();
  await trainer.evaluate(trainer.data.validation);
  await trainer.evaluate(trainer.data.training.subarray(0, sizes.unroll + 1));
  const { liveBuffers, liveBytes } = backend.device;
  await fit(trainer, { save: async () => {} });
  expect(trainer.stepsDone).toBe(1000);
  expect(backend.device).toMatchObject({ liveBuffers, liveBytes });
}, 180_000);

describe('what is too large', () => {
  const refusal = async (changes: TrainConfigInput, text = FOX) => {
    const { config, data } = await prepare({ layers: 1, ...changes }, text);
    return Trainer.create(new Float32Backend(), config, data).then(
      () => undefined,
      (error: KronogradError) => error,
    );
  };

  test('is refused with the numbers and the largest that fits', async () => {
    const error = await refusal({ hidden: 32_768 });
    expect(error).toMatchObject({
      code: 'MEMORY',
      message: expect.stringMatching(/\d+ MiB.* there is room for 4096 MiB$/),
    });
    const [, hidden] = /^use --hidden of at most about (\d+)$/.exec(error!.fix!)!;
    // Seven copies of 4 h^2 numbers: parameters, gradient, two moments and what a step makes of them.
    expect(Number(hidden)).toBeGreaterThan(5000);
    expect(Number(hidden)).toBeLessThan(10_000);
  });

  test('names each size that would help', async () => {
    const error = await refusal({ hidden: 2000, batch: 1000, unroll: 1000 }, FOX.repeat(800));
    expect(error!.fix).toMatch(/^use --hidden of at most about \d+, or --batch .* \d+, or --unroll .* \d+$/);
  });
});
