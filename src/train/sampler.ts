/** Text from a trained model, character by character. */
import type { Backend } from '../backend/backend.js';
import { programTensors } from '../backend/program-tensors.js';
import { CounterRandom } from '../data/random.js';
import { Scope } from '../dispose.js';
import { requireInteger, requireNumber } from '../ranges.js';
import { RANDOM_STREAMS } from './random-streams.js';
import { prediction } from './step-program.js';
import type { TrainedModel } from './weights.js';

export interface SampleOptions {
  /** What the text begins with; it is not part of what is returned. */
  readonly prompt?: string;
  /** Characters to draw. */
  readonly length: number;
  /** Below 1: more of what is likely; above 1: more of what is not. */
  readonly temperature?: number;
  readonly seed?: number;
}

/** Ranges of the options, for whoever takes them from a user. */
export const SAMPLE_RANGES = {
  length: { min: 1, max: 1_000_000 },
  temperature: { above: 0, max: 100 },
  seed: { min: 0, max: 2 ** 32 - 1 },
} as const;

/**
 * Draws characters from the softmax of logits / temperature; the same seed on the same backend gives the same
 * text. Without a prompt the model starts behind a line break, or behind its first character where the
 * vocabulary has no line break.
 * @throws KronogradError OPTION for an option out of range, TEXT for a prompt with a character that the model has
 * never seen.
 */
export async function* sample(
  backend: Backend,
  { model, theta, vocabulary }: Omit<TrainedModel, 'config'>,
  { prompt = '', length, temperature = 1, seed = 1 }: SampleOptions,
): AsyncGenerator<string, void, undefined> {
  requireInteger(length, 'length', SAMPLE_RANGES.length);
  requireNumber(temperature, 'temperature', SAMPLE_RANGES.temperature);
  const random = new CounterRandom(seed, RANDOM_STREAMS.sampling);
  const start = vocabulary.characters.includes('\n') ? '\n' : vocabulary.characters[0]!;
  const prefix = vocabulary.encode(prompt === '' ? start : prompt, 'prompt');

  using scope = new Scope();
  const program = prediction(model, 1);
  const executable = scope.own(await backend.compile(program));
  const tensors = programTensors(backend, program, scope);
  tensors.theta!.write(theta);
  const feed = (id: number): void => {
    tensors.characters!.write([id]);
    executable.run(tensors);
  };
  for (const id of prefix) feed(id);
  for (let drawn = 1; ; drawn += 1) {
    const id = draw(await tensors.logits!.read(), temperature, random.uniform());
    yield vocabulary.characters[id]!;
    if (drawn === length) return;
    feed(id);
  }
}

/** The class at which the cumulated softmax of logits / temperature passes `uniform`, which is in [0, 1). */
function draw(logits: ArrayLike<number>, temperature: number, uniform: number): number {
  const values = Array.from(logits);
  const largest = Math.max(...values);
  const weights = values.map((logit) => Math.exp((logit - largest) / temperature));
  let rest = uniform * weights.reduce((total, weight) => total + weight, 0);
  // Rounding may leave a rest behind the last class: it falls to the likeliest.
  const id = weights.findIndex((weight) => (rest -= weight) < 0);
  return id >= 0 ? id : values.indexOf(largest);
}
