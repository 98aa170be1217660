/** Sherstinsky, sections II-V: the canonical and the standard RNN. K = 6 steps, d_x = 3, d_s = 4, tanh. */
import { describe, expect, it } from 'vitest';
import { canonicalRnn } from '../../src/cells/canonical-rnn.js';
import { standardRnn } from '../../src/cells/standard-rnn.js';
import type { Value } from '../../src/program/program.js';
import {
  type Case,
  dataGradients,
  gradients,
  jacobian,
  observed,
  type Steps,
  valuesOf,
} from './support/engine.js';
import { erratum, together } from './support/erratum.js';
import { asPrinted, back, bend, K, outerSum, R, rowSum, type Through } from './support/lstm.js';
import {
  add,
  ascending,
  Draw,
  diag,
  eigenvalues,
  eye,
  flat,
  had,
  inverse,
  type Matrix,
  map,
  mul,
  mv,
  norm2,
  off,
  type Stack,
  scale,
  sub,
  T,
  times,
  type Vector,
} from './support/matrix.js';

interface Net {
  readonly case: Case<Record<string, Matrix | Vector>>;
  /** s[-1], s[0], ...: index n + 1. */
  readonly s: Stack;
  readonly X: Stack;
  readonly target: Stack;
}

function rnn(canonical: boolean, seed: number): Net {
  const draw = new Draw(seed);
  const params: Record<string, Matrix | Vector> = {
    ...(canonical ? { W_s: draw.weight(4, 4, 0.5) } : {}),
    W_r: draw.weight(4, 4, 1.04),
    W_x: draw.weight(4, 3),
    theta_s: draw.vector(4, 0.2),
  };
  const data = {
    X: draw.stack(K, R, 3),
    target: times(K, () => times(R, () => draw.uniforms(4, -0.9, 0.9))),
    w: times(K, () => times(R, () => 1)),
    s0: draw.matrix(R, 4, 0.5),
  };
  const config = { activation: 'tanh', canonical, head: 'half_squared_error' };
  const given = { system: 'sh_rnn', config, params, data };
  return { case: given, s: [data.s0, ...observed(given, 's').s], X: data.X, target: data.target };
}

/** (82)-(90) with one way through W_r and W_s; `linear`: with the W_s terms, of which the paper prints none. */
function bptt({ case: { params }, s, X, target }: Net, through: Through, linear: boolean) {
  const r = s.map((rows) => map(rows, Math.tanh));
  const psi: Matrix[] = [];
  const W_s = linear ? (params.W_s as Matrix) : null;
  for (let n = K - 1; n >= 0; n--) {
    const e = sub(r[n + 1]!, target[n]!);
    const next = psi[n + 1];
    const chi = next ? add(e, through(params.W_r as Matrix, next)) : e; // (82)
    const own = had(chi, bend(r[n + 1]!));
    psi[n] = W_s && next ? add(own, back(W_s, next)) : own; // (84)
  }
  const g: Record<string, Matrix | Vector> = {
    W_r: outerSum(psi, r),
    W_x: outerSum(psi, X),
    theta_s: rowSum(psi),
  };
  if (W_s) g.W_s = outerSum(psi, s);
  const first = had(back(params.W_r as Matrix, psi[0]!), bend(r[0]!));
  return { gradients: g, s0: W_s ? add(first, back(W_s, psi[0]!)) : first };
}

describe('back-propagation through time', () => {
  erratum('Sherstinsky (82)(84): W_r psi[n+1] where W_r^T psi[n+1] belongs', { table: 1.6 }, () => {
    const net = rnn(false, 31);
    return together(
      ['W_r', 'W_x', 'theta_s'],
      gradients(net.case),
      bptt(net, asPrinted, false).gradients,
      bptt(net, back, false).gradients,
    );
  });

  erratum('Sherstinsky (30): no backward pass is printed for W_s', { table: 'nothing printed' }, () => {
    const net = rnn(true, 32);
    const exact = bptt(net, back, true);
    const truth = gradients(net.case);
    expect(off(bptt(net, back, false).gradients.W_r!, truth.W_r!)).toBeGreaterThan(0.05);
    return [
      ...Object.keys(truth).map((name) => ({
        what: name,
        truth: truth[name]!,
        corrected: exact.gradients[name]!,
      })),
      { what: 's[-1]', truth: dataGradients(net.case, ['s0']).s0!, corrected: exact.s0 },
    ];
  });

  /** d psi[n] / d psi[l] is the transpose of d s[l] / d s[n]. */
  const [n, l] = [1, 4];
  const steps = () => {
    const net = rnn(false, 33);
    const first = (A: Matrix): Matrix => [A[0]!];
    const given = {
      ...{ cell: standardRnn(), x: net.X.map(first), state: { s: first(net.s[0]!) } },
      params: net.case.params,
    };
    const at = (k: number) => (all: Steps) => all.at[k + 1]!.s!;
    const slopes = (k: number) => diag(map(net.s[k + 1]![0]!, (y) => 1 - Math.tanh(y) ** 2));
    return { truth: T(jacobian(given, at(l), at(n))), W: net.case.params.W_r as Matrix, slopes };
  };

  erratum(
    "Sherstinsky (91): W_r diag(G'(s[k])) where diag(G'(s[k-1])) W_r^T belongs",
    { table: 0.93 },
    () => {
      const { truth, W, slopes } = steps();
      return {
        truth,
        printed: ascending(4, n + 1, l, (k) => mul(W, slopes(k))),
        corrected: ascending(4, n + 1, l, (k) => mul(slopes(k - 1), T(W))),
      };
    },
  );

  it('Sherstinsky (92)(93): the norm of the product is at most the product of the norms, not about it', () => {
    const { truth, W, slopes } = steps();
    const bound = times(l - n, (i) => norm2(slopes(n + i)) * norm2(W)).reduce((a, b) => a * b);
    expect(norm2(truth)).toBeLessThan(0.5 * bound);
  });
});

describe('from continuous time', () => {
  it('Sherstinsky (23)-(30): W_s = (I - dT A)^-1 and so on solve the implicit step', () => {
    const draw = new Draw(34);
    const dT = 0.3;
    const A = diag([-2, -3, -4, -5]);
    const [B, C, phi] = [draw.matrix(4, 4), draw.matrix(4, 3), draw.vector(4)];
    const W_s = inverse(sub(eye(4), scale(A, dT)));
    const through = (M: Matrix) => scale(mul(W_s, M), dT);
    const params = { W_s, W_r: through(B), W_x: through(C), theta_s: scale(mv(W_s, phi), dT) };
    const [s, x] = [draw.vector(4), draw.vector(3)];
    const next = valuesOf(
      { cell: canonicalRnn(), x: [[x]], state: { s: [s] }, params },
      { s: ({ at }): Value => at[1]!.s! },
    ).s as Matrix;
    const r = map(s, Math.tanh);
    const right = add(mv(A, next[0]!), mv(B, r), mv(C, x), phi); // (ds/dt at the new state)
    expect(off(scale(sub(next[0]!, s), 1 / dT), right)).toBeLessThan(1e-12);
  });

  const draw = new Draw(54);
  const M = draw.matrix(3, 3);
  const B = add(mul(M, T(M)), eye(3));
  /** Of the standard RNN's Jacobian -A^-1 B at s = 0, for A = -diag(a): made symmetric by a similarity. */
  const small = (a: Vector): number[] => {
    const W_r = mul(inverse(diag(a)), B);
    const given = {
      x: [[[0]]],
      state: { s: [[0, 0, 0]] },
      params: { W_r, W_x: [[0], [0], [0]], theta_s: [0, 0, 0] },
    };
    const J = jacobian(
      { cell: standardRnn(), ...given },
      ({ at }) => at[1]!.s!,
      ({ at }) => at[0]!.s!,
    );
    const root = diag(a.map(Math.sqrt));
    return eigenvalues(mul(root, J, inverse(root)));
  };
  /** lambda_i(B) / |a_ii| in the pairing that fits best. */
  const printed = (a: Vector): number[] => {
    const [x, y, z] = eigenvalues(B) as [number, number, number];
    const orders = [
      [x, y, z],
      [x, z, y],
      [y, x, z],
      [y, z, x],
      [z, x, y],
      [z, y, x],
    ];
    const values = orders.map((order) => order.map((v, i) => v / a[i]!).sort((p, q) => p - q));
    return values.reduce((p, q) => (off(q, small(a)) < off(p, small(a)) ? q : p));
  };

  erratum(
    'Sherstinsky, after (33): eigenvalues of -A^-1 B are not lambda_i(B) / |a_ii|',
    { table: 0.16, tolerance: 1e-9 },
    () => {
      const a = [2, 3, 7];
      const root = diag(a.map((v) => 1 / Math.sqrt(v)));
      return { truth: small(a), printed: printed(a), corrected: eigenvalues(mul(root, B, root)) };
    },
  );

  erratum(
    'Sherstinsky, after (33): right where A is a multiple of I',
    { table: 'correct', tolerance: 1e-9 },
    () => ({ truth: small([3, 3, 3]), printed: printed([3, 3, 3]), corrected: scale(eigenvalues(B), 1 / 3) }),
  );

  it('Sherstinsky, before (92): eigenvalues 0.5 and 0.4 with a norm of 10', () => {
    expect(
      norm2([
        [0.5, 10],
        [0, 0.4],
      ]),
    ).toBeGreaterThan(10);
    expect(
      norm2([
        [0.5, 10],
        [0, 0.4],
      ]),
    ).toBeLessThan(10.1);
  });

  it('Sherstinsky, after (33): 0 < mu < 1 is not necessary: the cell with mu = -0.9 decays too, with 1.1 it does not', () => {
    const after = (mu: number, steps: number) => {
      const params = { W_r: [[mu]], W_x: [[0]], theta_s: [0] };
      const x = times(steps, () => [[0]]);
      const s = valuesOf(
        { cell: standardRnn(), x, state: { s: [[1e-3]] }, params },
        { s: ({ at }) => at[steps]!.s! },
      ).s!;
      return Math.abs(flat(s)[0]!);
    };
    expect(after(-0.9, 60)).toBeLessThan(1e-5);
    expect(after(0.9, 60)).toBeLessThan(1e-5);
    expect(after(-1.1, 40)).toBeGreaterThan(1e-2);
  });
});

describe('segments', () => {
  erratum(
    'Sherstinsky (67), second line: r~[n+j-1] and x~[n+j] shift the index of a segment twice',
    { table: 'no figure' },
    () => {
      const net = rnn(false, 38);
      const { W_r, W_x, theta_s } = net.case.params as { W_r: Matrix; W_x: Matrix; theta_s: Vector };
      const j = 2; // where the segment begins: s~[n] = s[n+j], and so on
      const s = (n: number) => net.s[n + j + 1]!;
      const step = (n: number, shift: number) =>
        s(n - 1 + shift).map((row, i) =>
          add(mv(W_r, map(row, Math.tanh)), mv(W_x, net.X[n + j + shift]![i]!), theta_s),
        );
      const segment = [0, 1];
      return {
        truth: segment.map((n) => s(n)),
        printed: segment.map((n) => step(n, j)),
        corrected: segment.map((n) => step(n, 0)),
      };
    },
  );
});

describe('data', () => {
  erratum('Sherstinsky (118)-(120): a constant feature is divided by 0', { table: Infinity }, () => {
    const draw = new Draw(36);
    const X = times(50, () => had(draw.vector(3), [1, 5, 0])).map((x) => add(x, [2, 0, 7]));
    const mu = T(X).map((column) => column.reduce((a, b) => a + b) / X.length);
    const centred = X.map((x) => sub(x, mu));
    const sigma = T(centred).map((c) => Math.sqrt(c.reduce((a, b) => a + b * b, 0) / (X.length - 1)));
    const constant = T(X).map((column) => Math.min(...column) === Math.max(...column));
    const by = (divisor: Vector) => centred.map((x) => x.map((v, i) => v / divisor[i]!));
    const printed = by(sigma);
    expect(flat(printed).filter(Number.isNaN)).toHaveLength(50);
    const corrected = by(sigma.map((v, i) => (constant[i] ? 1 : v)));
    expect(corrected.every((x) => x[2] === 0)).toBe(true);
    // The truth: unit variance of what varies, 0 elsewhere.
    const truth = T([...times(2, (i) => centred.map((x) => x[i]! / sigma[i]!)), times(50, () => 0)]);
    return { truth, printed, corrected };
  });

  it('Sherstinsky, Fig. 1, 7, 9: appending 1 to x gives W_x one more column, not row', () => {
    const net = rnn(false, 37);
    const { W_x, theta_s, W_r } = net.case.params as Record<string, Matrix>;
    const wide = W_x!.map((row, i) => [...row, (theta_s as unknown as Vector)[i]!]);
    const X = net.X.map((rows) => rows.map((x) => [...x, 1]));
    const params = { W_r: W_r!, W_x: wide, theta_s: times(4, () => 0) };
    const seen = observed({ ...net.case, params, data: { ...net.case.data, X } }, 's').s;
    expect(off(seen, net.s.slice(1))).toBeLessThan(1e-14);
  });
});
