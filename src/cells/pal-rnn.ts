/** The pre-activation RNN (Pal, eq. 1-2; math.md section 7): the carried h is what goes into the activation. */
import { defineCell } from './cell.js';
import { type ActivationName, activation, add, linear } from './equations.js';

/** @param readout `pre`: the layer puts out h, eq. (2); `post`: sigma(h), as (G1)(G2) imply. */
export const palRnn = (sigma: ActivationName = 'tanh', readout: 'pre' | 'post' = 'pre') =>
  defineCell({
    name: 'pal-rnn',
    parameters: ({ input, hidden }) => ({ W_R: [hidden, hidden], W_I: [hidden, input], b_R: [hidden] }),
    state: ({ hidden }) => ({ h: hidden }),
    output: 'q',
    recurrence: { matrix: 'W_R', activation: sigma, carries: 'argument' },
    step(x, state, { W_R, W_I, b_R }) {
      const h = add(linear(x, W_I!), b_R!, linear(activation(sigma)(state.h!), W_R!)); // (1)
      return { h, q: readout === 'pre' ? h : activation(sigma)(h) };
    },
  });
