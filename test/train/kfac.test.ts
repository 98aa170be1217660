/** K-FAC as an optimizer of runs: it learns, and a resumed run is one that never stopped. */
import { expect, test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { decodeCheckpoint } from '../../src/train/checkpoint.js';
import { Trainer } from '../../src/train/trainer.js';
import { bitsOf, prepare } from './setup.js';

const RUN = {
  optimizer: 'kfac',
  dropout: 0,
  hidden: 16,
  layers: 1,
  embedding: 4,
  weightDecay: 1e-5,
} as const;

async function advance(trainer: Trainer, steps: number): Promise<void> {
  for (let i = 0; i < steps; i++) await trainer.step(trainer.data.stream.at(trainer.nextBatch));
}

test('a text: fewer nats than the frequencies of its characters explain, and on to the same bits', async () => {
  const { config, data } = await prepare(RUN);
  using trainer = await Trainer.create(new Float32Backend(), config, data);
  await advance(trainer, 30);
  const checkpoint = await decodeCheckpoint(await bitsOf(trainer), 'test');
  await advance(trainer, 30);
  const losses = await trainer.losses();
  expect(losses[0]!.loss).toBeGreaterThan(3);
  expect(losses.at(-1)!.loss).toBeLessThan(2);

  using resumed = await Trainer.restore(new Float32Backend(), checkpoint, config, data);
  await advance(resumed, 30);
  expect(await bitsOf(resumed)).toEqual(await bitsOf(trainer));
});

test.each([
  ['dropout', { ...RUN, layers: 2, dropout: 0.1 }],
  ['zoneout', { ...RUN, zoneout: 0.1 }],
])('%s is refused', async (_, run) => {
  await expect(prepare(run)).rejects.toMatchObject({ code: 'OPTION' });
});
