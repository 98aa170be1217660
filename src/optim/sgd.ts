/** Stochastic gradient descent with momentum, as PyTorch defines it: v = mu v + g, theta = theta - lr v. */
import type { Value } from '../program/program.js';
import { type Optimizer, withDecay } from './optimizer.js';

export interface SgdOptions {
  /** mu; 0: plain descent, without a slot. */
  readonly momentum?: number;
  /** Look ahead: theta - lr (g + mu v). */
  readonly nesterov?: boolean;
  /** Adds this share of theta to the gradient. */
  readonly weightDecay?: number;
}

export function sgd({ momentum = 0, nesterov = false, weightDecay = 0 }: SgdOptions = {}): Optimizer {
  return {
    name: momentum === 0 ? 'sgd' : nesterov ? 'nesterov' : 'momentum',
    slots: momentum === 0 ? [] : ['v'],
    scalars: (_, { learningRate }) => ({ stepSize: learningRate }),
    update(on, at) {
      const { theta, slots, scalars } = at;
      const g = withDecay(on, at, weightDecay);
      const mu = on.constant(momentum);
      const v = slots.v && on.add(on.mul(slots.v, mu), g);
      const direction = v === undefined ? g : nesterov ? on.add(g, on.mul(v, mu)) : v;
      return {
        theta: on.sub(theta, on.mul(direction, scalars.stepSize!)),
        slots: v === undefined ? ({} as Record<string, Value>) : { v },
      };
    },
  };
}
