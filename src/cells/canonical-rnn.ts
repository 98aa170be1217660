/** The canonical RNN (Sherstinsky, eq. 30-31; math.md section 4): the standard one with a linear path W_s. */
import { defineCell } from './cell.js';
import { type ActivationName, activation, add, linear } from './equations.js';

export const canonicalRnn = (G: ActivationName = 'tanh') =>
  defineCell({
    name: 'canonical-rnn',
    parameters: ({ input, hidden }) => ({
      W_s: [hidden, hidden],
      W_r: [hidden, hidden],
      W_x: [hidden, input],
      theta_s: [hidden],
    }),
    state: ({ hidden }) => ({ s: hidden }),
    output: 'r',
    recurrence: { matrix: 'W_r', linear: 'W_s', activation: G, carries: 'argument' },
    step(x, state, { W_s, W_r, W_x, theta_s }) {
      const before = activation(G)(state.s!);
      const s = add(linear(x, W_x!), theta_s!, linear(state.s!, W_s!), linear(before, W_r!)); // (30)
      return { s, r: activation(G)(s) }; // (31)
    },
  });
