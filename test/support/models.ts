/** Small models of every kind, for what must hold of all of them. */
import { cells } from '../../src/cells/index.js';
import { FeedForwardModel } from '../../src/model/feedforward-model.js';
import { LanguageModel, type LanguageModelConfig } from '../../src/model/language-model.js';
import type { Model } from '../../src/model/model.js';
import { smallSequenceModel } from './curvature-problems.js';

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
