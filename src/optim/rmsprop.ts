/**
 * RMSProp (Hinton, lecture 6e), as PyTorch defines it:
 *
 *     v = alpha v + (1 - alpha) g^2      theta -= lr * g / (sqrt(v) + eps)
 *
 * Centered (Graves, eq. 38-39), v is less the square of the mean gradient; with momentum the quotient is gathered
 * in b = mu b + g / (sqrt(v) + eps), and theta -= lr * b.
 */
import type { Value } from '../program/program.js';
import { type Optimizer, withDecay } from './optimizer.js';

export interface RmsPropOptions {
  readonly alpha?: number;
  readonly epsilon?: number;
  readonly weightDecay?: number;
  /** mu; 0: without a slot for it. */
  readonly momentum?: number;
  /** Divide by the deviation of the gradient instead of its root mean square. */
  readonly centered?: boolean;
}

export function rmsProp(options: RmsPropOptions = {}): Optimizer {
  const { alpha = 0.99, epsilon = 1e-8, weightDecay = 0, momentum = 0, centered = false } = options;
  return {
    name: 'rmsprop',
    slots: ['v', ...(centered ? ['mean'] : []), ...(momentum > 0 ? ['b'] : [])],
    scalars: (_, { learningRate }) => ({ stepSize: learningRate }),
    update(on, at) {
      const { theta, slots, scalars } = at;
      const average = (before: Value, x: Value) =>
        on.add(on.mul(before, on.constant(alpha)), on.mul(x, on.constant(1 - alpha)));
      const g = withDecay(on, at, weightDecay);
      const after: Record<string, Value> = { v: average(slots.v!, on.mul(g, g)) };
      let variance = after.v!;
      if (centered) {
        after.mean = average(slots.mean!, g);
        // Never negative but for rounding.
        variance = on.call('max', on.constant(0), on.sub(variance, on.mul(after.mean, after.mean)));
      }
      let direction = on.call('div', g, on.add(on.call('sqrt', variance), on.constant(epsilon)));
      if (momentum > 0) {
        after.b = on.add(on.mul(slots.b!, on.constant(momentum)), direction);
        direction = after.b;
      }
      return { theta: on.sub(theta, on.mul(direction, scalars.stepSize!)), slots: after };
    },
  };
}
