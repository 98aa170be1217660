/** `nn.LSTM` (math.md section 10): gates in the order i, f, g, o; with weight_hr the hidden state is projected. */
import type { Cell } from './cell.js';
import { add, linear, mul, sigmoid, split, type Term, tanh } from './equations.js';

export const lstm: Cell = {
  name: 'lstm',
  parameters: ({ input, hidden, projection }) => ({
    weight_ih: [4 * hidden, input],
    weight_hh: [4 * hidden, projection || hidden],
    bias_ih: [4 * hidden],
    bias_hh: [4 * hidden],
    ...(projection > 0 ? { weight_hr: [projection, hidden] } : {}),
  }),
  state: ({ hidden, projection }) => ({ h: projection || hidden, c: hidden }),
  output: 'h',
  step(x, { h, c }, { weight_ih, weight_hh, bias_ih, bias_hh, weight_hr }) {
    const a = add(add(linear(x, weight_ih!), bias_ih!, bias_hh!), linear(h!, weight_hh!));
    const [i, f, g, o] = split(a, 4) as [Term, Term, Term, Term];
    const cell = add(mul(sigmoid(f), c!), mul(sigmoid(i), tanh(g)));
    const q = mul(sigmoid(o), tanh(cell));
    return { h: weight_hr ? linear(q, weight_hr) : q, c: cell };
  },
};
