/** Small runs for the tests of training. */
import type { Backend } from '../../src/backend/backend.js';
import { encodeCheckpoint } from '../../src/train/checkpoint.js';
import { overlayConfig, resolveTrainConfig, type TrainConfigInput } from '../../src/train/config.js';
import { prepareText } from '../../src/train/text-data.js';
import { Trainer } from '../../src/train/trainer.js';

export const FOX = 'the quick brown fox jumps over the lazy dog. '.repeat(30);

/** Two layers and dropout, so that every part of a checkpoint matters; epochs end within a run. */
export const SMALL = {
  hidden: 8,
  layers: 2,
  batch: 4,
  unroll: 8,
  steps: 60,
  dropout: 0.25,
  lr: 0.01,
  evaluateEvery: 25,
  saveEvery: 10,
} satisfies TrainConfigInput;

export async function prepare(changes: TrainConfigInput = {}, text = FOX) {
  const config = resolveTrainConfig(overlayConfig(SMALL, changes));
  return { config, data: await prepareText(text, config) };
}

export async function newTrainer(backend: Backend, changes: TrainConfigInput = {}): Promise<Trainer> {
  const { config, data } = await prepare(changes);
  return Trainer.create(backend, config, data);
}

/** `steps` more steps on the next batches. */
export function advance(trainer: Trainer, steps: number): void {
  for (let i = 0; i < steps; i += 1) trainer.step(trainer.data.stream.at(trainer.nextBatch));
}

/** Every bit that a run consists of. */
export const bitsOf = async (trainer: Trainer) => encodeCheckpoint(await trainer.checkpoint());
