/** The Vanilla LSTM (Sherstinsky, eq. 126-136; math.md section 5): peepholes W_s, the readout gate sees the new s. */
import { defineCell } from './cell.js';
import { add, linear, mul, sigmoid, tanh } from './equations.js';

export const vanillaLstm = defineCell({
  name: 'vanilla-lstm',
  parameters: ({ input: d_x, hidden: d_s }) => ({
    Wx_cu: [d_s, d_x],
    Ws_cu: [d_s, d_s],
    Wv_cu: [d_s, d_s],
    b_cu: [d_s],
    Wx_cs: [d_s, d_x],
    Ws_cs: [d_s, d_s],
    Wv_cs: [d_s, d_s],
    b_cs: [d_s],
    Wx_cr: [d_s, d_x],
    Ws_cr: [d_s, d_s],
    Wv_cr: [d_s, d_s],
    b_cr: [d_s],
    Wx_du: [d_s, d_x],
    Wv_du: [d_s, d_s],
    b_du: [d_s],
  }),
  state: ({ hidden: d_s }) => ({ s: d_s, v: d_s }),
  output: 'v',
  gates: ['g_cu', 'g_cs', 'g_cr'],
  carousel: { state: 's', gate: 'g_cs' },
  step(x, { s: s_, v: v_ }, p) {
    const a_cu = add(linear(x, p.Wx_cu!), p.b_cu!, linear(s_!, p.Ws_cu!), linear(v_!, p.Wv_cu!)); // (126)
    const a_cs = add(linear(x, p.Wx_cs!), p.b_cs!, linear(s_!, p.Ws_cs!), linear(v_!, p.Wv_cs!)); // (127)
    const a_du = add(linear(x, p.Wx_du!), p.b_du!, linear(v_!, p.Wv_du!)); // (129)
    const u = tanh(a_du); // (130)
    const g_cu = sigmoid(a_cu); // (131)
    const g_cs = sigmoid(a_cs); // (132)
    const s = add(mul(g_cs, s_!), mul(g_cu, u)); // (133)
    const a_cr = add(linear(x, p.Wx_cr!), p.b_cr!, linear(s, p.Ws_cr!), linear(v_!, p.Wv_cr!)); // (128)
    const g_cr = sigmoid(a_cr); // (134)
    const r = tanh(s); // (135)
    const v = mul(g_cr, r); // (136)
    return { a_cu, a_cs, a_cr, a_du, u, g_cu, g_cs, g_cr, r, s, v };
  },
});
