/** Sherstinsky's LSTMs with random numbers, and the backward passes of math.md's sections 5 and 6 by hand. */
import { type Case, observed } from './engine.js';
import {
  add,
  Draw,
  had,
  type Matrix,
  map,
  mv,
  outer,
  type Stack,
  scale,
  softmax,
  sub,
  sum,
  T,
  times,
  type Vector,
} from './matrix.js';

/** K steps, r samples, classes. */
export const K = 6;
export const R = 2;
export const CLASSES = 3;

/** sum over steps and samples of a b' */
export const outerSum = (a: Stack, b: Stack): Matrix =>
  sum(a.flatMap((rows, n) => rows.map((row, j) => outer(row, b[n]![j]!))));

export const rowSum = (a: Stack): Vector => sum(a.flat());

/** W' v for every row v: the corrected way through a weight. */
export const back = (W: Matrix, rows: Matrix): Matrix => rows.map((v) => mv(T(W), v));

/** W v for every row v: the way that the paper prints. */
export const asPrinted = (W: Matrix, rows: Matrix): Matrix => rows.map((v) => mv(W, v));

export type Through = typeof back;

const one = (A: Matrix): Matrix => map(A, () => 1);

/** 1 - a^2, the slope of tanh from its value. */
export const bend = (a: Matrix): Matrix => sub(one(a), had(a, a));

/** g (1 - g), the slope of sigmoid from its value. */
export const slope = (g: Matrix): Matrix => had(g, sub(one(g), g));

export const targets = (draw: Draw): Stack => times(K, () => times(R, () => draw.oneHot(CLASSES)));

/** softmax(W_y v + b_y) - target, and e = W_y' of it: the direct adjoint of v. */
function head(v: Stack, target: Stack, W_y: Matrix, b_y: Vector) {
  const o = v.map((rows, n) => rows.map((row, j) => sub(softmax(add(mv(W_y, row), b_y)), target[n]![j]!)));
  return { o, e: o.map((rows) => back(W_y, rows)) };
}

export type Gate = 'cu' | 'cs' | 'cr' | 'cx' | 'du';

type Weights = Record<string, Matrix>;

// ---- Vanilla LSTM

export interface Lstm {
  readonly case: Case<Record<string, Matrix | Vector | Stack>>;
  readonly weights: Weights;
  /** Values of every step by name; s and v hold the initial state first. */
  readonly seen: Record<'g_cu' | 'g_cs' | 'g_cr' | 'u' | 'r', Stack>;
  readonly s: Stack;
  readonly v: Stack;
  readonly x: Stack;
  readonly target: Stack;
}

export const GATES: readonly Gate[] = ['cu', 'cs', 'cr', 'du'];

export function vanillaLstm(seed: number, d_x = 3, d_s = 4): Lstm {
  const draw = new Draw(seed);
  const params: Record<string, Matrix | Vector> = {};
  for (const g of GATES) {
    params[`Wx_${g}`] = draw.weight(d_s, d_x);
    if (g !== 'du') params[`Ws_${g}`] = draw.weight(d_s, d_s, 0.9);
    params[`Wv_${g}`] = draw.weight(d_s, d_s);
    params[`b_${g}`] = draw.vector(d_s, 0.3);
  }
  params.W_y = draw.weight(CLASSES, d_s);
  params.b_y = draw.vector(CLASSES, 0.2);
  const data = {
    X: draw.stack(K, R, d_x),
    target: targets(draw),
    w: times(K, () => times(R, () => 1)),
    s0: draw.matrix(R, d_s, 0.6),
    v0: draw.matrix(R, d_s, 0.4),
  };
  const given = { system: 'vanilla_lstm', config: { head: 'softmax_ce' }, params, data };
  const { s, v, ...seen } = observed(given, 'g_cu', 'g_cs', 'g_cr', 'u', 'r', 's', 'v');
  return {
    ...{ case: given, weights: params as Weights, seen },
    ...{ s: [data.s0, ...s], v: [data.v0, ...v], x: data.X, target: data.target },
  };
}

/** How adjoints pass through each kind of weight: `back` is right. */
export interface Ways {
  readonly Ws_cr?: Through;
  readonly Wv?: Through;
  readonly Ws?: Through;
}

/** Section 5: the gradients by all parameters. */
export function vanillaGradients(net: Lstm, { Ws_cr = back, Wv = back, Ws = back }: Ways = {}) {
  const { weights: W, seen, s, v, x, target } = net;
  const { o, e } = head(v.slice(1), target, W.W_y!, net.case.params.b_y as Vector);
  const alpha: Record<string, Matrix[]> = Object.fromEntries(GATES.map((g) => [g, []]));
  let f_chi = scale(s[0]!, 0); // start values of (154), (155)
  let f_psi = scale(s[0]!, 0);
  for (let n = K - 1; n >= 0; n--) {
    const [cu, cs, cr, u, r] = [seen.g_cu[n]!, seen.g_cs[n]!, seen.g_cr[n]!, seen.u[n]!, seen.r[n]!];
    const chi = add(e[n]!, f_chi); // (144)
    const a_cr = had(chi, r, slope(cr)); // (147)
    const psi = add(had(chi, cr, bend(r)), Ws_cr(W.Ws_cr!, a_cr), f_psi); // (150)
    const a_cs = had(psi, s[n]!, slope(cs)); // (151)
    const a_cu = had(psi, u, slope(cu)); // (152)
    const a_du = had(psi, cu, bend(u)); // (153)
    f_chi = add(Wv(W.Wv_cu!, a_cu), Wv(W.Wv_cs!, a_cs), Wv(W.Wv_cr!, a_cr), Wv(W.Wv_du!, a_du)); // (154)
    f_psi = add(Ws(W.Ws_cu!, a_cu), Ws(W.Ws_cs!, a_cs), had(cs, psi)); // (155)
    Object.entries({ cu: a_cu, cs: a_cs, cr: a_cr, du: a_du }).forEach(([g, a]) => (alpha[g]![n] = a));
  }
  const gradients: Record<string, Matrix | Vector | Stack> = {
    Ws_cu: outerSum(alpha.cu!, s),
    Ws_cs: outerSum(alpha.cs!, s),
    Ws_cr: outerSum(alpha.cr!, s.slice(1)), // (165)
    W_y: outerSum(o, v.slice(1)),
    b_y: rowSum(o),
  };
  for (const g of GATES) {
    gradients[`Wx_${g}`] = outerSum(alpha[g]!, x);
    gradients[`Wv_${g}`] = outerSum(alpha[g]!, v);
    gradients[`b_${g}`] = rowSum(alpha[g]!);
  }
  return { gradients, alpha, initial: { s0: f_psi, v0: f_chi } };
}

// ---- Augmented LSTM

export const WINDOW = 3;
export const ALL_GATES: readonly Gate[] = ['cu', 'cs', 'cr', 'cx', 'du'];

export interface Augmented {
  readonly case: Case<Record<string, Matrix | Vector | Stack>>;
  readonly weights: Weights;
  readonly seen: Record<'g_cu' | 'g_cs' | 'g_cr' | 'g_cx' | 'xi_du' | 'u' | 'r' | 'q', Stack>;
  readonly s: Stack;
  readonly v: Stack;
  /** x[n + l] for every n, by l. */
  readonly ahead: readonly Stack[];
  readonly target: Stack;
}

export function augmentedLstm(seed: number, d_v = 2, d_x = 3, d_s = 5): Augmented {
  const draw = new Draw(seed);
  const params: Record<string, Matrix | Vector | Stack> = {};
  for (const g of ALL_GATES) {
    params[`Wx_${g}`] = times(WINDOW, () => draw.weight(d_s, d_x));
    if (g !== 'du') params[`Ws_${g}`] = draw.weight(d_s, d_s, 0.9);
    params[`Wv_${g}`] = draw.weight(d_s, d_v);
    params[`b_${g}`] = draw.vector(d_s, 0.3);
  }
  params.W_qdr = draw.weight(d_v, d_s);
  params.W_y = draw.weight(CLASSES, d_v);
  params.b_y = draw.vector(CLASSES, 0.2);
  const data = {
    X: draw.stack(K, R, d_x),
    target: targets(draw),
    w: times(K, () => times(R, () => 1)),
    s0: draw.matrix(R, d_s, 0.6),
    v0: draw.matrix(R, d_v, 0.4),
  };
  const config = { L: WINDOW, head: 'softmax_ce' };
  const given = { system: 'augmented_lstm', config, params, data };
  const names = ['g_cu', 'g_cs', 'g_cr', 'g_cx', 'xi_du', 'u', 'r', 'q', 's', 'v'] as const;
  const { s, v, ...seen } = observed(given, ...names);
  const none = scale(data.X[0]!, 0);
  return {
    ...{ case: given, weights: params as Weights, seen, target: data.target },
    ...{ s: [data.s0, ...s], v: [data.v0, ...v] },
    ahead: times(WINDOW, (l) => times(K, (n) => data.X[n + l] ?? none)),
  };
}

/** Section 6: the gradients by all parameters. `square`: the way through W_s*; `Wv`: through W_v*. */
export function augmentedGradients(net: Augmented, square: Through = back, Wv: Through = back) {
  const { weights: W, seen, s, v, ahead, target } = net;
  const { o, e } = head(v.slice(1), target, W.W_y!, net.case.params.b_y as Vector);
  const alpha: Record<string, Matrix[]> = Object.fromEntries(ALL_GATES.map((g) => [g, []]));
  const chis: Matrix[] = [];
  let f_chi = scale(v[0]!, 0);
  let f_psi = scale(s[0]!, 0);
  for (let n = K - 1; n >= 0; n--) {
    const [cu, cs, cr, cx] = [seen.g_cu[n]!, seen.g_cs[n]!, seen.g_cr[n]!, seen.g_cx[n]!];
    const [u, r] = [seen.u[n]!, seen.r[n]!];
    const chi = add(e[n]!, f_chi); // (217)
    const beta = back(W.W_qdr!, chi); // (218)
    const a_cr = had(beta, r, slope(cr)); // (221)
    const psi = add(had(beta, cr, bend(r)), square(W.Ws_cr!, a_cr), f_psi); // (222)
    const a_cs = had(psi, s[n]!, slope(cs)); // (223)
    const a_cu = had(psi, u, slope(cu)); // (224)
    const a_du = had(psi, cu, bend(u)); // (225)
    const a_cx = had(a_du, seen.xi_du[n]!, slope(cx)); // (227)
    const now: Record<string, Matrix> = { cu: a_cu, cs: a_cs, cr: a_cr, cx: a_cx, du: a_du };
    f_chi = sum(ALL_GATES.map((g) => Wv(W[`Wv_${g}`]!, now[g]!))); // (228)
    f_psi = add(square(W.Ws_cu!, a_cu), square(W.Ws_cs!, a_cs), square(W.Ws_cx!, a_cx), had(cs, psi)); // (229)
    chis[n] = chi;
    for (const g of ALL_GATES) alpha[g]![n] = now[g]!;
  }
  const gated = alpha.du!.map((a, n) => had(a, seen.g_cx[n]!));
  const gradients: Record<string, Matrix | Vector | Stack> = {
    Ws_cu: outerSum(alpha.cu!, s),
    Ws_cs: outerSum(alpha.cs!, s),
    Ws_cx: outerSum(alpha.cx!, s),
    Ws_cr: outerSum(alpha.cr!, s.slice(1)),
    W_qdr: outerSum(chis, seen.q), // (249) corrected
    W_y: outerSum(o, v.slice(1)),
    b_y: rowSum(o),
  };
  for (const g of ALL_GATES) {
    gradients[`Wx_${g}`] = ahead.map((x) => outerSum(g === 'du' ? gated : alpha[g]!, x)); // (246) corrected
    gradients[`Wv_${g}`] = outerSum(alpha[g]!, v);
    gradients[`b_${g}`] = rowSum(alpha[g]!);
  }
  return { gradients, alpha, chis };
}
