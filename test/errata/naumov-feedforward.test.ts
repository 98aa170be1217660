/** Naumov, section 3: Hessians of feed-forward networks. The engine's Hessians are products with unit vectors. */
import { describe, expect, it } from 'vitest';
import { gradients, hessian } from './support/engine.js';
import { erratum } from './support/erratum.js';
import {
  add,
  diag,
  dot,
  eigenvalues,
  eye,
  had,
  kron,
  type Matrix,
  mul,
  mv,
  off,
  outer,
  scale,
  singularValues,
  sub,
  sum,
  symmetricEigen,
  T,
  times,
  zeros,
} from './support/matrix.js';
import {
  columnMajor,
  exactBlocks,
  type FeedForward,
  feedForward,
  firstOrder,
  firstPartlyAlive,
  LAYERS,
  type Name,
  WIDTHS,
} from './support/naumov.js';

const SMOOTH: readonly Name[] = ['tanh', 'sigmoid', 'softplus'];

/** F^(k) = f' f'^T */
const F = ({ samples, d1 }: FeedForward, k: number) => outer(d1(samples[0]!.y[k]!), d1(samples[0]!.y[k]!));

/** A^(k) = C^(k) o F^(k) + D^(k) by (28)-(35), with C^(l) and the lower layers' v as printed or repaired. */
function blocks(net: FeedForward, fix: { readonly C: boolean; readonly v: boolean }): Matrix[] {
  const { W, samples, d2 } = net;
  const { y, z, target } = samples[0]!;
  const v1 = firstOrder(net); // (18), (19)
  const v2 = [];
  v2[3] = had(sub(z[3]!, target), d2(y[3]!)); // (34)
  // (35) passes on v that already holds f''; it should be the first-order adjoint.
  for (const k of [3, 2]) v2[k - 1] = had(mv(T(W[k]!), fix.v ? v1[k]! : v2[k]!), d2(y[k - 1]!));
  let C = fix.C ? eye(4) : had(eye(4), F(net, 3)); // (32)
  const A: Matrix[] = [];
  for (const k of [3, 2, 1]) {
    A[k] = add(had(C, F(net, k)), diag(v2[k]!)); // (28), (33)
    C = mul(T(W[k]!), A[k]!, W[k]!);
  }
  return A;
}

const gram = (net: FeedForward, k: number) => outer(net.samples[0]!.z[k - 1]!, net.samples[0]!.z[k - 1]!);

/** A formula of A^(k) against the engine's H_W = A^(k) x z z^T, in the layers given. */
const inLayers = (
  net: FeedForward,
  what: string,
  layers: readonly number[],
  fix: { C: boolean; v: boolean },
) =>
  layers.map((k) => ({
    what: `${what}, layer ${k}`,
    truth: hessian(net.case, `W${k}`),
    printed: kron(blocks(net, fix)[k]!, gram(net, k)),
    corrected: kron(exactBlocks(net)[k]!, gram(net, k)),
  }));

describe('gradients', () => {
  const R = 3;

  erratum('Naumov (26): the gradient V Z^T of the mean loss (3) lacks the factor 1/r', { table: 2 }, () => {
    const net = feedForward('tanh', 1, R, 1 / R);
    const truth = gradients(net.case);
    return LAYERS.map((k) => {
      const VZ = sum(net.samples.map(({ z }, j) => outer(firstOrder(net, j)[k]!, z[k - 1]!)));
      return { what: `W${k}`, truth: truth[`W${k}`]!, printed: VZ, corrected: scale(VZ, 1 / R) };
    });
  });

  it('Naumov (26): the rank of V Z^T is at most r, not r: two equal samples of three give rank 2', () => {
    const net = feedForward('tanh', 1, R, 1 / R);
    const [first, second] = net.case.data.X as Matrix;
    const [t0, t1] = net.case.data.target as Matrix;
    const data = { ...net.case.data, X: [first!, second!, second!], target: [t0!, t1!, t1!] };
    const rank = (G: Matrix) => singularValues(G).filter((s, _, all) => s > 1e-12 * all[0]!).length;
    expect(rank(gradients(net.case).W2 as Matrix)).toBe(3);
    expect(rank(gradients({ ...net.case, data }).W2 as Matrix)).toBe(2);
  });
});

describe('Theorem 1: per-layer Hessians', () => {
  erratum(
    'Naumov (28): C x z z^T belongs to the row-major vec; column-major needs z z^T x C',
    { table: [0.9, 1.1] },
    () => {
      const net = feedForward('tanh', 2);
      return LAYERS.map((k) => {
        const A = exactBlocks(net)[k]!;
        return {
          what: `layer ${k}`,
          truth: columnMajor(hessian(net.case, `W${k}`), WIDTHS[k]!, WIDTHS[k - 1]!),
          printed: kron(A, gram(net, k)),
          corrected: kron(gram(net, k), A),
        };
      });
    },
  );

  erratum("Naumov (32): C^(l) = I o F^(l) counts f'^2 twice", { table: [0.1, 1.05] }, () =>
    SMOOTH.flatMap((name) => inLayers(feedForward(name, 3), name, LAYERS, { C: false, v: true })),
  );

  erratum("Naumov (34)(35): v propagated with f'' instead of f'", { table: [0.41, 1.03] }, () =>
    SMOOTH.flatMap((name) => inLayers(feedForward(name, 3), name, [1, 2], { C: true, v: false })),
  );

  it('Naumov (34): the top layer, where nothing is propagated, is right', () => {
    for (const name of SMOOTH) {
      const net = feedForward(name, 3);
      const A = blocks(net, { C: true, v: false })[3]!;
      expect(off(kron(A, gram(net, 3)), hessian(net.case, 'W3'))).toBeLessThan(1e-10);
    }
  });

  erratum('Naumov (28)-(35) as printed: H_W', { table: [0.2, 1] }, () =>
    SMOOTH.flatMap((name) => inLayers(feedForward(name, 3), name, LAYERS, { C: false, v: false })),
  );

  erratum('Naumov (29) with (30)-(35) as printed: H_b', { table: [0.2, 1] }, () =>
    SMOOTH.flatMap((name) => {
      const net = feedForward(name, 3);
      return LAYERS.map((k) => ({
        what: `${name}, layer ${k}`,
        truth: hessian(net.case, `b${k}`),
        printed: blocks(net, { C: false, v: false })[k]!,
        corrected: exactBlocks(net)[k]!,
      }));
    }),
  );

  erratum(
    'Naumov (43)(44): the ReLU recursion, read as (W^T C W) o F, is right',
    { table: 'correct' },
    () => {
      const net = firstPartlyAlive(4);
      const C: Matrix[] = [];
      C[3] = had(eye(4), F(net, 3));
      for (const k of [3, 2]) C[k - 1] = had(mul(T(net.W[k]!), C[k]!, net.W[k]!), F(net, k - 1));
      return LAYERS.map((k) => ({
        what: `layer ${k}`,
        truth: hessian(net.case, `W${k}`),
        printed: kron(C[k]!, gram(net, k)),
        corrected: kron(exactBlocks(net)[k]!, gram(net, k)),
      }));
    },
  );
});

describe('eigenvalues of H_W', () => {
  const sorted = (values: readonly number[]) => [...values].sort((a, b) => a - b);

  erratum(
    'Naumov (46): |z|^2 lambda(C) and (n-1)m zeros are right for one sample',
    { table: 'correct', tolerance: 1e-9 },
    () => {
      const net = firstPartlyAlive(4);
      return LAYERS.map((k) => {
        const z = net.samples[0]!.z[k - 1]!;
        const spectrum = (A: Matrix) =>
          sorted([...times((z.length - 1) * A.length, () => 0), ...scale(eigenvalues(A), dot(z, z))]);
        const values = spectrum(exactBlocks(net)[k]!);
        return {
          what: `layer ${k}`,
          truth: eigenvalues(hessian(net.case, `W${k}`)),
          printed: values,
          corrected: values,
        };
      });
    },
  );

  it('Naumov (46): 0 has multiplicity at least (n-1)m: more where C is singular', () => {
    const net = firstPartlyAlive(4);
    const values = eigenvalues(hessian(net.case, 'W2')).map(Math.abs);
    const zero = values.filter((v) => v < 1e-12 * Math.max(...values)).length;
    expect(zero).toBeGreaterThan((WIDTHS[1]! - 1) * WIDTHS[2]!);
  });

  erratum(
    'Naumov (46): wrong for a mini-batch (r = 3); the Gram form of section 2.2 is right',
    { table: 0.83, tolerance: 1e-9 },
    () => {
      const R = 3;
      const net = feedForward('tanh', 5, R, 1 / R);
      const z = net.samples.map((s) => s.z[1]!);
      const A = times(R, (j) => scale(exactBlocks(net, j)[2]!, 1 / R));
      const [m, n] = [WIDTHS[2]!, WIDTHS[1]!];
      // The mean of |z|^2 times the eigenvalues of the mean C, as for one sample.
      const single = scale(eigenvalues(sum(A)), z.reduce((s, v) => s + dot(v, v), 0) / R);
      // (G^1/2 x I) blkdiag(A_j) (G^1/2 x I), G_jj' = z_j . z_j'
      const { values, vectors } = symmetricEigen(z.map((a) => z.map((b) => dot(a, b))));
      const root = kron(mul(vectors, diag(values.map(Math.sqrt)), T(vectors)), eye(m));
      const block = times(R, (j) =>
        A[j]!.map((row) => times(R, (i) => (i === j ? row : zeros(1, m)[0]!)).flat()),
      ).flat();
      const small = eigenvalues(mul(root, block, root));
      return {
        truth: eigenvalues(hessian(net.case, 'W2')),
        printed: sorted([...times((n - 1) * m, () => 0), ...single]),
        corrected: sorted([...times((n - R) * m, () => 0), ...small]),
      };
    },
  );
});
