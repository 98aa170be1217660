/** What a model is to whoever trains it: parameters, the parts of a batch, and a loss as a function of both. */
import type { Builder } from '../program/builder.js';
import type { Shape, Type, Value } from '../program/program.js';
import type { LossName } from './losses.js';
import type { Dropout } from './noise.js';
import type { Parameters } from './parameters.js';
import type { StackedLayer } from './recurrent.js';

export interface Model {
  readonly parameters: Parameters;
  /** Whether training draws numbers inside its layers, and so needs a key. */
  readonly isRandom?: boolean;
  /** Shapes of the state that one batch of r samples leaves to the next; none where batches are independent. */
  stateShapes(r: number): Readonly<Record<string, Shape>>;
  /** Types of the parts of a batch of r samples over T steps, by the names they have as a program's inputs. */
  batchTypes(T: number, r: number): Readonly<Record<string, Type>>;
  forward(on: Builder, inputs: ModelInputs): ModelOutputs;
}

export interface ModelInputs {
  /** [parameters.size] */
  readonly theta: Value;
  readonly batch: Readonly<Record<string, Value>>;
  /** The state that the batch before has left. */
  readonly state: Readonly<Record<string, Value>>;
  readonly dropout?: Dropout | undefined;
  /** In training, where `isRandom`: int[2], a new one for each step. */
  readonly key?: Value | undefined;
}

/** What a loss is made of: the head of its name, on rows of the prediction. */
export interface ModelHead {
  readonly name: LossName;
  /** The prediction, or the part of it that the loss counts: [..., c]. */
  readonly output: Value;
  /** Classes [...], or values [..., c]. */
  readonly targets: Value;
  /** What each row counts, [...]. */
  readonly weight: Value;
}

export interface ModelOutputs {
  /** [] */
  readonly loss: Value;
  /** What the loss compares with the targets: values, or the logits of classes. */
  readonly prediction: Value;
  readonly head: ModelHead;
  /** The state behind the batch. */
  readonly state: Readonly<Record<string, Value>>;
  /** The recurrent layers as they ran; absent where there are none. */
  readonly layers?: readonly StackedLayer[];
}
