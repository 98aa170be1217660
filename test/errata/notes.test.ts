/** The notes: the ReLU-RNN (here n = 5, m = 7, c = 3, K = 4) and the tanh MLP (5, 6, 4), one sample. */
import { describe, expect, it } from 'vitest';
import { reluRnn } from '../../src/cells/relu-rnn.js';
import type { Builder } from '../../src/program/builder.js';
import type { Value } from '../../src/program/program.js';
import {
  type Case,
  dataGradients,
  gradients,
  jacobian,
  jacobianAt,
  observed,
  type Steps,
} from './support/engine.js';
import { erratum, together } from './support/erratum.js';
import {
  add,
  Draw,
  diag,
  eye,
  had,
  kron,
  type Matrix,
  map,
  mul,
  mv,
  outer,
  sub,
  sum,
  T,
  times,
  type Vector,
} from './support/matrix.js';

const [N, M, C, LAST] = [5, 7, 3, 4];

function reluNet(seed: number) {
  const draw = new Draw(seed);
  const params = { U: draw.weight(M, M), V: draw.weight(M, N), W: draw.weight(C, M) };
  const h0 = map(draw.matrix(1, M, 0.5), Math.abs);
  const X = draw.stack(LAST, 1, N);
  const target = [times(C, () => draw.integer(0, 1))];
  const config = { head: 'sigmoid_bce' };
  const given: Case<typeof params> = { system: 'relu_rnn', config, params, data: { X, target, w: [1], h0 } };
  const seen = observed(given, 'A', 'h', 'z');
  return {
    ...{ case: given, params, x: [[], ...X.map((row) => row[0]!)] as Vector[], y: target[0]! },
    /** A_1..A_K, h_0..h_K, the sigmoid outputs behind the last step. */
    A: [[], ...seen.A.map((row) => row[0]!)] as Vector[],
    h: [h0[0]!, ...seen.h.map((row) => row[0]!)] as Vector[],
    z: (seen.z as unknown as Matrix)[0]!,
  };
}

/** RLD(A): the derivative of relu. */
const RLD = (A: Vector): Vector => map(A, (v) => (v > 0 ? 1 : 0));

describe('ReLU-RNN', () => {
  const net = reluNet(81);
  const { params, x, A, h } = net;
  const { U, V, W } = params;
  const truth = gradients(net.case);
  const Q = sub(net.z, net.y);
  const delta: Vector[] = []; // delta_1..delta_K
  let gamma = mv(T(W), Q);
  for (let k = LAST; k >= 1; k--) {
    delta[k] = had(RLD(A[k]!), gamma);
    gamma = mv(T(U), delta[k]!);
  }
  /** Of the steps from `first` on. */
  const expanded = (first: number) => {
    const steps = times(LAST - first + 1, (i) => first + i);
    return {
      V: sum(steps.map((k) => outer(delta[k]!, x[k]!))),
      U: sum(steps.map((k) => outer(delta[k]!, h[k - 1]!))),
    };
  };
  const unrolled = {
    ...{ cell: reluRnn, x: x.slice(1).map((row) => [row]), state: { h: [h[0]!] } },
    params: { U, V },
  };
  const at =
    (k: number, name: 'A' | 'h') =>
    ({ at }: Steps) =>
      at[k]![name]!;

  erratum('Notes: grad_W L = (z - y) h_f^T is right', { table: 'correct' }, () => ({
    truth: truth.W,
    printed: outer(Q, h[LAST]!),
    corrected: outer(Q, h[LAST]!),
  }));

  erratum(
    'Notes: grad_h z_j has 200 elements in the RNN, not 201: there is no bias unit',
    { table: Infinity },
    () => ({
      truth: jacobianAt([h[LAST]!], (on, v) => readout(on, v, W)),
      printed: W.map((row) => [...row, 0]),
      corrected: W,
    }),
  );

  erratum('Notes: grad_V L, grad_U L expand two steps and leave the others open', { table: 0.38 }, () =>
    together(['U', 'V'], truth, expanded(LAST - 1), expanded(1)),
  );

  erratum('Notes: the recursion of math.md 8 down to h_0', { table: 'nothing printed' }, () => ({
    truth: dataGradients(net.case, ['h0']).h0!,
    corrected: [gamma],
  }));

  erratum('Notes: I^[200x200] x does not conform; dA/dV is I x x^T (Kronecker)', { table: Infinity }, () => ({
    truth: jacobian(unrolled, at(1, 'A'), ({ params }) => params.V!),
    printed: () => [mv(eye(M), x[1]!)],
    corrected: kron(eye(M), [x[1]!]),
  }));

  erratum('Notes: dh/dh_{t-1} is diag(RLD(A)) U, not RLD(A) U^T', { table: 1.5 }, () => ({
    truth: jacobian(unrolled, at(2, 'h'), at(1, 'h')),
    printed: mul(diag(RLD(A[2]!)), T(U)),
    corrected: mul(diag(RLD(A[2]!)), U),
  }));

  erratum('Notes: dh/dU ends in dh_0/dU and I x h_{t-1}^T, not in I x_t', { table: Infinity }, () => {
    const slope = (k: number) => diag(RLD(A[k]!));
    const immediate = (v: Vector) => kron(eye(M), [v]);
    const two = (first: Matrix, second: Matrix) =>
      add(mul(slope(2), second), mul(slope(2), U, slope(1), first));
    return {
      truth: jacobian(unrolled, at(2, 'h'), ({ params }) => params.U!),
      printed: two(immediate(x[1]!), immediate(x[2]!)),
      corrected: two(immediate(h[0]!), immediate(h[1]!)), // dh_0/dU = 0
    };
  });
});

/** W h for a row h. */
const readout = (on: Builder, h: Value, W: Matrix): Value => on.linear(h, constant(on, W));

const constant = (on: Builder, W: Matrix): Value =>
  on.concat(
    W.map((row) =>
      on.concat(
        row.map((v) => on.full([1, 1], v)),
        1,
      ),
    ),
    0,
  );

/** sin y by its series to y^33, for |y| <= 4: all that rounding leaves. */
const sine = (on: Builder, y: Value): Value => {
  const square = on.mul(y, y);
  let series = on.constant(1);
  for (let k = 16; k >= 1; k--)
    series = on.sub(on.constant(1), on.mul(on.mul(square, on.constant(1 / (2 * k * (2 * k + 1)))), series));
  return on.mul(y, series);
};

erratum('Notes: the derivative of y = sin(Ax) is diag(cos(Ax)) A, not A^T cos(Ax)', { table: 1.6 }, () => {
  const draw = new Draw(82);
  const [A, x] = [draw.matrix(4, 4), draw.vector(4)];
  const cos = diag(map(mv(A, x), Math.cos));
  expect(Math.max(...mv(A, x).map(Math.abs))).toBeLessThan(4);
  return {
    truth: jacobianAt([x], (on, v) => sine(on, readout(on, v, A))),
    printed: mul(T(A), cos),
    corrected: mul(cos, A),
  };
});

describe('tanh MLP', () => {
  const draw = new Draw(83);
  const params = { V: draw.weight(6, 5 + 1), W: draw.weight(4, 6 + 1) };
  const X = draw.matrix(1, 5);
  const target = [times(4, () => draw.integer(0, 1))];
  const given: Case<typeof params> = {
    ...{ system: 'tanh_mlp', config: { head: 'sigmoid_bce' }, params, data: { X, target, w: [1] } },
  };
  const seen = observed(given, 'h', 'z') as unknown as Record<'h' | 'z', Matrix>;
  const h = seen.h[0]!;
  const Q = sub(seen.z[0]!, target[0]!);
  const S = map(h, (v) => 1 - v * v);
  const truth = gradients(given);

  erratum(
    'Notes, tanh MLP: (W^T Q) o S has 201 elements against 200; the bias column drops out',
    { table: Infinity },
    () => ({
      truth: truth.V,
      printed: () => outer(had(mv(T(params.W), Q), S), [...X[0]!, 1]),
      corrected: outer(had(mv(T(params.W.map((row) => row.slice(0, 6))), Q), S), [...X[0]!, 1]),
    }),
  );

  it('Notes, tanh MLP: grad_W = Q [h; 1]^T', () => {
    expect(truth.W.flat()).toHaveLength(4 * 7);
    outer(Q, [...h, 1]).forEach((row, i) => {
      row.forEach((v, j) => expect(truth.W[i]![j]).toBeCloseTo(v, 12));
    });
  });
});
