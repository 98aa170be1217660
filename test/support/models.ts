/** Small models of every kind, for what must hold of all of them. */
import { cells } from '../../src/cells/index.js';
import { CounterRandom } from '../../src/data/random.js';
import { batchInputs } from '../../src/model/batch-inputs.js';
import { FeedForwardModel } from '../../src/model/feedforward-model.js';
import { LanguageModel, type LanguageModelConfig } from '../../src/model/language-model.js';
import type { Model } from '../../src/model/model.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float, type Program } from '../../src/program/program.js';
import { randomBatch, smallSequenceModel } from './curvature-problems.js';

const language = (given: Partial<LanguageModelConfig>): Model =>
  new LanguageModel({ cell: 'lstm', vocabulary: 7, hidden: 12, layers: 1, embedding: 'one-hot', ...given });

/** Every cell, and every way to put cells together. Classes are below 7. */
export const models: Readonly<Record<string, Model>> = {
  ...Object.fromEntries(Object.keys(cells).map((cell) => [cell, language({ cell })])),
  'a stack of three': language({ layers: 3 }),
  'a projection': language({ projection: 5 }),
  'an embedding': language({ embedding: 6 }),
  'computed again': language({ recompute: true }),
  'both directions': smallSequenceModel('lstm', { hidden: 12, layers: 2, bidirectional: true, masked: true }),
  attention: smallSequenceModel('naumov-rnn', { hidden: 12, attention: true }),
  'a state carried on': smallSequenceModel('gru', { hidden: 12, carried: true }),
  'feed-forward': new FeedForwardModel({
    ...{ steps: 6, features: 2, hidden: [12, 9], activation: 'tanh', outputs: 2, perStep: false },
    loss: 'half-squared-error',
  }),
};

/** T and r of their batches. */
export const SIZES = { steps: 6, samples: 4 };

/** The loss of a batch and its gradient. */
export function gradientOf(model: Model): Program {
  const on = new Builder();
  const theta = on.input('theta', float(model.parameters.size));
  const { loss } = model.forward(on, { theta, ...batchInputs(on, model, SIZES) });
  return on.build({ loss, gradient: gradient(on, loss, [theta])[0]! });
}

export function inputsOf(model: Model): Record<string, Float64Array | Int32Array> {
  const { parts, state = {} } = randomBatch(model, { ...SIZES, classes: 7, seed: 5 });
  const theta = model.parameters.initial(new CounterRandom(3, 3));
  const states = Object.fromEntries(Object.entries(state).map(([name, data]) => [`state.${name}`, data]));
  return { theta, ...parts, ...states } as Record<string, Float64Array | Int32Array>;
}
