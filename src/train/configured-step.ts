import type { Model } from '../model/model.js';
import { isSecondOrder, optimizerNamed } from '../optim/index.js';
import type { Optimizer } from '../optim/optimizer.js';
import type { Program } from '../program/program.js';
import { groupVectors } from './parameter-groups.js';
import type { RunConfig } from './run-config.js';
import { trainingStep } from './step-program.js';
import type { TrainingData } from './training-data.js';
import { RING_LENGTH } from './training-steps.js';

export interface ConfiguredStep {
  readonly model: Model;
  readonly optimizer: Optimizer;
  readonly program: Program;
  /** What the program's input `groups` holds; null where it has none. */
  readonly groups: Float32Array | null;
}

/** The training step that a configuration asks for, on batches of T steps or of `length`. @throws KronogradError OPTION for a group without parameters. */
export function configuredStep(
  config: RunConfig,
  data: TrainingData,
  length = data.unroll(config),
): ConfiguredStep {
  const { batch, clip, clipValue, layers, weightDecay, precision } = config;
  const model = data.model(config);
  if (isSecondOrder(config.optimizer)) throw new Error(`${config.optimizer} takes no such step`);
  const optimizer = optimizerNamed(config.optimizer, weightDecay);
  const groups = groupVectors(model.parameters, config);
  const program = trainingStep(model, {
    ...{ batch, unroll: length, optimizer, clip, clipValue, precision },
    grouped: groups !== null,
    // Between layers: with one layer there is nothing to drop.
    dropout: layers > 1 ? config.dropout : 0,
    ringLength: RING_LENGTH,
  });
  return { model, optimizer, program, groups };
}
