/** The standard RNN (Sherstinsky, eq. 32-33; math.md section 4): the signal s is carried, its squashed r read. */
import { defineCell } from './cell.js';
import { type ActivationName, activation, add, linear } from './equations.js';

export const standardRnn = (G: ActivationName = 'tanh') =>
  defineCell({
    name: 'standard-rnn',
    parameters: ({ input, hidden }) => ({ W_r: [hidden, hidden], W_x: [hidden, input], theta_s: [hidden] }),
    state: ({ hidden }) => ({ s: hidden }),
    output: 'r',
    recurrence: { matrix: 'W_r', activation: G, carries: 'argument' },
    step(x, state, { W_r, W_x, theta_s }) {
      const before = activation(G)(state.s!);
      const s = add(linear(x, W_x!), theta_s!, linear(before, W_r!)); // (32)
      return { s, r: activation(G)(s) }; // (33)
    },
  });
