/** `nn.LSTM` (math.md section 10): gates in the order i, f, g, o; with a projection the hidden state is W_hr q. */
import { defineCell } from './cell.js';
import { add, linear, mul, sigmoid, split, type Term, tanh } from './equations.js';

export const lstm = defineCell({
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
  gates: ['i', 'f', 'o'],
  carousel: { state: 'c', gate: 'f' },
  step(x, state, p) {
    const a = add(add(linear(x, p.weight_ih!), p.bias_ih!, p.bias_hh!), linear(state.h!, p.weight_hh!));
    const [a_i, a_f, a_g, a_o] = split(a, 4) as [Term, Term, Term, Term];
    const [i, f, o] = [sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)];
    const c = add(mul(f, state.c!), mul(i, tanh(a_g)));
    const q = mul(o, tanh(c));
    return { i, f, o, c, h: 'weight_hr' in p ? linear(q, p.weight_hr!) : q };
  },
});
