/** A layer of the stacked RNN (Naumov, eq. 47-48; math.md section 3): y = W x + U z' + b, z = f(y). */
import { defineCell } from './cell.js';
import { type ActivationName, activation, add, linear } from './equations.js';

export const naumovRnn = (f: ActivationName = 'tanh') =>
  defineCell({
    name: 'naumov-rnn',
    parameters: ({ input, hidden }) => ({ W: [hidden, input], U: [hidden, hidden], b: [hidden] }),
    state: ({ hidden }) => ({ z: hidden }),
    output: 'z',
    recurrence: { matrix: 'U', activation: f, carries: 'value' },
    step(x, state, { W, U, b }) {
      const y = add(linear(x, W!), b!, linear(state.z!, U!)); // (47)
      return { y, z: activation(f)(y) }; // (48)
    },
  });
