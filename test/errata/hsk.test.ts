/** HSK: the RNN with dot-product attention over its own hidden states. n = 3, m = 4, c = 3, T = 5, one sample. */
import { describe, expect, it } from 'vitest';
import { attendToPast } from '../../src/model/attention.js';
import { type Case, dataGradients, gradients, jacobianAt, lossOf, observed } from './support/engine.js';
import { erratum, together } from './support/erratum.js';
import {
  add,
  ascending,
  Draw,
  diag,
  dot,
  eye,
  had,
  type Matrix,
  map,
  mul,
  mv,
  off,
  outer,
  ShapeError,
  scale,
  softmax,
  sub,
  sum,
  T,
  times,
  type Vector,
} from './support/matrix.js';

const LAST = 5;
const M = 4;

type Params = Record<'W' | 'U' | 'V', Matrix> & Record<'b' | 'c', Vector>;

function network(seed: number, attend_h0 = false, h0Scale = 0.5) {
  const draw = new Draw(seed);
  const params: Params = {
    ...{ W: draw.weight(M, M), U: draw.weight(M, 3), b: draw.vector(M, 0.2) },
    ...{ V: draw.weight(3, M), c: draw.vector(3, 0.2) },
  };
  const X = draw.stack(LAST, 1, 3);
  const target = times(LAST, () => [draw.oneHot(3)]);
  const h0 = scale(draw.matrix(1, M), h0Scale);
  const config = { head: 'softmax_ce', attend_h0 };
  const data = { X, target, w: times(LAST, () => [1]), h0 };
  const given: Case<Params> = { system: 'attention_rnn', config, params, data };
  const seen = observed(given, 'h', 'alpha', 'Z', 'Omega', 'yhat');
  const rows = (name: keyof typeof seen): Vector[] => seen[name].map((row) => row[0]!);
  return {
    ...{ case: given, params, x: rows2(X), y: rows2(target) },
    /** h_0..h_T; the others for t = 1..T from index 0. */
    ...{
      h: [h0[0]!, ...rows('h')],
      alpha: rows('alpha'),
      Z: rows('Z'),
      Omega: rows('Omega'),
      yhat: rows('yhat'),
    },
  };
}

const rows2 = (a: readonly Matrix[]): Vector[] => a.map((row) => row[0]!);

const net = network(71);
const truth = gradients(net.case);
const { h, x, y, yhat, alpha, Z, params } = net;
/** A_{t,i} = h_i . h_t for all i = 1..T, of which step t uses i <= t. Index [t-1][i-1]. */
const scores = times(LAST, (t) => times(LAST, (i) => dot(h[i + 1]!, h[t + 1]!)));
const error = times(LAST, (t) => sub(yhat[t]!, y[t]!));

/** The loss with the keys h_first..h_t. */
function loss({ h, y, params: { V, c } }: ReturnType<typeof network>, first: 0 | 1): number {
  const each = times(LAST, (i) => {
    const t = i + 1;
    const keys = h.slice(first, t + 1);
    const weights = softmax(keys.map((k) => dot(k, h[t]!)));
    const Z = sum(keys.map((k, j) => scale(k, weights[j]!)));
    return -Math.log(dot(softmax(add(mv(V, Z), c)), y[i]!));
  });
  return each.reduce((a, b) => a + b);
}

describe('attention and head', () => {
  erratum(
    'HSK (2) against (3)(4): sums from k = 0 where the scores are for i = 1..t',
    { table: 0.015 },
    () => ({
      truth: [lossOf(net.case)],
      printed: [loss(net, 0)],
      corrected: [loss(net, 1)],
    }),
  );

  it('HSK (3)(4): h_0 = 0 is not neutral: its score 0 takes weight, as the engine has it with attend_h0', () => {
    const [on, without] = [network(71, true, 0), network(71, false, 0)];
    expect(lossOf(on.case)).toBeCloseTo(loss(on, 0), 12);
    const moved = Math.abs(lossOf(on.case) - lossOf(without.case));
    console.log('HSK (3), h_0 = 0\n  loss moves by', moved, '(table: 0.21)');
    expect(moved).toBeGreaterThan(0.07);
    expect(moved).toBeLessThan(0.63);
  });

  erratum(
    "HSK, section 2.1: the softmax's denominator runs over the classes, not to the number of scores",
    { table: 'no figure' },
    () => {
      const upTo = (terms: (t: number) => number) =>
        net.Omega.map((logits, i) => {
          const e = map(logits, Math.exp);
          const total = e.slice(0, terms(i + 1)).reduce((a, b) => a + b);
          return scale(e, 1 / total);
        });
      // Step t has t scores: with as many terms as classes the two agree by chance.
      return { truth: yhat, printed: upTo((t) => t), corrected: upTo(() => params.c.length) };
    },
  );

  erratum('HSK (8): y_i (1 - y_j) where y_i (delta_ij - y_j) belongs', { table: 2.7 }, () => {
    const p = yhat[0]!;
    return {
      truth: jacobianAt([net.Omega[0]!], (on, o) => on.softmax(o)),
      printed: outer(
        p,
        map(p, (v) => 1 - v),
      ),
      corrected: sub(diag(p), outer(p, p)),
    };
  });

  const byLogits = (target: Vector) =>
    jacobianAt([net.Omega[0]!], (on, o) => {
      const tau = on.concat(
        target.map((v) => on.full([1, 1], v)),
        1,
      );
      return on.softmaxCrossEntropy(o, tau, on.full([1], 1)).loss;
    })[0]!;

  erratum('HSK (9): dL/dOmega = yhat - y is right for targets that sum to 1', { table: 'correct' }, () => {
    const twice = scale(y[0]!, 2);
    expect(off(sub(yhat[0]!, twice), byLogits(twice))).toBeGreaterThan(0.1);
    expect(off(sub(scale(yhat[0]!, 2), twice), byLogits(twice))).toBeLessThan(1e-14);
    return { truth: byLogits(y[0]!), printed: error[0]!, corrected: error[0]! };
  });

  erratum('HSK, after (12): dL/dOmega = y - yhat has the sign wrong', { table: 'no figure' }, () => ({
    truth: byLogits(y[0]!),
    printed: scale(error[0]!, -1),
    corrected: error[0]!,
  }));

  erratum('HSK (10): (yhat - y) h_t^T where Z_t belongs', { table: 0.36 }, () => ({
    truth: truth.V,
    printed: sum(error.map((e, t) => outer(e, h[t + 1]!))),
    corrected: sum(error.map((e, t) => outer(e, Z[t]!))),
  }));

  erratum('HSK (11): dL/dc = sum (yhat - y) is right', { table: 'correct' }, () => ({
    truth: truth.c,
    printed: sum(error),
    corrected: sum(error),
  }));
});

interface Reading {
  readonly sign: 1 | -1;
  /** What stands for dZ_t/dh_m: raw scores A_{t,m}, or softmax weights. */
  readonly weight: readonly Vector[];
  readonly scorePath: boolean;
}

/** (13), (15), (17) in column form: a sum over t, over m <= t and over k <= m. */
function backward({ sign, weight, scorePath }: Reading): { W: Matrix; U: Matrix; b: Vector } {
  const { W, V } = params;
  const parts: { d: Vector; k: number }[] = [];
  for (let t = 1; t <= LAST; t++) {
    const dZ = scale(mv(T(V), error[t - 1]!), sign);
    const a = alpha[t - 1]!.slice(0, t);
    const dAlpha = times(t, (i) => dot(h[i + 1]!, dZ));
    const dS = times(t, (i) => a[i]! * (dAlpha[i]! - dot(a, dAlpha)));
    for (let m = 1; m <= t; m++) {
      let v = scale(dZ, weight[t - 1]![m - 1]!);
      if (scorePath) {
        v = add(v, scale(h[t]!, dS[m - 1]!)); // h_m as key
        if (m === t) v = add(v, ...dS.map((s, i) => scale(h[i + 1]!, s))); // h_t as query
      }
      for (let k = 1; k <= m; k++) {
        const slope = (j: number) => diag(map(h[j]!, (z) => 1 - z * z));
        const path = ascending(M, k, m - 1, (j) => mul(T(W), slope(j + 1)));
        parts.push({ d: mv(mul(slope(k), path), v), k });
      }
    }
  }
  return {
    W: sum(parts.map(({ d, k }) => outer(d, h[k - 1]!))),
    U: sum(parts.map(({ d, k }) => outer(d, x[k - 1]!))),
    b: sum(parts.map(({ d }) => d)),
  };
}

describe('gradients by W, U, b', () => {
  const exact = backward({ sign: 1, weight: alpha, scorePath: true });
  const reading = (name: string, table: number, given: Reading) =>
    erratum(name, { table }, () => together(['W', 'U', 'b'], truth, backward(given), exact));

  reading('HSK (13)(15)(17) as printed: sign, raw scores, no score path', 3.8, {
    ...{ sign: -1, weight: scores, scorePath: false },
  });
  reading('HSK (13)(15)(17), sign repaired: raw scores A_{t,m} for weights', 2.4, {
    ...{ sign: 1, weight: scores, scorePath: false },
  });
  reading('HSK (13)(15)(17), sign and weights repaired: the path through the scores is missing', 0.58, {
    ...{ sign: 1, weight: alpha, scorePath: false },
  });

  erratum(
    'HSK, dZ_t/dh_m: A_{t,m} where alpha[t,m] I and the score path belong',
    { table: 'no figure' },
    () => {
      const given = h.slice(1).map((row) => [row]);
      const all = jacobianAt(given, (on, value) => attendToPast(on, value).Z); // [T m, T m]
      const block = (t: number, m: number): Matrix =>
        times(M, (i) => all[(t - 1) * M + i]!.slice((m - 1) * M, m * M));
      const [t, m] = [4, 2];
      const a = alpha[t - 1]![m - 1]!;
      return {
        truth: block(t, m),
        printed: scale(eye(M), scores[t - 1]![m - 1]!),
        // alpha I + alpha (h_m - Z_t) h_t' for m < t
        corrected: add(scale(eye(M), a), scale(outer(sub(h[m]!, Z[t - 1]!), h[t]!), a)),
      };
    },
  );

  it('HSK (13)(15)(17), layout: (y - yhat) V^T does not conform', () => {
    const wide = network(71).params.V; // [c, m]
    expect(() => mul([error[0]!], T(wide))).toThrow(ShapeError);
    expect(mul([error[0]!], wide)[0]).toHaveLength(M);
  });
});

erratum(
  'HSK (1)-(17), math.md 9 in matrix form: all parameters and h_0',
  { table: 'nothing printed' },
  () => {
    const H = h.slice(1);
    const dZ = mul(error, params.V);
    const dAlpha = mul(dZ, T(H));
    const iota = alpha.map((a, t) => dot(a, dAlpha[t]!));
    const dS = had(
      alpha,
      dAlpha.map((row, t) => map(row, (v) => v - iota[t]!)),
    );
    const direct = add(mul(T(alpha), dZ), mul(T(dS), H), mul(dS, H)); // keys and values, queries
    const a: Vector[] = [];
    for (let t = LAST; t >= 1; t--) {
      const later = t < LAST ? add(direct[t - 1]!, mv(T(params.W), a[t]!)) : direct[t - 1]!;
      a[t - 1] = had(
        map(h[t]!, (z) => 1 - z * z),
        later,
      );
    }
    const over = (v: readonly Vector[], b: readonly Vector[]) => sum(v.map((row, t) => outer(row, b[t]!)));
    const exact = { W: over(a, h), U: over(a, x), b: sum(a), V: over(error, Z), c: sum(error) };
    return [
      ...(['W', 'U', 'b', 'V', 'c'] as const).map((name) => ({
        what: name,
        truth: truth[name],
        corrected: exact[name],
      })),
      { what: 'h_0', truth: dataGradients(net.case, ['h0']).h0!, corrected: [mv(T(params.W), a[0]!)] },
    ];
  },
);
