import { beforeAll, describe, expect, test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { fit } from '../../src/train/fit.js';
import { type SampleOptions, sample } from '../../src/train/sampler.js';
import { type TrainedModel, trainedModel } from '../../src/train/weights.js';
import { newTrainer } from './setup.js';

const backend = new Float32Backend();
let trained: TrainedModel;

/** Small, and trained until it knows its sentence. */
beforeAll(async () => {
  using trainer = await newTrainer(backend, { hidden: 32, layers: 1, steps: 400, lr: 0.02 });
  await fit(trainer);
  trained = trainedModel(await trainer.checkpoint(), 'test');
});

async function drawn(options: SampleOptions): Promise<string> {
  let text = '';
  for await (const character of sample(backend, trained, options)) text += character;
  return text;
}

describe('sample', () => {
  test('continues a prompt as the text that was learnt would', async () => {
    expect(await drawn({ prompt: 'the quick', length: 30, temperature: 0.2 })).toBe(
      ' brown fox jumps over the lazy',
    );
  });

  test('is the same for the same seed, another for another, and more varied when it is hot', async () => {
    const hot = { length: 40, temperature: 2 };
    expect(await drawn({ ...hot, seed: 5 })).toBe(await drawn({ ...hot, seed: 5 }));
    expect(await drawn({ ...hot, seed: 5 })).not.toBe(await drawn({ ...hot, seed: 6 }));
    const letters = async (temperature: number) => new Set(await drawn({ length: 200, temperature })).size;
    expect(await letters(100)).toBeGreaterThan(20);
  });

  test('the seed is of the drawing alone: a longer text begins like a shorter one', async () => {
    expect((await drawn({ length: 30 })).slice(0, 10)).toBe(await drawn({ length: 10 }));
  });

  test('a cold one takes the likeliest character whatever the seed', async () => {
    const cold = { prompt: 'the', length: 40, temperature: 1e-3 };
    expect(await drawn({ ...cold, seed: 1 })).toBe(await drawn({ ...cold, seed: 2 }));
  });

  test('starts without a prompt', async () => {
    expect(await drawn({ length: 5 })).toHaveLength(5);
  });

  test.each([
    [{ prompt: 'Ahab', length: 1 }, 'TEXT', 'prompt'],
    [{ length: 0 }, 'OPTION', 'length'],
    [{ length: 1, temperature: 0 }, 'OPTION', 'temperature'],
    [{ length: 1, temperature: Number.NaN }, 'OPTION', 'temperature'],
    [{ length: 1, seed: -1 }, 'OPTION', 'seed'],
  ])('refuses %o', async (options, code, where) => {
    await expect(drawn(options)).rejects.toMatchObject({ code, where });
  });

  test('gives its memory back, also when it is left early', async () => {
    const before = backend.bytesInUse;
    for await (const _ of sample(backend, trained, { length: 100 })) break;
    expect(backend.bytesInUse).toBe(before);
  });
});
