import type { Vocabulary } from '../data/text.js';
import type { LanguageModel } from '../model/language-model.js';
import { optimizerNamed } from '../optim/index.js';
import type { Optimizer } from '../optim/optimizer.js';
import type { Program } from '../program/program.js';
import type { TrainConfig } from './config.js';
import { trainingStep } from './step-program.js';
import { languageModel } from './weights.js';

/** Losses are kept on the device for so many steps before they are written over. */
export const RING_LENGTH = 64;

export interface ConfiguredStep {
  readonly model: LanguageModel;
  readonly optimizer: Optimizer;
  readonly program: Program;
}

/** The training step that a configuration asks for. */
export function configuredStep(config: TrainConfig, vocabulary: Vocabulary): ConfiguredStep {
  const { batch, unroll, clip, clipValue, layers } = config;
  const model = languageModel(config, vocabulary);
  const optimizer = optimizerNamed(config.optimizer, config.weightDecay);
  // Between layers: with one layer there is nothing to drop.
  const dropout = layers > 1 ? config.dropout : 0;
  // Without decay there is nothing that biases could be exempt from.
  const decayBiases = config.decayBiases || config.weightDecay === 0;
  const options = {
    ...{ batch, unroll, optimizer, clip, clipValue, decayBiases, dropout },
    ringLength: RING_LENGTH,
  };
  return { model, optimizer, program: trainingStep(model, options) };
}
