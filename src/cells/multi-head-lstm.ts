/**
 * The LSTM with a block-diagonal recurrence (Kuchaiev and Ginsburg 2017, "Factorization tricks for LSTM networks",
 * group LSTM; the heads of sLSTM in Beck et al. 2024, section 2.2): unit and gate see only the h' of their own head.
 * Elsewhere `nn.LSTM`; weight_hh is a block [4 d, d] for each head of d = hidden / heads units.
 */
import { KronogradError } from '../errors.js';
import { type CellSizes, defineCell } from './cell.js';
import { add, byHead, linear, mul, sigmoid, split, type Term, tanh } from './equations.js';

export const multiHeadLstm = ({ heads = 4 }: { readonly heads?: number } = {}) => {
  if (!Number.isInteger(heads) || heads < 1)
    throw new KronogradError('OPTION', `there cannot be ${heads} heads`, {
      where: 'heads',
      fix: 'give a whole number from 1',
    });
  const unitsOf = ({ hidden }: CellSizes) => {
    if (hidden % heads === 0) return hidden / heads;
    throw new KronogradError('OPTION', `${hidden} units cannot be divided among ${heads} heads`, {
      where: 'hidden',
      fix: `give a multiple of ${heads}`,
    });
  };
  return defineCell({
    name: 'multi-head-lstm',
    multiple: heads,
    parameters(sizes) {
      const { input, hidden } = sizes;
      const d = unitsOf(sizes);
      return {
        weight_ih: [4 * hidden, input],
        weight_hh: [heads, 4 * d, d],
        bias_ih: [4 * hidden],
        bias_hh: [4 * hidden],
      };
    },
    state: ({ hidden }) => ({ h: hidden, c: hidden }),
    output: 'h',
    gates: ['i', 'f', 'o'],
    carousel: { state: 'c', gate: 'f' },
    step(x, { h: h_, c: c_ }, p) {
      const ofInput = split(add(linear(x, p.weight_ih!), p.bias_ih!, p.bias_hh!), 4);
      const ofState = byHead(h_!, p.weight_hh!, 4);
      const [a_i, a_f, a_g, a_o] = ofInput.map((a, k) => add(a, ofState[k]!)) as [Term, Term, Term, Term];
      const [i, f, o] = [sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)];
      const c = add(mul(f, c_!), mul(i, tanh(a_g)));
      return { i, f, o, c, h: mul(o, tanh(c)) };
    },
  });
};
