/**
 * Adam (Kingma & Ba, algorithm 1) and AdamW (Loshchilov & Hutter, algorithm 2), with PyTorch's defaults:
 *
 *     m = b1 m + (1 - b1) g      v = b2 v + (1 - b2) g^2      theta -= lr / (1 - b1^t) * m / (sqrt(v / (1 - b2^t)) + eps)
 */
import type { Algebra } from '../program/functions.js';
import { decayed, type Optimizer, withDecay } from './optimizer.js';

export interface AdamOptions {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  readonly weightDecay?: number;
  /** AdamW: theta shrinks by lr * weightDecay * theta instead of the decay joining the gradient. */
  readonly decoupled?: boolean;
}

/** 1 - beta^t = 2 h / (1 + h) with h = tanh(-t ln(beta) / 2): without cancellation, in float32 as well. */
function biasCorrection<V>(on: Algebra<V>, beta: number, t: V): V {
  const h = on.call('tanh', on.call('mul', t, on.constant(-Math.log(beta) / 2)));
  return on.call('div', on.call('mul', on.constant(2), h), on.call('add', on.constant(1), h));
}

export function adam(options: AdamOptions = {}): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0, decoupled = false } = options;
  return {
    name: decoupled ? 'adamw' : 'adam',
    slots: ['m', 'v'],
    scalars: (on, { step, learningRate }) => {
      const mean = biasCorrection(on, beta1, step);
      return {
        stepSize: on.call('div', learningRate, mean),
        rootCorrection: on.call('sqrt', biasCorrection(on, beta2, step)),
        // Of decay, which the correction of the mean does not concern.
        decayCorrection: mean,
      };
    },
    update(on, at) {
      const { theta, slots, scalars } = at;
      const c = (x: number) => on.constant(x);
      const g = decoupled ? at.gradient : withDecay(on, at, weightDecay);
      const m = on.add(on.mul(slots.m!, c(beta1)), on.mul(g, c(1 - beta1)));
      const v = on.add(on.mul(slots.v!, c(beta2)), on.mul(on.mul(g, g), c(1 - beta2)));
      const root = on.add(on.call('div', on.call('sqrt', v), scalars.rootCorrection!), c(epsilon));
      const direction = on.call('div', m, root);
      const decay = decoupled ? decayed(on, at, weightDecay) : null;
      const whole = decay ? on.add(direction, on.mul(decay, scalars.decayCorrection!)) : direction;
      const step = on.mul(whole, scalars.stepSize!);
      return { theta: on.sub(theta, step), slots: { m, v } };
    },
  };
}
