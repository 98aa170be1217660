/** Naumov's networks with random numbers, and math.md's sections 2.1 and 3 written out by hand, for one sample. */
import { type Case, observed } from './engine.js';
import {
  activations,
  add,
  type ascending,
  Draw,
  diag,
  had,
  kron,
  type Matrix,
  map,
  mul,
  mv,
  outer,
  type Stack,
  scale,
  sub,
  sum,
  T,
  times,
  type Vector,
  zeros,
} from './matrix.js';

export type Name = 'tanh' | 'sigmoid' | 'softplus' | 'relu';

// ---- Feed-forward network (Naumov section 3), layers k = 1..l; index 0 of y, v, W, b is not used.

export const WIDTHS = [3, 6, 5, 4];
export const LAYERS = [1, 2, 3];

export interface FeedForward {
  readonly case: Case;
  readonly W: readonly Matrix[];
  /** Per sample: z_0..z_l, y_1..y_l, the target. */
  readonly samples: readonly { z: readonly Vector[]; y: readonly Vector[]; target: Vector }[];
  readonly d1: (y: Vector) => Vector;
  readonly d2: (y: Vector) => Vector;
}

export function feedForward(name: Name, seed: number, r = 1, weight = 1): FeedForward {
  const draw = new Draw(seed);
  const params: Record<string, Matrix | Vector> = {};
  for (const k of LAYERS) {
    params[`W${k}`] = draw.matrix(WIDTHS[k]!, WIDTHS[k - 1]!, 0.9);
    params[`b${k}`] = draw.vector(WIDTHS[k]!, 0.3, name === 'relu' ? 0.6 : 0);
  }
  const X = draw.matrix(r, 3);
  const target = times(r, () => draw.uniforms(4, 0, 1));
  const config = { activations: [name, name, name], head: 'half_squared_error' };
  const given = { system: 'fnn', config, params, data: { X, target, w: times(r, () => weight) } };
  const seen = observed(given, 'y1', 'y2', 'y3', 'z1', 'z2', 'z3') as unknown as Record<string, Matrix>;
  const { d1, d2 } = activations[name];
  return {
    case: given,
    W: [[], params.W1 as Matrix, params.W2 as Matrix, params.W3 as Matrix],
    samples: times(r, (j) => ({
      z: [X[j]!, ...LAYERS.map((k) => seen[`z${k}`]![j]!)],
      y: [[], ...LAYERS.map((k) => seen[`y${k}`]![j]!)],
      target: target[j]!,
    })),
    d1: (y) => map(y, d1),
    d2: (y) => map(y, d2),
  };
}

/** Whether each layer of a ReLU network has units that are alive and units that are not. */
const partlyAlive = (y: Vector) => {
  const share = y.filter((v) => v > 0).length / y.length;
  return share > 0.3 && share < 0.9;
};

/** The first feed-forward network behind a seed in which no layer is all alive or dead. */
export function firstPartlyAlive(seed: number): FeedForward {
  for (let s = seed; ; s++) {
    const net = feedForward('relu', s);
    if (LAYERS.every((k) => partlyAlive(net.samples[0]!.y[k]!))) return net;
  }
}

/** v^(k) = dE/dy^(k), (16)-(19), of a sample's own loss. */
export function firstOrder({ W, samples, d1 }: FeedForward, j = 0): Vector[] {
  const { y, z, target } = samples[j]!;
  const v: Vector[] = [];
  v[3] = had(sub(z[3]!, target), d1(y[3]!));
  for (const k of [3, 2]) v[k - 1] = had(mv(T(W[k]!), v[k]!), d1(y[k - 1]!));
  return v;
}

/** A_k of section 2.1 for a sample's own loss. */
export function exactBlocks(net: FeedForward, j = 0): Matrix[] {
  const { W, samples, d1, d2 } = net;
  const { y, z, target } = samples[j]!;
  const v = firstOrder(net, j);
  const A: Matrix[] = [];
  let B = diag(z[3]!.map(() => 1));
  for (const k of [3, 2, 1]) {
    const g = k === 3 ? sub(z[3]!, target) : mv(T(W[k + 1]!), v[k + 1]!);
    A[k] = add(had(B, outer(d1(y[k]!), d1(y[k]!))), diag(had(g, d2(y[k]!))));
    B = mul(T(W[k]!), A[k]!, W[k]!);
  }
  return A;
}

// ---- Stacked recurrent network (Naumov section 4), layers k = 1..l, steps s = 1..T, z[k][0] the initial state.

export const STEPS = 4;
export const UNITS = 4;

export interface Recurrent {
  readonly name: Name;
  readonly case: Case;
  readonly layers: number;
  readonly steps: number;
  /** omega_s */
  readonly omega: Vector;
  readonly W: readonly Matrix[];
  readonly U: readonly Matrix[];
  /** y[k][s], z[k][s]; y[k][0] is not used. */
  readonly y: readonly Matrix[];
  readonly z: readonly Matrix[];
  /** target[s], s = 1..T */
  readonly target: Matrix;
  readonly d1: (y: Vector) => Vector;
  readonly d2: (y: Vector) => Vector;
}

interface RecurrentSizes {
  readonly steps?: number;
  readonly inputs?: number;
  readonly units?: number;
  /** Seeds X and the targets alone: other samples of the same network. */
  readonly sample?: number;
}

/** `component`: the loss E^(T) of the last step alone; `sum`: of all steps. */
export function recurrentNet(
  name: Name,
  layers: number,
  loss: 'component' | 'sum',
  seed: number,
  { steps = STEPS, inputs = 3, units = UNITS, sample: dataSeed }: RecurrentSizes = {},
): Recurrent {
  const draw = new Draw(seed);
  const all = times(layers, (i) => i + 1);
  const params: Record<string, Matrix | Vector> = {};
  const data: Record<string, Stack | Matrix> = {};
  for (const k of all) {
    params[`W${k}`] = draw.matrix(units, k === 1 ? inputs : units, 0.8);
    params[`U${k}`] = draw.matrix(units, units, 0.6);
    params[`b${k}`] = draw.vector(units, 0.2, name === 'relu' ? 0.5 : 0);
    data[`z0_${k}`] = zeros(1, units);
  }
  const drawData = dataSeed === undefined ? draw : new Draw(dataSeed);
  data.X = drawData.stack(steps, 1, inputs);
  data.target = times(steps, () => [drawData.uniforms(units, 0, 1)]);
  const omega = times(steps, (t) => (loss === 'sum' || t === steps - 1 ? 1 : 0));
  data.w = omega.map((w) => [w]);
  const config = { activations: all.map(() => name), head: 'half_squared_error' };
  const given = { system: 'rnn', config, params, data };
  const seen = observed(given, ...all.flatMap((k) => [`y${k}`, `z${k}`]));
  const sample = (a: Stack) => a.map((row) => row[0]!);
  const initial = times(units, () => 0);
  const { d1, d2 } = activations[name];
  return {
    name,
    case: given,
    layers,
    steps,
    omega: [0, ...omega],
    W: [[], ...all.map((k) => params[`W${k}`] as Matrix)],
    U: [[], ...all.map((k) => params[`U${k}`] as Matrix)],
    y: [[], ...all.map((k) => [initial, ...sample(seen[`y${k}`]!)])],
    z: [[[], ...sample(data.X)], ...all.map((k) => [initial, ...sample(seen[`z${k}`]!)])],
    target: [[], ...sample(data.target as Stack)],
    d1: (y) => map(y, d1),
    d2: (y) => map(y, d2),
  };
}

/** s = from..to */
export const steps = (from: number, to: number): number[] =>
  times(Math.max(0, to - from + 1), (i) => from + i);

/** Section 3: g_k[s], and v_k[s] with the time term in every layer. */
export function adjoints(net: Recurrent): { g: Vector[][]; v: Vector[][] } {
  const { W, U, y, z, target, omega, d1 } = net;
  const g: Vector[][] = [];
  const v: Vector[][] = [];
  for (let k = net.layers; k >= 1; k--) {
    g[k] = [];
    v[k] = [];
    for (let s = net.steps; s >= 1; s--) {
      const above =
        k === net.layers ? scale(sub(z[k]![s]!, target[s]!), omega[s]!) : mv(T(W[k + 1]!), v[k + 1]![s]!);
      g[k]![s] = s === net.steps ? above : add(above, mv(T(U[k]!), v[k]![s + 1]!));
      v[k]![s] = had(g[k]![s]!, d1(y[k]![s]!));
    }
  }
  return { g, v };
}

/** Section 3.1: C_k(s, zeta) = d^2 E / dy_k[s] dy_k[zeta] by the two sweeps. Index [k][s][zeta]. */
export function exactCurvature(net: Recurrent, gaussNewton = false): Matrix[][][] {
  const { W, U, y, d1, d2, omega, layers } = net;
  const { g } = adjoints(net);
  const last = net.steps;
  const all = steps(1, last);
  const C: Matrix[][][] = [];
  const n = y[layers]![1]!.length;
  let B = (s: number, q: number): Matrix => (s === q ? diag(times(n, () => omega[s]!)) : zeros(n, n));
  for (let k = layers; k >= 1; k--) {
    const D = (s: number) => diag(d1(y[k]![s]!));
    const Ck: Matrix[][] = all.reduce<Matrix[][]>((a) => [...a, []], [[]]);
    for (const s of all)
      for (const q of all) {
        Ck[s]![q] = mul(D(s), B(s, q), D(q)); // N(s, zeta)
        if (s === q && !gaussNewton) Ck[s]![q] = add(Ck[s]![q]!, diag(had(g[k]![s]!, d2(y[k]![s]!))));
      }
    for (let s = last - 1; s >= 1; s--)
      for (const q of all) Ck[s]![q] = add(Ck[s]![q]!, mul(D(s), T(U[k]!), Ck[s + 1]![q]!));
    for (let q = last - 1; q >= 1; q--)
      for (const s of all) Ck[s]![q] = add(Ck[s]![q]!, mul(Ck[s]![q + 1]!, U[k]!, D(q)));
    C[k] = Ck;
    B = (s, q) => mul(T(W[k]!), Ck[s]![q]!, W[k]!);
  }
  return C;
}

/** What multiplies a parameter at step s: z_{k-1}[s], z_k[s-1], 1. */
export const feature = (net: Recurrent, k: number, parameter: 'W' | 'U' | 'b') => (s: number) =>
  parameter === 'W' ? net.z[k - 1]![s]! : parameter === 'U' ? net.z[k]![s - 1]! : [1];

/** sum over s, zeta of C(s, zeta) x phi_s phi_zeta' */
export const kroneckerSum = (
  last: number,
  C: (s: number, q: number) => Matrix,
  phi: (s: number) => Vector,
): Matrix =>
  sum(steps(1, last).flatMap((s) => steps(1, last).map((q) => kron(C(s, q), outer(phi(s), phi(q))))));

/** M of section 3.1, by its components: sum over zeta < s of v[s][p] R(s-1, zeta)[q, i] z[zeta-1][h]. */
export function recurrentTerm(net: Recurrent, k: number): Matrix {
  const { U, y, z, d1 } = net;
  const v = adjoints(net).v[k]!;
  const n = U[k]!.length;
  const M = times(n * n, () => times(n * n, () => 0));
  for (const q0 of steps(1, net.steps)) {
    let R = diag(d1(y[k]![q0]!)); // R(s, zeta) = D_s U D_{s-1} U ... U D_zeta
    for (const s of steps(q0 + 1, net.steps)) {
      for (let p = 0; p < n; p++)
        for (let q = 0; q < n; q++)
          for (let i = 0; i < n; i++)
            for (let h = 0; h < n; h++)
              M[p * n + q]![i * n + h]! += v[s]![p]! * R[q]![i]! * z[k]![q0 - 1]![h]!;
      R = mul(diag(d1(y[k]![s]!)), U[k]!, R);
    }
  }
  return M;
}

/** H_W, H_U, H_b of layer k (section 3.1). */
export function exactHessian(net: Recurrent, k: number, parameter: 'W' | 'U' | 'b'): Matrix {
  const C = exactCurvature(net)[k]!;
  const H = kroneckerSum(net.steps, (s, q) => C[s]![q]!, feature(net, k, parameter));
  if (parameter !== 'U') return H;
  const M = recurrentTerm(net, k);
  return add(H, M, T(M));
}

/** A Hessian by W [m, n] reordered for the column-major vec. */
export function columnMajor(H: Matrix, m: number, n: number): Matrix {
  const order = times(m * n, (i) => (i % m) * n + Math.floor(i / m));
  return order.map((i) => order.map((j) => H[i]![j]!));
}

// ---- What the paper prints for recurrent networks.

export type Order = typeof ascending;

/** Pi_{h=s}^{t-1} U^(k) diag(f'(y^(k,h))) of (58), (65), (77), (98). */
export const product = (net: Recurrent, k: number, s: number, t: number, order: Order) =>
  order(net.U[k]!.length, s, t - 1, (h) => mul(net.U[k]!, diag(net.d1(net.y[k]![h]!))));

/** v^(k,t) of the component E^(t): the head's gradient brought down at step t, without time terms. */
export function component(net: Recurrent, t: number): Vector[] {
  const { W, y, z, target, d1, layers } = net;
  const v: Vector[] = [];
  v[layers] = had(sub(z[layers]![t]!, target[t]!), d1(y[layers]![t]!));
  for (let k = layers; k > 1; k--) v[k - 1] = had(mv(T(W[k]!), v[k]!), d1(y[k - 1]![t]!));
  return v;
}
