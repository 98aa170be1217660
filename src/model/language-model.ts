/** A character language model: embedding or one-hot input, stacked recurrent layers, a linear head. */
import type { Builder } from '../program/builder.js';
import { int, type Shape, type Type, type Value } from '../program/program.js';
import { meanWeight, softmaxCrossEntropy } from './losses.js';
import type { Model, ModelInputs, ModelOutputs } from './model.js';
import { type Dropout, isRandom } from './noise.js';
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

export interface LanguageModelConfig extends RecurrentOptions {
  readonly vocabulary: number;
  /** Features of a learned embedding, or classes fed as one-hot vectors. */
  readonly embedding: number | 'one-hot';
}

export class LanguageModel implements Model {
  readonly parameters: Parameters;
  readonly isRandom: boolean;
  readonly #recurrent: RecurrentConfig;

  constructor(readonly config: LanguageModelConfig) {
    const { vocabulary, embedding } = config;
    this.#recurrent = recurrentConfig(config, { input: embedding === 'one-hot' ? vocabulary : embedding });
    this.isRandom = isRandom(config);
    this.parameters = new Parameters([
      // As PyTorch's embeddings begin.
      ...(embedding === 'one-hot'
        ? []
        : [
            {
              name: 'embedding.weight',
              shape: [vocabulary, embedding],
              init: { kind: 'normal', scale: 1 } as const,
            },
          ]),
      ...recurrentSpecs(this.#recurrent),
      ...linearSpecs('head', outputFeatures(this.#recurrent), vocabulary),
    ]);
  }

  /** Shapes of the carried state for r streams. */
  stateShapes(r: number): Record<string, Shape> {
    return stateShapes(this.#recurrent, r);
  }

  /** Characters and the ones that follow them. */
  batchTypes(T: number, r: number): Record<string, Type> {
    return { characters: int(T, r), targets: int(T, r) };
  }

  /** The mean loss over all characters, and the logits. */
  forward(on: Builder, { theta, batch, state, dropout, key }: ModelInputs): ModelOutputs {
    const { characters, targets } = batch;
    const { logits, state: after, ...layers } = this.logits(on, theta, characters!, state, { dropout, key });
    const weight = meanWeight(on, targets!.type.shape);
    const loss = this.loss(on, logits, targets!, weight);
    const head = { name: 'softmax-cross-entropy', output: logits, targets: targets!, weight } as const;
    return { loss, prediction: logits, head, state: after, ...layers };
  }

  /** Logits [T, r, vocabulary] for characters [T, r], and the state behind the last of them. */
  logits(
    on: Builder,
    theta: Value,
    characters: Value,
    state: Readonly<Record<string, Value>>,
    training: { readonly dropout?: Dropout | undefined; readonly key?: Value | undefined } = {},
  ): { logits: Value } & Omit<ReturnType<typeof recurrent>, 'output'> {
    const parameter = (name: string) => this.parameters.view(on, theta, name);
    const { cell, embedding } = this.config;
    const x = embedding === 'one-hot' ? characters : on.gather(parameter('embedding.weight'), characters);
    const { output, ...rest } = recurrent(on, this.#recurrent, {
      x,
      state,
      parameter: (name) => parameter(`${cell}.${name}`),
      ...training,
    });
    const logits = on.add(on.linear(output, parameter('head.weight')), parameter('head.bias'));
    return { logits, ...rest };
  }

  /** The mean cross-entropy, in nats, of predicting `targets` [T, r]; `weight` [T, r] holds mask and average. */
  loss(on: Builder, logits: Value, targets: Value, weight: Value): Value {
    return softmaxCrossEntropy(on, logits, targets, weight);
  }
}
