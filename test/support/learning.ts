/** Training end to end, small enough for a GPU in software. */
import type { Backend } from '../../src/backend/backend.js';
import { resolveTrainConfig, type TrainConfig } from '../../src/train/config.js';
import { fit } from '../../src/train/fit.js';
import { prepareText } from '../../src/train/text-data.js';
import { Trainer } from '../../src/train/trainer.js';

const LINES = [
  'It is not down in any map; true places never are.',
  'I know not all that may be coming, but be it what it will, I will go to it laughing.',
  'Better sleep with a sober cannibal than a drunk Christian.',
];

export const TINY_TEXT = Array.from({ length: 24 }, (_, i) => `${LINES[i % LINES.length]}\n`).join('');

const TINY_CONFIG = resolveTrainConfig({
  ...{ hidden: 48, batch: 8, unroll: 16, steps: 150, lr: 0.02, schedule: 'constant' },
  ...{ validationFraction: 0, seed: 7 },
});

/** Nats per character. Each line is followed by the same one, so that a memory of its beginning tells the rest. */
const AT_START_ABOVE = 3;
const AT_END_BELOW = 0.7;

/** The first loss of the tiny text, and the mean of the last ten. */
export async function learnText(backend: Backend, changes: Partial<TrainConfig>) {
  const config = { ...TINY_CONFIG, ...changes };
  const data = await prepareText(TINY_TEXT, config);
  using trainer = await Trainer.create(backend, config, data);
  const losses: number[] = [];
  await fit(trainer, { onEvent: (event) => event.kind === 'step' && losses.push(event.loss) });
  return { losses, first: losses[0]!, last: losses.slice(-10).reduce((sum, loss) => sum + loss / 10, 0) };
}

/** The loss of a tiny text falls, with the state carried from batch to batch. */
export async function learnsATinyText(backend: Backend): Promise<string> {
  const { losses, first, last } = await learnText(backend, {});
  const told = `the loss went from ${first.toFixed(2)} to ${last.toFixed(2)} in ${losses.length} steps`;
  if (!(first > AT_START_ABOVE && last < AT_END_BELOW))
    throw new Error(`${told}; expected from above ${AT_START_ABOVE} to below ${AT_END_BELOW}`);
  return told;
}
