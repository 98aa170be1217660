/** The recurrence of the attention RNN (HSK, eq. 1; math.md section 9): a = W h' + U x + b, h = tanh(a). */
import { defineCell } from './cell.js';
import { add, linear, tanh } from './equations.js';

export const attentionRnn = defineCell({
  name: 'attention-rnn',
  parameters: ({ input, hidden }) => ({ W: [hidden, hidden], U: [hidden, input], b: [hidden] }),
  state: ({ hidden }) => ({ h: hidden }),
  output: 'h',
  recurrence: { matrix: 'W', activation: 'tanh', carries: 'value' },
  step(x, state, { W, U, b }) {
    const a = add(linear(x, U!), b!, linear(state.h!, W!)); // (1)
    return { a, h: tanh(a) };
  },
});
