/**
 * Sequences in, one output or one for each step out: recurrent layers of any cell and a linear head, with dot-product
 * attention between them or without.
 */
import { KronogradError } from '../errors.js';
import type { Builder } from '../program/builder.js';
import { float, int, type Shape, type Type, type Value } from '../program/program.js';
import { attendToPast } from './attention.js';
import { LOSSES } from './losses.js';
import type { Model, ModelInputs, ModelOutputs } from './model.js';
import { isRandom } from './noise.js';
import { linearSpecs, Parameters } from './parameters.js';
import {
  outputFeatures,
  type RecurrentConfig,
  type RecurrentOptions,
  recurrent,
  recurrentConfig,
  recurrentSpecs,
  stateShapes,
} from './recurrent.js';
import { type SequenceTargets, targetTypes } from './sequence-targets.js';

export interface SequenceModelConfig extends SequenceTargets, RecurrentOptions {
  /** Features of a step; of a one-hot input, the number of classes. */
  readonly features: number;
  /** Steps are classes, fed as one-hot vectors. */
  readonly oneHot?: boolean;
  readonly bidirectional?: boolean;
  /**
   * Whether the head reads, instead of the last layer's output, what that attends to among its outputs so far. With one
   * layer of `naumov-rnn` this is the attention RNN (HSK; math.md section 9).
   */
  readonly attention?: boolean;
  /** Whether sequences may end before T: a batch then has a mask. */
  readonly masked?: boolean;
  /** Whether a batch goes on from the state that the one before has left, as segments of long sequences do. */
  readonly carried?: boolean;
}

export class SequenceModel implements Model {
  readonly parameters: Parameters;
  readonly isRandom: boolean;
  readonly #recurrent: RecurrentConfig;

  /**
   * @throws KronogradError OPTION for an unknown cell, for attention to the past in both directions of time, and for a
   * carried state where time has both directions or attention reaches back over a batch's beginning.
   */
  constructor(readonly config: SequenceModelConfig) {
    const { features, bidirectional = false, attention = false, carried = false } = config;
    if (attention && bidirectional)
      throw new KronogradError('OPTION', 'attention to the steps so far has one direction of time', {
        where: 'bidirectional',
        fix: 'leave out either of the two',
      });
    if (carried && (attention || bidirectional))
      throw new KronogradError(
        'OPTION',
        'a state can only be carried on in one direction, and without attention',
        {
          where: attention ? 'attention' : 'bidirectional',
          fix: 'begin each segment with a state of zero, or leave it out',
        },
      );
    this.#recurrent = recurrentConfig(config, { input: features, bidirectional });
    this.isRandom = isRandom(config);
    this.parameters = new Parameters([
      ...recurrentSpecs(this.#recurrent),
      ...linearSpecs('head', outputFeatures(this.#recurrent), config.outputs),
    ]);
  }

  /** None where sequences are independent: each begins with a state of zero then. */
  stateShapes(r: number): Record<string, Shape> {
    return this.config.carried ? stateShapes(this.#recurrent, r) : {};
  }

  /** `inputs` [T, r, n], or classes [T, r]; `mask` [T, r] where sequences may end early; targets and weight. */
  batchTypes(T: number, r: number): Record<string, Type> {
    const { features, oneHot, masked } = this.config;
    return {
      inputs: oneHot ? int(T, r) : float(T, r, features),
      ...(masked ? { mask: float(T, r) } : {}),
      ...targetTypes(this.config, T, r),
    };
  }

  forward(on: Builder, { theta, batch, state: before, dropout, key }: ModelInputs): ModelOutputs {
    const { cell, perStep, carried = false } = this.config;
    const parameter = (name: string) => this.parameters.view(on, theta, name);
    const { inputs: x, mask } = batch;
    const r = x!.type.shape[1]!;
    const zero = () =>
      Object.fromEntries(
        Object.entries(stateShapes(this.#recurrent, r)).map(([name, shape]) => [name, on.full(shape, 0)]),
      );
    const { output, layers, state } = recurrent(on, this.#recurrent, {
      x: x!,
      state: carried ? before : zero(),
      parameter: (name) => parameter(`${cell}.${name}`),
      mask,
      dropout,
      key,
    });
    const read = this.config.attention ? attendToPast(on, output).Z : output;
    const z = perStep ? read : this.#atEnds(on, read, mask);
    const prediction = on.add(on.linear(z, parameter('head.weight')), parameter('head.bias'));
    const { loss: name } = this.config;
    const [targets, weight] = [batch.targets!, batch.weight!];
    const loss = LOSSES[name](on, prediction, targets, weight);
    const head = { name, output: prediction, targets, weight };
    return { prediction, loss, head, layers, state: carried ? state : {} };
  }

  /**
   * [T, r, features] -> [r, features]: what each direction puts out behind its last step, which is a sequence's own
   * end forwards, and its first step backwards.
   */
  #atEnds(on: Builder, output: Value, mask: Value | undefined): Value {
    const [T, r, features] = output.type.shape as [number, number, number];
    const { bidirectional = false } = this.config;
    if (!bidirectional && mask === undefined) return on.reshape(on.slice(output, 0, T - 1, 1), [r, features]);
    const step = on.iota([T, 1, 1], 0);
    const last = mask ? lastSteps(on, mask) : on.call('equal', step, on.constant(T - 1));
    const forwards = on.call('greater', on.constant(features / 2), on.iota([features], 0));
    const first = on.call('equal', step, on.constant(0));
    const ends = bidirectional ? on.call('select', forwards, last, first) : last;
    return on.sum(on.mul(output, ends), [0]);
  }
}

/** 1 at the last step of each sequence of a mask [T, r], as [T, r, 1]. */
function lastSteps(on: Builder, mask: Value): Value {
  const [T, r] = mask.type.shape as [number, number];
  const behind = on.full([1, r], 0);
  const next = T === 1 ? behind : on.concat([on.slice(mask, 0, 1, T - 1), behind], 0);
  return on.reshape(on.sub(mask, next), [T, r, 1]);
}
