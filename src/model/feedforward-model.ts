/**
 * The feed-forward network as a model of sequences of a fixed length: it sees all T steps at once, as T n features.
 * With T = 1 it is the FNN of the papers; with one hidden layer of tanh and sigmoid cross-entropy, the tanh MLP.
 */
import type { ActivationName } from '../cells/equations.js';
import { KronogradError } from '../errors.js';
import type { Builder } from '../program/builder.js';
import { float, type Shape, type Type, type Value } from '../program/program.js';
import { feedForward } from './feedforward.js';
import { LOSSES } from './losses.js';
import type { Model, ModelInputs, ModelOutputs } from './model.js';
import { linearSpecs, Parameters } from './parameters.js';
import { type SequenceTargets, targetTypes } from './sequence-targets.js';

export interface FeedForwardModelConfig extends SequenceTargets {
  /** T */
  readonly steps: number;
  /** n: features of a step. */
  readonly features: number;
  /** Units of each hidden layer. */
  readonly hidden: readonly number[];
  readonly activation: ActivationName;
}

export class FeedForwardModel implements Model {
  readonly parameters: Parameters;
  /** Features of each layer, the input's first. */
  readonly #sizes: readonly number[];

  /** @throws KronogradError OPTION for targets at every step, which a network without time does not have. */
  constructor(readonly config: FeedForwardModelConfig) {
    const { steps, features, hidden, outputs, perStep } = config;
    if (perStep)
      throw new KronogradError('OPTION', 'a feed-forward network has one output for the whole sequence', {
        where: 'perStep',
        fix: 'use a recurrent model, or one target for each sequence',
      });
    this.#sizes = [steps * features, ...hidden, outputs];
    this.parameters = new Parameters(
      this.#sizes.slice(1).flatMap((size, k) => linearSpecs(`layers.${k}`, this.#sizes[k]!, size)),
    );
  }

  stateShapes(): Record<string, Shape> {
    return {};
  }

  /** `inputs` [T, r, n], `targets` and `weight`. @throws KronogradError SHAPE for another T than its own. */
  batchTypes(T: number, r: number): Record<string, Type> {
    const { steps, features } = this.config;
    if (T !== steps)
      throw new KronogradError('SHAPE', `the network sees ${steps} steps, not ${T}`, {
        where: 'inputs',
        fix: `give sequences of ${steps} steps`,
      });
    return { inputs: float(T, r, features), ...targetTypes(this.config, T, r) };
  }

  forward(on: Builder, { theta, batch }: ModelInputs): ModelOutputs {
    const [T, r, n] = batch.inputs!.type.shape as [number, number, number];
    const x = on.reshape(on.transpose(batch.inputs!, [1, 0, 2]), [r, T * n]);
    const last = this.#sizes.length - 2;
    const layers = feedForward(
      on,
      x,
      this.#sizes.slice(1).map((_, k) => ({
        weight: this.parameters.view(on, theta, `layers.${k}.weight`),
        bias: this.parameters.view(on, theta, `layers.${k}.bias`),
        activation: k === last ? 'identity' : this.config.activation,
      })),
    );
    const prediction = layers[last]!.z;
    const { loss: name } = this.config;
    const { targets, weight } = batch as { targets: Value; weight: Value };
    const loss = LOSSES[name](on, prediction, targets, weight);
    return { prediction, loss, head: { name, output: prediction, targets, weight }, state: {} };
  }
}
