/** Training where memory is short: steps are computed again where storing them does not fit. */
import { describe, expect, test } from 'vitest';
import type { Capacity } from '../../src/backend/backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { addingProblem } from '../../src/data/tasks.js';
import { KronogradError } from '../../src/errors.js';
import { fittingConfig } from '../../src/train/room.js';
import { resolveSequenceConfig } from '../../src/train/sequence-config.js';
import { SequenceData } from '../../src/train/sequence-data.js';
import { Trainer } from '../../src/train/trainer.js';
import { expectClose } from '../support/numbers.js';
import { advance, bitsOf, prepare } from './setup.js';
import { buffersOf, scarcity } from './short-of-memory.js';

class Short extends Float64Backend {
  override readonly capacity: Capacity;
  constructor(buffer: number) {
    super();
    this.capacity = buffersOf(buffer);
  }
}

const LONG = { layers: 2, batch: 2, unroll: 64, hidden: 16, dropout: 0 };

const isMemory = (error: unknown): error is KronogradError =>
  error instanceof KronogradError && error.code === 'MEMORY';

describe('a configuration', () => {
  test('is left alone where it fits, and changed where it fits only so', async () => {
    const { config, data } = await prepare(LONG);
    const { stored, between } = scarcity(config, data);
    expect(fittingConfig(config, data, new Short(stored))).toBe(config);
    expect(fittingConfig(config, data, new Short(between))).toEqual({ ...config, recompute: true });
  });

  test('that forbids it is refused, and told what would help', async () => {
    const { config, data } = await prepare({ ...LONG, recompute: false });
    const backend = new Short(scarcity(config, data).between);
    const tried = () => fittingConfig(config, data, backend);
    expect(tried).toThrow(
      expect.objectContaining({
        code: 'MEMORY',
        fix: expect.stringMatching(/^use --recompute, or --hidden/),
      }),
    );
  });

  test('that does not fit even so is refused with the numbers that count it, and sizes that fit', async () => {
    const { config, data } = await prepare({ ...LONG, batch: 6 });
    const backend = new Short(scarcity(config, data).again / 2);
    const error = await Trainer.create(backend, config, data).catch((thrown: unknown) => thrown);
    if (!isMemory(error)) throw error;
    const needed = /in one buffer even when it computes its steps again/;
    expect(error.message).toMatch(needed);
    const sizes = [...error.fix!.matchAll(/--(\w+) of at most about (\d+)/g)];
    expect(sizes.map(([, key]) => key)).toEqual(['hidden', 'batch', 'unroll']);
    for (const [, key, size] of sizes)
      expect(() => fittingConfig({ ...config, [key!]: Number(size) }, data, backend)).not.toThrow();
  });
});

describe('a run', () => {
  test('has the losses of one that stores, and goes on as it began where there is room again', async () => {
    const { config, data } = await prepare(LONG);
    const backend = new Short(scarcity(config, data).between);
    const roomy = new Float64Backend();
    using storing = await Trainer.create(roomy, config, data);
    using again = await Trainer.create(backend, config, data);
    expect([storing.config.recompute, again.config.recompute]).toEqual([undefined, true]);
    for (const trainer of [storing, again]) advance(trainer, 5);
    const losses = async (trainer: Trainer) => (await trainer.losses()).map(({ loss }) => loss);
    expectClose(await losses(again), await losses(storing), 1e-12, 'losses of 5 steps');

    const checkpoint = await again.checkpoint();
    expect(checkpoint.config.recompute).toBe(true);
    using resumed = await Trainer.restore(roomy, checkpoint, config, data);
    for (const trainer of [again, resumed]) advance(trainer, 3);
    expect(await bitsOf(resumed)).toEqual(await bitsOf(again));
  });

  test('on sequences of many lengths, in both directions, does so too', async () => {
    const sizes = { cell: 'gru', hidden: 16, layers: 2, batch: 4, steps: 20, bidirectional: true };
    const config = resolveSequenceConfig(sizes);
    const training = addingProblem({ seed: 1, steps: 80, varyLength: true });
    const data = new SequenceData({ training, validation: null, identity: { name: 'adding' } }, config);
    const backend = new Short(scarcity(config, data).between);
    using storing = await Trainer.create(new Float64Backend(), config, data);
    using again = await Trainer.create(backend, config, data);
    expect(again.config.recompute).toBe(true);
    const losses = async (trainer: Trainer<SequenceData>) => {
      for (let i = 0; i < 3; i++) trainer.step(data.stream.at(trainer.nextBatch));
      return (await trainer.losses()).map(({ loss }) => loss);
    };
    expectClose(await losses(again), await losses(storing), 1e-12, 'losses of 3 steps');
  });
});
