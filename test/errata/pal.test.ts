/** Pal: BPTT and the theorems on vanishing and exploding gradients. n = 3, m = 4, T = 5, tanh unless said otherwise. */
import { describe, expect, it } from 'vitest';
import { palRnn } from '../../src/cells/pal-rnn.js';
import {
  type Case,
  dataGradients,
  gradients,
  jacobian,
  observed,
  type Steps,
  valuesOf,
} from './support/engine.js';
import { erratum } from './support/erratum.js';
import {
  add,
  ascending,
  Draw,
  descending,
  diag,
  dot,
  eye,
  flat,
  had,
  inverse,
  kron,
  type Matrix,
  map,
  mul,
  mv,
  norm2,
  off,
  outer,
  perron,
  type Stack,
  scale,
  singularValues,
  softmax,
  sub,
  sum,
  T,
  times,
  type Vector,
  zeros,
} from './support/matrix.js';

const LAST = 5;
const M = 4;

type Params = Record<'W_R' | 'W_I' | 'W_O', Matrix> & Record<'b_R' | 'b_O', Vector>;

function network(seed: number, readout: 'pre' | 'post', lastStepOnly = false) {
  const draw = new Draw(seed);
  const params: Params = {
    ...{ W_R: draw.weight(M, M), W_I: draw.weight(M, 3), b_R: draw.vector(M, 0.2) },
    ...{ W_O: draw.weight(3, M), b_O: draw.vector(3, 0.2) },
  };
  const h0 = draw.matrix(1, M, 0.5);
  const X = draw.stack(LAST, 1, 3);
  const target = times(LAST, () => [draw.oneHot(3)]);
  const w = times(LAST, (t) => [!lastStepOnly || t === LAST - 1 ? 1 : 0]);
  const config = { activation: 'tanh', readout, head: 'softmax_ce' };
  const given: Case<Params> = { system: 'pal_rnn', config, params, data: { X, target, w, h0 } };
  /** h_0..h_T; targets and weights of t = 1..T. */
  const h: Vector[] = [h0[0]!, ...observed(given, 'h').h.map((row) => row[0]!)];
  return { case: given, params, h, x: X, target: [[], ...target.map((t) => t[0]!)], w: [0, ...flat(w)] };
}

const SEED = 61;

const dtanh = (h: Vector): Vector => map(h, (y) => 1 - Math.tanh(y) ** 2);
const squash = (h: Vector): Vector => map(h, Math.tanh);

const at =
  (t: number) =>
  ({ at }: Steps) =>
    at[t]!.h!;

const W_R = ({ params }: Steps) => params.W_R!;

describe('the model', () => {
  erratum(
    'Pal (1)(2) against (G1)(G2): (2) drops sigma: softmax(W_O h) where softmax(W_O sigma(h)) belongs',
    { table: 0.17 },
    () => {
      const { case: post, h, params } = network(SEED, 'post');
      const probabilities = (given: Case) => observed(given, 'o').o.map((row) => row[0]!);
      return {
        truth: probabilities(post),
        printed: probabilities(network(SEED, 'pre').case),
        corrected: h.slice(1).map((v) => softmax(add(mv(params.W_O, squash(v)), params.b_O))),
      };
    },
  );

  it('Pal, parameter list: b_I occurs nowhere', () => {
    const shapes = palRnn().parameters({ input: 3, hidden: M, projection: 0 });
    expect(Object.keys(shapes)).toEqual(['W_R', 'W_I', 'b_R']);
  });

  erratum('Pal, the adjoint recursion (math.md 7) for all parameters', { table: 'nothing printed' }, () =>
    (['pre', 'post'] as const).flatMap((readout) => {
      const { case: given, params, h, x, target, w } = network(SEED, readout);
      const d: Vector[] = [];
      const g: Vector[] = []; // the adjoint of the logits
      const q = h.map((v) => (readout === 'pre' ? v : squash(v)));
      for (let t = LAST; t >= 1; t--) {
        g[t] = scale(sub(softmax(add(mv(params.W_O, q[t]!), params.b_O)), target[t]!), w[t]!);
        const e = mv(T(params.W_O), g[t]!);
        const direct = readout === 'pre' ? e : had(e, dtanh(h[t]!));
        d[t] = t === LAST ? direct : add(direct, had(dtanh(h[t]!), mv(T(params.W_R), d[t + 1]!)));
      }
      const over = (a: readonly Vector[], b: (t: number) => Vector) =>
        sum(times(LAST, (i) => outer(a[i + 1]!, b(i + 1))));
      const exact = {
        W_R: over(d, (t) => squash(h[t - 1]!)),
        W_I: over(d, (t) => x[t - 1]![0]!),
        b_R: sum(d.slice(1)),
        W_O: over(g, (t) => q[t]!),
        b_O: sum(g.slice(1)),
      };
      const truth = gradients(given);
      return [
        ...(['W_R', 'W_I', 'b_R', 'W_O', 'b_O'] as const).map((name) => ({
          what: `${readout}, ${name}`,
          truth: truth[name],
          corrected: exact[name],
        })),
        {
          what: `${readout}, h_0`,
          truth: dataGradients(given, ['h0']).h0!,
          corrected: [had(dtanh(h[0]!), mv(T(params.W_R), d[1]!))],
        },
      ];
    }),
  );
});

/** sum over k of F_{t,k} HV(sigma(h_{k-1})), F_{t,k} a product of W_R diag(sigma'(h_{r-1})), r = k+1..t. */
function sensitivity(
  h: readonly Vector[],
  W: Matrix,
  HV: (v: Vector) => Matrix,
  order: typeof ascending,
): Matrix {
  const J = (r: number) => mul(W, diag(dtanh(h[r - 1]!)));
  return sum(times(LAST, (i) => mul(order(M, i + 2, LAST, J), HV(squash(h[i]!)))));
}

const rowMajor = (v: Vector): Matrix => kron(eye(M), [v]);

describe('Theorem 1: dh_t / dW_R', () => {
  const { params, h, x } = network(SEED, 'pre');
  const unrolled = {
    ...{ cell: palRnn(), x, state: { h: [h[0]!] } },
    params: { W_R: params.W_R, W_I: params.W_I, b_R: params.b_R },
  };
  const truth = jacobian(unrolled, at(LAST), W_R); // row-major vec
  const corrected = sensitivity(h, params.W_R, rowMajor, descending);

  erratum('Pal, Theorem 1: HV(v) is I x v^T, not n x n copies of v^T', { table: 1.5 }, () => ({
    truth,
    printed: sensitivity(h, params.W_R, (v) => times(M, () => times(M, () => v).flat()), descending),
    corrected,
  }));

  erratum('Pal, Theorem 1: Pi_{r=k+1}^t ascends; r = t is the leftmost', { table: 0.19 }, () => ({
    truth,
    printed: sensitivity(h, params.W_R, rowMajor, ascending),
    corrected,
  }));

  erratum('Pal, Theorem 1: v^T x I belongs to the column-major vec', { table: 'nothing printed' }, () => ({
    truth: truth.map((row) => times(M * M, (i) => row[(i % M) * M + Math.floor(i / M)]!)),
    corrected: sensitivity(h, params.W_R, (v) => kron([v], eye(M)), descending),
  }));

  erratum('Pal (3): the sum over k = 1..t of a term without k is t times the gradient', { table: 4 }, () => {
    const last = network(SEED, 'pre', true);
    const g = sub(softmax(add(mv(params.W_O, h[LAST]!), params.b_O)), last.target[LAST]!);
    const term = mul([mv(T(params.W_O), g)], corrected)[0]!;
    expect(term).toHaveLength(M * M); // section 3.2: dE_t/dW_R maps R^{n x n} to R, not to R^n
    return {
      truth: flat(gradients(last.case).W_R),
      printed: sum(times(LAST, () => term)),
      corrected: term,
    };
  });

  erratum(
    "Pal, Lemma 2: dh_t / dh_{t-1} is W_R diag(sigma'(h)), not W_R sigma'(h)",
    { table: Infinity },
    () => ({
      truth: jacobian(unrolled, at(1), at(0)),
      printed: mv(params.W_R, dtanh(h[0]!)),
      corrected: mul(params.W_R, diag(dtanh(h[0]!))),
    }),
  );
});

/** A network without inputs but those that hold h on a path: W_I = I, x_t = h_t - W_R sigma(h_{t-1}). */
function held(W: Matrix, path: readonly Vector[], sigma: 'tanh' | 'identity') {
  const f = sigma === 'tanh' ? squash : (v: Vector) => v;
  const x: Stack = path.slice(1).map((h, t) => [sub(h, mv(W, f(path[t]!)))]);
  const params = { W_R: W, W_I: eye(W.length), b_R: times(W.length, () => 0) };
  return { cell: palRnn(sigma), x, state: { h: [path[0]!] }, params };
}

const standing = (W: Matrix, steps: number) =>
  held(
    W,
    times(steps + 1, () => times(W.length, () => 0)),
    'identity',
  );

erratum('Pal, Lemma 1, example: d(W^2 h_0)/dW is 2 W h_0 for scalars only', { table: Infinity }, () => {
  const draw = new Draw(62);
  const [W, h0] = [draw.matrix(3, 3), draw.vector(3)];
  const h1 = mv(W, h0);
  return {
    truth: jacobian(held(W, [h0, h1, mv(W, h1)], 'identity'), at(2), W_R),
    printed: scale(h1, 2),
    corrected: add(kron(eye(3), [h1]), mul(W, kron(eye(3), [h0]))),
  };
});

describe('vanishing gradients', () => {
  const W: Matrix = [
    [2, -2],
    [2, -2],
  ];

  it('Pal, Theorem 2: all eigenvalues are 0, and the product of 20 steps has norm 1.5e6', () => {
    expect(flat(mul(W, W)).every((v) => v === 0)).toBe(true); // nilpotent
    const path = times(21, () => [0, 20]);
    const norm = norm2(jacobian(held(W, path, 'tanh'), at(20), at(0)));
    console.log('Pal, Theorem 2\n  norm', norm, '(table: 1.5e6)');
    expect(norm).toBeGreaterThan(1.4e6);
    expect(norm).toBeLessThan(1.6e6);
  });

  it('Pal, Theorem 2, corrected: gamma ||W_R|| < 1 or gamma rho(|W_R|) < 1 makes all of 300 draws vanish', () => {
    const draw = new Draw(63);
    let vanished = 0;
    for (let i = 0; i < 300; i++) {
      const m = draw.integer(2, 5);
      const any = draw.matrix(m, m);
      const by = i % 2 === 0 ? norm2(any) : perron(map(any, Math.abs));
      const contracting = scale(any, 0.9 / by);
      const Q = descending(m, 1, 100, () => mul(contracting, diag(draw.uniforms(m, 0, 1))));
      if (norm2(Q) < 1e-4) vanished++;
    }
    expect(vanished).toBe(300);
  });

  it('Pal, section 4.2: it is the early inputs whose contribution vanishes', () => {
    const draw = new Draw(64);
    const any = draw.matrix(3, 3);
    const path = draw.matrix(13, 3);
    const given = held(scale(any, 0.7 / norm2(any)), path, 'tanh');
    const share = [0, 4, 8, 11].map((k) => norm2(jacobian(given, at(12), at(k))));
    expect(share).toEqual([...share].sort((a, b) => a - b));
    expect(share[0]).toBeLessThan(0.7 ** 12);
    expect(share[3]! / share[0]!).toBeGreaterThan(100);
  });
});

describe('exploding gradients', () => {
  it('Pal, Theorem 3: the eigenvectors are those of W_R^T: along one of W_R the claim is off by 1.0', () => {
    const P = new Draw(71).matrix(3, 3);
    const [lambda, steps] = [1.6, 10];
    const W = mul(P, diag([lambda, 0.4, 0.2]), inverse(P));
    const back = T(jacobian(standing(W, steps), at(steps), at(0)));
    const claim = (q: Vector) => off(mv(back, q), scale(q, lambda ** steps));
    const [right, left] = [T(P)[0]!, inverse(P)[0]!];
    console.log(`Pal, Theorem 3\n  printed ${claim(right)} (table: 1.0), corrected ${claim(left)}`);
    expect(claim(right)).toBeGreaterThan(1 / 3);
    expect(claim(right)).toBeLessThan(3);
    expect(claim(left)).toBeLessThan(1e-10);
    // c_j = 0: orthogonal to the right eigenvector, an error vector has no part along q_j and decays.
    const without = sub(left, scale(right, dot(left, right) / dot(right, right)));
    expect(norm2([mv(back, without)]) / norm2([without])).toBeLessThan(0.1);
  });

  const A: Matrix = [
    [1, 100],
    [0, 1],
  ];

  it('Pal, Lemma 3: ||AB|| falls short of min|lambda(A)| ||B|| by 99; sigma_min(A) ||B|| holds', () => {
    const B = inverse(A);
    const least = 1; // both eigenvalues of A
    const short = least * norm2(B) - norm2(mul(A, B));
    console.log('Pal, Lemma 3\n  violated by', short, '(table: 99)');
    expect(short).toBeGreaterThan(98.9);
    expect(short).toBeLessThan(99.1);
    expect(norm2(mul(A, B))).toBeGreaterThanOrEqual(singularValues(A)[1]! * norm2(B) * (1 - 1e-12));
  });

  it('Pal, Theorem 4: ||W_R|| = 10 and identity activation, and two steps give 0', () => {
    const W: Matrix = [
      [0, 10],
      [0, 0],
    ];
    expect(norm2(W)).toBeCloseTo(10, 12);
    expect(jacobian(standing(W, 2), at(2), at(0))).toEqual(zeros(2, 2));
  });

  it("Pal, Theorem 4, corrected: sigma_min(W_R) min|sigma'| bounds the growth from below in 300 draws", () => {
    const draw = new Draw(66);
    for (let i = 0; i < 300; i++) {
      const m = draw.integer(2, 5);
      const W = draw.matrix(m, m);
      const smallest = singularValues(W)[m - 1]!;
      const first = draw.vector(m);
      let d = first;
      let bound = 1;
      for (let step = 0; step < 15; step++) {
        const slopes = draw.uniforms(m, 0.7, 1);
        d = had(slopes, mv(T(W), d));
        bound *= smallest * Math.min(...slopes);
      }
      expect(Math.sqrt(dot(d, d) / dot(first, first))).toBeGreaterThanOrEqual(bound * (1 - 1e-9));
    }
    // In the engine: h stays within 0.5, so that tanh' >= 1 - tanh(0.5)^2.
    const expanding = mul(diag([3, 2]), [
      [0.6, 0.8],
      [-0.8, 0.6],
    ]);
    const path = times(9, () => draw.uniforms(2, -0.5, 0.5));
    const Q = jacobian(held(expanding, path, 'tanh'), at(8), at(0));
    expect(singularValues(Q)[1]!).toBeGreaterThanOrEqual((2 * (1 - Math.tanh(0.5) ** 2)) ** 8);
  });

  it('Pal, Theorem 4, conclusion: w = 1.5, h = 1, -1.5, 0, 0, ...: the sum over k cancels, dh_20/dw = 0', () => {
    const path = [[1], [-1.5], ...times(19, () => [0])];
    const given = held([[1.5]], path, 'identity');
    expect(jacobian(given, at(20), W_R)).toEqual([[0]]);
    expect(jacobian(given, at(20), at(1))[0]![0]).toBeCloseTo(1.5 ** 19, 6);
    expect(valuesOf(given, { h: at(20) }).h).toEqual([[0]]);
  });
});
