/** The losses of math.md 0.4 of one row, by definition: the oracle of heads. */
import type { LossName } from '../../src/model/losses.js';

export const LOSS_OF_ROW: Record<LossName, (o: number[], target: number[]) => number> = {
  'half-squared-error': (o, target) => o.reduce((sum, x, i) => sum + (x - target[i]!) ** 2 / 2, 0),
  'mean-squared-error': (o, target) => o.reduce((sum, x, i) => sum + (x - target[i]!) ** 2 / o.length, 0),
  'softmax-cross-entropy': (o, [label]) => Math.log(o.reduce((sum, x) => sum + Math.exp(x), 0)) - o[label!]!,
  'sigmoid-cross-entropy': (o, target) =>
    o.reduce((sum, x, i) => sum + Math.log1p(Math.exp(x)) - target[i]! * x, 0),
};
