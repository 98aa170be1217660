/** `nn.GRU` (math.md section 10): gates in the order r, z, n; bias_hh of n sits inside the reset product. */
import { defineCell } from './cell.js';
import { add, complement, linear, mul, sigmoid, split, type Term, tanh } from './equations.js';

export const gru = defineCell({
  name: 'gru',
  parameters: ({ input, hidden }) => ({
    weight_ih: [3 * hidden, input],
    weight_hh: [3 * hidden, hidden],
    bias_ih: [3 * hidden],
    bias_hh: [3 * hidden],
  }),
  state: ({ hidden }) => ({ h: hidden }),
  output: 'h',
  gates: ['r', 'z'],
  step(x, { h }, p) {
    const [i_r, i_z, i_n] = split(add(linear(x, p.weight_ih!), p.bias_ih!), 3) as [Term, Term, Term];
    const [h_r, h_z, h_n] = split(add(linear(h!, p.weight_hh!), p.bias_hh!), 3) as [Term, Term, Term];
    const r = sigmoid(add(i_r, h_r));
    const z = sigmoid(add(i_z, h_z));
    const n = tanh(add(i_n, mul(r, h_n)));
    return { r, z, n, h: add(mul(complement(z), n), mul(z, h!)) };
  },
});
