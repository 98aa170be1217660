/** Sherstinsky, section VII: the Augmented LSTM. Window L = 3, d_x = 3, d_s = 5, d_v = 2 unless said otherwise. */
import { describe, expect, it } from 'vitest';
import { augmentedLstm as cell } from '../../src/cells/augmented-lstm.js';
import { gradients, jacobian, type Steps, valuesOf } from './support/engine.js';
import { erratum, together } from './support/erratum.js';
import {
  ALL_GATES,
  asPrinted,
  augmentedGradients,
  augmentedLstm,
  back,
  K,
  outerSum,
  R,
  WINDOW,
} from './support/lstm.js';
import {
  Draw,
  diag,
  had,
  type Matrix,
  map,
  mv,
  off,
  ShapeError,
  type Stack,
  sum,
  times,
} from './support/matrix.js';

const net = augmentedLstm(41);
const truth = gradients(net.case);
const exact = augmentedGradients(net).gradients;

describe('backward pass', () => {
  erratum('Sherstinsky (217)-(249), corrected: all parameters', { table: 'nothing printed' }, () =>
    Object.keys(truth).map((name) => ({ what: name, truth: truth[name]!, corrected: exact[name]! })),
  );

  erratum('Sherstinsky (222)(229): W_scr, W_scu, W_scs, W_scx are not transposed', { table: 0.62 }, () =>
    together(
      ALL_GATES.map((g) => `b_${g}`),
      truth,
      augmentedGradients(net, asPrinted).gradients,
      exact,
    ),
  );

  erratum(
    'Sherstinsky (228): W_v* alpha, with W_v* d_s x d_v, does not conform',
    { table: Infinity },
    () => ({
      truth: truth.b_cu!,
      printed: () => augmentedGradients(net, back, asPrinted).gradients.b_cu!,
      corrected: exact.b_cu!,
    }),
  );

  erratum(
    'Sherstinsky (219)(226), middle: dr/dq and du/dg_cx where dq/dr and da_du/dg_cx belong',
    { table: 'no figure' },
    () => {
      const { params } = augmentedLstm(44, 5).case;
      const draw = new Draw(45);
      const state = { s: draw.matrix(1, 5), v: draw.matrix(1, 5) };
      const { W_y, b_y, ...weights } = params;
      const one = Object.fromEntries(
        Object.entries(weights).map(([name, W]) => [name, name.startsWith('Wx_') ? W.slice(0, 1) : W]),
      );
      const given = { cell: cell(), x: draw.stack(1, 1, 3), state, params: one };
      const at =
        (name: string) =>
        ({ at }: Steps) =>
          at[1]![name]!;
      const seen = valuesOf(
        given,
        Object.fromEntries(['g_cr', 'xi_du', 'u'].map((name) => [name, at(name)])),
      );
      const [g_cr, xi, u] = ['g_cr', 'xi_du', 'u'].map((name) => (seen[name] as Matrix)[0]!);
      const slope = map(u!, (value) => 1 - value * value);
      return [
        {
          what: '(219)',
          truth: jacobian(given, at('q'), at('r')),
          printed: diag(map(g_cr!, (g) => 1 / g)),
          corrected: diag(g_cr!),
        },
        {
          what: '(226)',
          truth: jacobian(given, at('a_du'), at('g_cx')),
          printed: diag(had(slope, xi!)),
          corrected: diag(xi!),
        },
      ];
    },
  );

  erratum('Sherstinsky (246): dE/dW_xdu[l] lacks the factor g_cx', { table: 0.95 }, () => {
    const { alpha } = augmentedGradients(net);
    return {
      truth: truth.Wx_du!,
      printed: net.ahead.map((x) => outerSum(alpha.du!, x)),
      corrected: exact.Wx_du!,
    };
  });

  erratum('Sherstinsky (249): dE/dW_qdr = chi v^T is d_v x d_v, not d_v x d_s', { table: Infinity }, () => ({
    truth: truth.W_qdr!,
    printed: outerSum(augmentedGradients(net).chis, net.v.slice(1)),
    corrected: exact.W_qdr!,
  }));

  erratum('Sherstinsky (249) for d_v = d_s: chi v^T in the place of chi q^T', { table: 1.1 }, () => {
    const square = augmentedLstm(42, 5);
    const { gradients: g, chis } = augmentedGradients(square);
    return {
      truth: gradients(square.case).W_qdr!,
      printed: outerSum(chis, square.v.slice(1)),
      corrected: g.W_qdr!,
    };
  });
});

describe('dimensions and conventions', () => {
  it('Sherstinsky, after (195) and (214): g_cx with d_x rows does not conform with xi_xdu, of d_s', () => {
    const draw = new Draw(43);
    const [d_x, d_s, d_v] = [3, 5, 2];
    const gate = (rows: number) => mv(draw.matrix(rows, d_v), draw.vector(d_v)); // W_vcx v
    expect(() => had(gate(d_x), draw.vector(d_s))).toThrow(ShapeError);
    expect(had(gate(d_s), draw.vector(d_s))).toHaveLength(d_s);
    const shapes = cell({ window: WINDOW }).parameters({ input: d_x, hidden: d_s, projection: d_v });
    expect(shapes).toMatchObject({
      Wx_cx: [WINDOW, d_s, d_x],
      Ws_cx: [d_s, d_s],
      Wv_cx: [d_s, d_v],
      b_cx: [d_s],
    });
  });

  it('Sherstinsky (250): with W_qdr there are 20 parameter entities', () => {
    const names = Object.keys(cell().parameters({ input: 3, hidden: 5, projection: 2 }));
    expect(names).toHaveLength(20);
    expect(names).toContain('W_qdr');
  });

  it('Sherstinsky (187): step n sees x[n..n+L-1], not x[0..L-1]; behind the segment there are zeros', () => {
    const X = net.case.data.X as Stack;
    const filters = net.case.params.Wx_du as Stack;
    const xi = (input: (n: number, l: number, j: number) => readonly number[] | undefined) =>
      times(K, (n) =>
        times(R, (j) => sum(filters.map((W, l) => mv(W, input(n, l, j) ?? times(3, () => 0))))),
      );
    expect(
      off(
        xi((n, l, j) => X[n + l]?.[j]),
        net.seen.xi_du,
      ),
    ).toBeLessThan(1e-14);
    expect(
      off(
        xi((_, l, j) => X[l]![j]),
        net.seen.xi_du,
      ),
    ).toBeGreaterThan(0.3);
  });
});
