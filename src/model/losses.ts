/** Heads: the loss as a function of the network's output (math.md 0.4), weighted per row (math.md 0.5). */
import type { Builder } from '../program/builder.js';
import { sizeOf, type Value } from '../program/program.js';

/** E = sum over rows of weight * l(output, target), of shape []. */
export type Head = (on: Builder, output: Value, target: Value, weight: Value) => Value;

/** 1/2 |o - t|^2 */
export const halfSquaredError: Head = (on, output, target, weight) => {
  const d = on.sub(output, target);
  return on.sumAll(on.mul(on.mul(on.mul(d, d), on.constant(0.5)), perRow(on, weight)));
};

/** 1/c |o - t|^2: PyTorch's MSELoss, when the weights average over the rows. */
export const meanSquaredError: Head = (on, output, target, weight) => {
  const outputs = output.type.shape.at(-1)!;
  return on.mul(halfSquaredError(on, output, target, weight), on.constant(2 / outputs));
};

/** s lse(o) - t.o, for a dense target or classes. */
export const softmaxCrossEntropy: Head = (on, output, target, weight) =>
  on.sumAll(on.softmaxCrossEntropy(output, target, weight).loss);

/** softplus(o) - t o, summed over the outputs. */
export const sigmoidCrossEntropy: Head = (on, output, target, weight) => {
  const each = on.sub(on.call('softplus', output), on.mul(target, output));
  return on.sumAll(on.mul(each, perRow(on, weight)));
};

/** The losses by the names that configurations have for them. */
export const LOSSES = {
  'half-squared-error': halfSquaredError,
  'mean-squared-error': meanSquaredError,
  'softmax-cross-entropy': softmaxCrossEntropy,
  'sigmoid-cross-entropy': sigmoidCrossEntropy,
} as const satisfies Record<string, Head>;

export type LossName = keyof typeof LOSSES;

const perRow = (on: Builder, weight: Value): Value => on.reshape(weight, [...weight.type.shape, 1]);

/** The weight of every row for the mean over all of them. */
export const meanWeight = (on: Builder, shape: readonly number[]): Value => on.full(shape, 1 / sizeOf(shape));
