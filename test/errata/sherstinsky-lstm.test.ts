/** Sherstinsky, section VI: the Vanilla LSTM. K = 6 steps, d_x = 3, d_s = 4. */
import { describe, expect, it } from 'vitest';
import { vanillaLstm as cell } from '../../src/cells/vanilla-lstm.js';
import { dataGradients, gradients, jacobian, type Steps, valuesOf } from './support/engine.js';
import { erratum, together } from './support/erratum.js';
import { asPrinted, GATES, K, outerSum, vanillaGradients, vanillaLstm, type Ways } from './support/lstm.js';
import {
  add,
  ascending,
  beside,
  concat,
  descending,
  diag,
  eye,
  flat,
  had,
  type Matrix,
  map,
  mul,
  mv,
  norm2,
  off,
  scale,
  sub,
  T,
  times,
  type Vector,
} from './support/matrix.js';

const net = vanillaLstm(56);
const truth = gradients(net.case);
const exact = vanillaGradients(net);
const W = net.weights;

describe('forward pass', () => {
  erratum('Sherstinsky, text of (105): v[n-1] replaces r[n-1], not r[n]', { table: 'no figure' }, () => {
    const Wx = W.Wx_du!;
    const b = net.case.params.b_du as Vector;
    /** u[n] of v[n - back]; the state before the first step is at index 0. */
    const u = (back: number) =>
      times(K - 1, (i) =>
        net.x[i + 1]!.map((x, j) =>
          map(add(mv(Wx, x), mv(W.Wv_du!, net.v[i + 2 - back]![j]!), b), Math.tanh),
        ),
      );
    // With v[n-1] for r[n], the r[n-1] of the standard RNN becomes v[n-2].
    return { truth: net.seen.u.slice(1), printed: u(2), corrected: u(1) };
  });
});

describe('backward pass', () => {
  erratum(
    'Sherstinsky (144)-(172), corrected: all parameters and initial states',
    { table: 'nothing printed' },
    () => {
      const initial = dataGradients(net.case, ['s0', 'v0']);
      return [
        ...Object.keys(truth).map((name) => ({
          what: name,
          truth: truth[name]!,
          corrected: exact.gradients[name]!,
        })),
        // f_chi[K] = f_psi[K] = 0 are the start values of (154), (155).
        { what: 's[-1]', truth: initial.s0!, corrected: exact.initial.s0 },
        { what: 'v[-1]', truth: initial.v0!, corrected: exact.initial.v0 },
      ];
    },
  );

  const untransposed = (name: string, table: number, ways: Ways) =>
    erratum(name, { table }, () => {
      const names = Object.keys(truth).filter((n) => n !== 'W_y' && n !== 'b_y');
      return together(names, truth, vanillaGradients(net, ways).gradients, exact.gradients);
    });
  untransposed('Sherstinsky (148)-(150)(173)(174): W_scr alpha_cr is not transposed', 0.5, {
    Ws_cr: asPrinted,
  });
  untransposed('Sherstinsky (154): W_v* alpha is not transposed', 0.65, { Wv: asPrinted });
  untransposed('Sherstinsky (155): W_scu alpha, W_scs alpha are not transposed', 0.34, { Ws: asPrinted });

  erratum('Sherstinsky (165): dE/dW_scr with s[n], as printed, is right', { table: 'correct' }, () => {
    expect(off(outerSum(exact.alpha.cr!, net.s), truth.Ws_cr!)).toBeGreaterThan(0.1); // with s[n-1]
    const printed = outerSum(exact.alpha.cr!, net.s.slice(1));
    return { truth: truth.Ws_cr!, printed, corrected: exact.gradients.Ws_cr! };
  });
});

/** Gates and slopes of the first sample at step k. */
function at(k: number) {
  const [cu, cs, cr, u, r] = (['g_cu', 'g_cs', 'g_cr', 'u', 'r'] as const).map((q) => net.seen[q][k]![0]!);
  const slope = (g: Vector) => map(g, (v) => v * (1 - v));
  return {
    keep: diag(cs!),
    Dcu: diag(had(u!, slope(cu!))),
    Dcs: diag(had(net.s[k]![0]!, slope(cs!))), // s[k-1]
    Ddu: diag(
      had(
        cu!,
        map(u!, (v) => 1 - v * v),
      ),
    ),
    /** N = A + B W_scr: dv/ds at fixed v[k-1]. */
    A: diag(
      had(
        cr!,
        map(r!, (v) => 1 - v * v),
      ),
    ),
    B: diag(had(r!, slope(cr!))),
  };
}

const N = (k: number) => add(at(k).A, mul(at(k).B, W.Ws_cr!));

/** The d_s x d_s matrix of (177), with `t` for the transposes that are missing. */
function oneStep(k: number, t: (M: Matrix) => Matrix): Matrix {
  const { keep, Dcu, Dcs, Ddu } = at(k);
  const { A, B } = at(k - 1);
  const through = add(mul(t(W.Wv_cu!), Dcu), mul(t(W.Wv_cs!), Dcs), mul(t(W.Wv_du!), Ddu));
  const readout = add(A, mul(t(W.Ws_cr!), B));
  return add(mul(readout, through), mul(t(W.Ws_cu!), Dcu), mul(t(W.Ws_cs!), Dcs), keep);
}

/** (178): the diagonal factors moved to the left. `readout` is W_scr diag(r G') as printed, or diag(r G') W_scr. */
function commuted(k: number, readout: Matrix): Matrix {
  const { keep, Dcu, Dcs, Ddu } = at(k);
  const M = add(at(k - 1).A, readout);
  return add(
    mul(Dcu, add(mul(W.Wv_cu!, M), W.Ws_cu!)),
    mul(Dcs, add(mul(W.Wv_cs!, M), W.Ws_cs!)),
    mul(Ddu, W.Wv_du!, M),
    keep,
  );
}

/** The first sample's steps, without the readout of v. */
const unrolled = {
  cell,
  x: net.x.map((rows) => [rows[0]!]),
  state: { s: [net.s[0]![0]!], v: [net.v[0]![0]!] },
  params: Object.fromEntries(Object.entries(net.case.params).filter(([name]) => !name.endsWith('_y'))),
};

const s =
  (k: number) =>
  ({ at }: Steps) =>
    at[k + 1]!.s!;

const carried =
  (k: number) =>
  ({ on, at }: Steps) =>
    on.concat([at[k + 1]!.s!, at[k + 1]!.v!], 1);

/** psi is carried back by the transpose of what carries s forward: at fixed chi[k], d psi[k-1] / d psi[k]. */
const backward = (k: number, l = k - 1): Matrix => T(jacobian(unrolled, s(k), s(l)));

describe('the Jacobian of psi', () => {
  const k = 3;
  const printed178 = () => commuted(k, mul(W.Ws_cr!, at(k - 1).B));

  erratum('Sherstinsky (177): transposes are missing on all six matrices', { table: 0.92 }, () => ({
    truth: backward(k),
    printed: oneStep(k, (M) => M),
    corrected: oneStep(k, T),
  }));

  erratum('Sherstinsky (178): the factors of (177) are commuted', { table: 0.55 }, () => ({
    truth: backward(k),
    printed: printed178(),
    corrected: oneStep(k, T),
  }));

  erratum(
    "Sherstinsky (178), transposed: W_scr diag(r G') where diag(r G') W_scr belongs",
    { table: 0.023 },
    () => ({
      truth: backward(k),
      printed: T(printed178()),
      corrected: T(commuted(k, mul(at(k - 1).B, W.Ws_cr!))),
    }),
  );

  /** d(s,v)[k] / d(s,v)[k-1], math.md 12.2. */
  const state = (k: number): Matrix => {
    const { keep, Dcu, Dcs, Ddu, B } = at(k);
    const Ss = add(keep, mul(Dcs, W.Ws_cs!), mul(Dcu, W.Ws_cu!));
    const Sv = add(mul(Dcs, W.Wv_cs!), mul(Dcu, W.Wv_cu!), mul(Ddu, W.Wv_du!));
    return [...beside(Ss, Sv), ...beside(mul(N(k), Ss), add(mul(N(k), Sv), mul(B, W.Wv_cr!)))];
  };

  erratum(
    'Sherstinsky (180): a product of one-step Jacobians of psi drops the path through W_vcr',
    { table: 0.11 },
    () => {
      const [n, l] = [1, 4];
      // (f_psi, chi)[n] from psi[l] at fixed chi[l]; psi[n] = f_psi + N^T chi.
      const through = ascending(8, n + 1, l, (q) => T(state(q)));
      const injected = through.map((row) => row.slice(0, 4));
      return {
        truth: backward(l, n),
        printed: ascending(4, n + 1, l, (q) => oneStep(q, T)),
        corrected: mul(beside(eye(4), T(N(n))), injected),
      };
    },
  );

  erratum('math.md 12.2: the Jacobian of the carried state (s, v)', { table: 'nothing printed' }, () => {
    // By parts: s and v are inputs of the first step.
    const by = (name: 's' | 'v', k: number) => jacobian(unrolled, carried(k), ({ at }) => at[0]![name]!);
    return [0, 2].map((k) => ({
      what: `over ${k + 1} steps`,
      truth: beside(by('s', k), by('v', k)),
      corrected: descending(8, 0, k, state),
    }));
  });

  erratum(
    'Sherstinsky (175): drops f_chi through alpha_cr[k]; chi[k] moves it, so right only at fixed chi[k]',
    { table: 'no figure' },
    () => {
      // d psi[k-1] / d chi[k] is the transpose of dv[k] / ds[k-1]; psi[k] = f_psi + N^T chi[k] is one of its paths.
      const printed = mul(oneStep(k, T), T(N(k)));
      const dropped = mul(T(N(k - 1)), T(W.Wv_cr!), at(k).B);
      const v = (steps: Steps) => steps.at[k + 1]!.v!;
      return { truth: T(jacobian(unrolled, v, s(k - 1))), printed, corrected: add(printed, dropped) };
    },
  );
});

describe('bounds', () => {
  const D = 4;
  const params = () => {
    const select = (block: number) => times(D, (i) => times(4 * D, (j) => (j === block * D + i ? 1 : 0)));
    const zero = times(D, () => 0);
    const W49 = scale(eye(D), 0.49);
    return {
      ...{ Wx_cu: select(0), Ws_cu: W49, Wv_cu: W49, b_cu: zero },
      ...{ Wx_cs: select(1), Ws_cs: W49, Wv_cs: W49, b_cs: zero },
      ...{ Wx_cr: select(2), Ws_cr: scale(eye(D), 200), Wv_cr: scale(eye(D), 0), b_cr: zero },
      ...{ Wx_du: select(3), Wv_du: scale(eye(D), 0.99), b_du: zero },
    };
  };

  it('Sherstinsky, after (181): a cell that meets the first listed condition has ||Q|| = 24.7, not < 1', () => {
    const all = (c: number): Vector => times(D, () => c);
    const logit = (p: number) => Math.log(p / (1 - p));
    const W = params();
    // Inputs that set the gates: s[0] = 0.5, g_cr[0] = 0.5; then g_cu = 0.999, g_cs = 0.5, u = 0.
    const s0 = all(0.5);
    const v = all(0.5 * Math.tanh(0.5));
    const step = (cu: Vector, cs: Vector, cr: Vector, du: Vector, before: Vector): Vector =>
      concat(
        sub(cu, add(mv(W.Ws_cu, s0), mv(W.Wv_cu, before))),
        sub(cs, add(mv(W.Ws_cs, s0), mv(W.Wv_cs, before))),
        cr,
        sub(du, mv(W.Wv_du, before)),
      );
    const none = all(0);
    const x = [
      // s[0] = 1/2 s[-1] + 1/2 u, with u = 1/2 and s[-1] = 1/2.
      step(none, none, scale(mv(W.Ws_cr, s0), -1), all(Math.atanh(0.5)), none),
      step(all(logit(0.999)), none, none, none, v),
    ];
    const given = { cell, x: x.map((row) => [row]), state: { s: [s0], v: [none] }, params: W };
    const reached = valuesOf(given, { s: s(0), cr: ({ at }) => at[1]!.g_cr!, cu: ({ at }) => at[2]!.g_cu! });
    expect(
      off(concat(...(Object.values(reached) as Matrix[]).flat()), [...s0, ...all(0.5), ...all(0.999)]),
    ).toBeLessThan(1e-12);
    const carousel = scale(eye(D), 0.5); // diag(g_cs)
    const Q = sub(T(jacobian(given, s(1), s(0))), carousel);
    console.log('Sherstinsky, after (181)\n  ||Q|| =', norm2(Q), '(table: 24.7)');
    expect(norm2(Q)).toBeGreaterThan(24.6);
    expect(norm2(Q)).toBeLessThan(24.8);
    // math.md 12.2: ||Q|| <= ||N|| (||W_vcu|| max|u k| + ||W_vcs|| max|s k| + ||W_vdu|| max|g (1-u^2)|) + ...
    const bound =
      (0.5 * (1 - Math.tanh(0.5) ** 2) + 200 * Math.tanh(0.5) * 0.25) * (0.49 * 0.125 + 0.99 * 0.999) +
      0.49 * 0.125;
    expect(norm2(Q)).toBeLessThanOrEqual(bound * (1 + 1e-12));
  });

  it('Sherstinsky, footnote 29: s leaves (-1, 1): 10.7 after 12 steps with open gates', () => {
    const names = Object.entries(cell.parameters({ input: 1, hidden: 1, projection: 0 }));
    const open = Object.fromEntries(names.map(([name]) => [name, name.startsWith('b_') ? [4] : [[0]]]));
    const x = times(12, () => [[0]]);
    const value = flat(
      valuesOf({ cell, x, state: { s: [[0]], v: [[0]] }, params: open }, { s: s(11) }).s!,
    )[0]!;
    console.log('Sherstinsky, footnote 29\n  |s| =', value, '(table: 10.7)');
    expect(value).toBeGreaterThan(10.6);
    expect(value).toBeLessThan(10.8);
    expect(value).toBeLessThan(12); // |s[n]| <= |s[-1]| + n + 1
  });

  it('the Vanilla LSTM has 15 parameter entities', () => {
    const names = Object.keys(cell.parameters({ input: 3, hidden: 4, projection: 0 }));
    expect(names).toHaveLength(15);
    expect(GATES.every((g) => names.includes(`Wx_${g}`))).toBe(true);
  });
});
