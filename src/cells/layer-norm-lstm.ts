/**
 * The layer-normalised LSTM (Ba, Kiros and Hinton 2016, eq. 20-22), gates in the order i, f, g, o. LN normalises
 * W_h h' and W_x x over all four gates, and c before its tanh.
 *
 * A product is centred by its weights: W z less its mean is (W less the means of its columns) z. The means then
 * leave the loop over time, and the variance is a mean of squares from which nothing is subtracted.
 */
import { defineCell } from './cell.js';
import {
  add,
  centred,
  inverseRoot,
  linear,
  mean,
  mul,
  sigmoid,
  split,
  sub,
  type Term,
  tanh,
} from './equations.js';

const EPSILON = 1e-5;

/** a / sqrt(var(a)) for a of mean zero. */
const scaled = (a: Term): Term => mul(a, inverseRoot(mean(mul(a, a)), EPSILON));

export const layerNormLstm = defineCell({
  name: 'layer-norm-lstm',
  parameters: ({ input, hidden }) => ({
    weight_ih: [4 * hidden, input],
    weight_hh: [4 * hidden, hidden],
    gain_ih: [4 * hidden],
    gain_hh: [4 * hidden],
    bias_ih: [4 * hidden],
    bias_hh: [4 * hidden],
    gain_c: [hidden],
    bias_c: [hidden],
  }),
  beginsAs: { gain_ih: 1, gain_hh: 1, bias_ih: 0, bias_hh: 0, gain_c: 1, bias_c: 0 },
  state: ({ hidden }) => ({ h: hidden, c: hidden }),
  output: 'h',
  gates: ['i', 'f', 'o'],
  carousel: { state: 'c', gate: 'f' },
  step(x, { h: h_, c: c_ }, p) {
    const ofInput = scaled(linear(x, centred(p.weight_ih!)));
    const ofState = scaled(linear(h_!, centred(p.weight_hh!)));
    const a = add(add(mul(p.gain_ih!, ofInput), p.bias_ih!, p.bias_hh!), mul(p.gain_hh!, ofState)); // (20)
    const [a_i, a_f, a_g, a_o] = split(a, 4) as [Term, Term, Term, Term];
    const [i, f, o] = [sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)];
    const c = add(mul(f, c_!), mul(i, tanh(a_g))); // (21)
    const normal = scaled(sub(c, mean(c)));
    return { i, f, o, c, h: mul(o, tanh(add(mul(p.gain_c!, normal), p.bias_c!))) }; // (22)
  },
});
