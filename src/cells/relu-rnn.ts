/** The ReLU-RNN (notes; math.md section 8): A = U h' + V x, h = relu(A), without biases. */
import { defineCell } from './cell.js';
import { activation, add, linear } from './equations.js';

export const reluRnn = defineCell({
  name: 'relu-rnn',
  parameters: ({ input, hidden }) => ({ U: [hidden, hidden], V: [hidden, input] }),
  state: ({ hidden }) => ({ h: hidden }),
  output: 'h',
  recurrence: { matrix: 'U', activation: 'relu', carries: 'value' },
  step(x, state, { U, V }) {
    const A = add(linear(x, V!), linear(state.h!, U!));
    return { A, h: activation('relu')(A) };
  },
});
