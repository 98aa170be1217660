/**
 * The Augmented LSTM (Sherstinsky, eq. 196-214; math.md section 6): the Vanilla LSTM with an input window of L
 * steps, a projection W_qdr of the value to d_v features where the sizes ask for one, and a control-input gate cx.
 */
import { type CellSizes, defineCell, type Terms } from './cell.js';
import { add, linear, mul, sigmoid, type Term, tanh, windowed } from './equations.js';

export interface AugmentedLstmOptions {
  /** L: the step sees x[n], ..., x[n + L - 1]. */
  readonly window?: number;
  /** Project q where the sizes give a projection; otherwise v = q. */
  readonly projected?: boolean;
  /** The gate g_cx on the input of the data update. */
  readonly inputGate?: boolean;
}

export const augmentedLstm = ({
  window: L = 1,
  projected = true,
  inputGate = true,
}: AugmentedLstmOptions = {}) => {
  const outputs = ({ hidden, projection }: CellSizes) => (projected && projection) || hidden;
  return defineCell({
    name: 'augmented-lstm',
    window: L,
    parameters(sizes) {
      const { input: d_x, hidden: d_s } = sizes;
      const d_v = outputs(sizes);
      const gate = (g: string) => ({
        [`Wx_${g}`]: [L, d_s, d_x],
        [`Ws_${g}`]: [d_s, d_s],
        [`Wv_${g}`]: [d_s, d_v],
        [`b_${g}`]: [d_s],
      });
      return {
        ...gate('cu'),
        ...gate('cs'),
        ...gate('cr'),
        ...(inputGate ? gate('cx') : {}),
        Wx_du: [L, d_s, d_x],
        Wv_du: [d_s, d_v],
        b_du: [d_s],
        ...(projected && sizes.projection > 0 ? { W_qdr: [d_v, d_s] } : {}),
      };
    },
    state: (sizes) => ({ s: sizes.hidden, v: outputs(sizes) }),
    output: 'v',
    gates: ['g_cu', 'g_cs', 'g_cr', ...(inputGate ? ['g_cx'] : [])],
    carousel: { state: 's', gate: 'g_cs' },
    step(x, { s: s_, v: v_ }, p) {
      const xi = (g: string) => windowed(x, p[`Wx_${g}`]!); // (187), (196)-(200)
      const a = (g: string, s: Term) =>
        add(xi(g), p[`b_${g}`]!, linear(s, p[`Ws_${g}`]!), linear(v_!, p[`Wv_${g}`]!));
      const a_cu = a('cu', s_!); // (201)
      const a_cs = a('cs', s_!); // (202)
      const g_cu = sigmoid(a_cu); // (205)
      const g_cs = sigmoid(a_cs); // (206)
      const xi_du = xi('du');
      const cx: Terms = inputGate ? { a_cx: a('cx', s_!), g_cx: sigmoid(a('cx', s_!)) } : {}; // (203), (208)
      const a_du = add(cx.g_cx ? mul(cx.g_cx, xi_du) : xi_du, p.b_du!, linear(v_!, p.Wv_du!)); // (204)
      const u = tanh(a_du); // (209)
      const s = add(mul(g_cs, s_!), mul(g_cu, u)); // (210)
      const a_cr = a('cr', s); // (211)
      const g_cr = sigmoid(a_cr); // (207)
      const r = tanh(s); // (212)
      const q = mul(g_cr, r); // (213)
      const v = 'W_qdr' in p ? linear(q, p.W_qdr!) : q; // (214)
      return { xi_du, a_cu, a_cs, a_cr, a_du, ...cx, u, g_cu, g_cs, g_cr, r, q, s, v };
    },
  });
};
