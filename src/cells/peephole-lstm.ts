/**
 * The LSTM with peepholes (Gers, Schraudolph and Schmidhuber 2002, "Learning Precise Timing with LSTM Recurrent
 * Networks", section 2): `nn.LSTM` whose gates see the unit's own cell by a weight of each unit, i and f the one
 * before the step, o the new one.
 */
import { defineCell } from './cell.js';
import { add, linear, mul, sigmoid, split, type Term, tanh } from './equations.js';

export const peepholeLstm = defineCell({
  name: 'peephole-lstm',
  parameters: ({ input, hidden }) => ({
    weight_ih: [4 * hidden, input],
    weight_hh: [4 * hidden, hidden],
    bias: [4 * hidden],
    p_i: [hidden],
    p_f: [hidden],
    p_o: [hidden],
  }),
  state: ({ hidden }) => ({ h: hidden, c: hidden }),
  output: 'h',
  gates: ['i', 'f', 'o'],
  carousel: { state: 'c', gate: 'f' },
  step(x, { h: h_, c: c_ }, p) {
    const a = add(add(linear(x, p.weight_ih!), p.bias!), linear(h_!, p.weight_hh!));
    const [a_i, a_f, a_g, a_o] = split(a, 4) as [Term, Term, Term, Term];
    const i = sigmoid(add(a_i, mul(p.p_i!, c_!)));
    const f = sigmoid(add(a_f, mul(p.p_f!, c_!)));
    const c = add(mul(f, c_!), mul(i, tanh(a_g)));
    const o = sigmoid(add(a_o, mul(p.p_o!, c)));
    return { i, f, o, c, h: mul(o, tanh(c)) };
  },
});
