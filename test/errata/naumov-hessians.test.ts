/** Naumov, section 4: Hessians of stacked recurrent networks. T = 4 steps, 4 units in each layer. */
import { describe, expect, it } from 'vitest';
import { naumovRnn } from '../../src/cells/naumov-rnn.js';
import type { Value } from '../../src/program/program.js';
import { curvature, gaussNewton, hessian, jacobian, type Steps } from './support/engine.js';
import { erratum } from './support/erratum.js';
import {
  add,
  ascending,
  descending,
  diag,
  eye,
  flat,
  had,
  kron,
  type Matrix,
  mul,
  mv,
  outer,
  type Stack,
  sub,
  sum,
  T,
  type Vector,
  zeros,
} from './support/matrix.js';
import {
  columnMajor,
  component,
  exactCurvature,
  exactHessian,
  feature,
  kroneckerSum,
  type Name,
  type Order,
  product,
  type Recurrent,
  recurrentNet,
  STEPS,
  steps,
  UNITS,
} from './support/naumov.js';

/** Of networks like the table's (see FACTOR). */
const SEED = 21;
const BOTH: readonly Name[] = ['tanh', 'relu'];

interface Repairs {
  /** C^(l) = I, not I o F^(l) (81). */
  readonly C: boolean;
  /** v of first order in (83), (84). */
  readonly v: boolean;
}

/** A^(k,t) at t = T of the component E^(T): (78)-(84). */
function lastBlock(net: Recurrent, k: number, fix: Repairs = { C: true, v: true }): Matrix {
  const { W, y, z, target, d1, d2, layers, steps: t } = net;
  const v1 = component(net, t);
  const F = (j: number) => outer(d1(y[j]![t]!), d1(y[j]![t]!));
  let v2: Vector = [];
  let A: Matrix = [];
  let C = fix.C ? eye(UNITS) : had(eye(UNITS), F(layers));
  for (let j = layers; j >= k; j--) {
    const g = j === layers ? sub(z[j]![t]!, target[t]!) : mv(T(W[j + 1]!), fix.v ? v1[j + 1]! : v2);
    v2 = had(g, d2(y[j]![t]!));
    A = add(had(C, F(j)), diag(v2));
    C = mul(T(W[j]!), A, W[j]!);
  }
  return A;
}

/** (77): one A^(k,t) between two products. */
const sandwich = (net: Recurrent, k: number, t: number, A: Matrix, order: Order) => (s: number, q: number) =>
  mul(T(product(net, k, s, t, order)), A, product(net, k, q, t, order));

/** (74)-(76) with (77), for the component E^(T). */
const printedHessian = (net: Recurrent, k: number, parameter: 'W' | 'U' | 'b', order: Order) =>
  kroneckerSum(STEPS, sandwich(net, k, STEPS, lastBlock(net, k), order), feature(net, k, parameter));

describe('Theorem 2: per-layer Hessians', () => {
  erratum('Naumov (74): C x z z^T belongs to the row-major vec, as (28)', { table: [0.9, 1.1] }, () => {
    const net = recurrentNet('tanh', 2, 'component', SEED);
    return [1, 2].map((k) => {
      const C = exactCurvature(net)[k]!;
      const phi = feature(net, k, 'W');
      const all = steps(1, STEPS).flatMap((s) => steps(1, STEPS).map((q) => [s, q] as const));
      return {
        what: `layer ${k}`,
        truth: columnMajor(hessian(net.case, `W${k}`), UNITS, net.W[k]![0]!.length),
        printed: kroneckerSum(STEPS, (s, q) => C[s]![q]!, phi),
        corrected: sum(all.map(([s, q]) => kron(outer(phi(s), phi(q)), C[s]![q]!))),
      };
    });
  });

  /** One step: nothing of (77) is in the way. */
  const oneStep = (name: string, table: readonly [number, number], layers: readonly number[], fix: Repairs) =>
    erratum(name, { table }, () =>
      (['tanh', 'sigmoid', 'softplus'] as const).flatMap((f) =>
        layers.map((k) => {
          const net = recurrentNet(f, 2, 'component', 23, { steps: 1 });
          const phi = feature(net, k, 'W');
          return {
            what: `${f}, layer ${k}`,
            truth: hessian(net.case, `W${k}`),
            printed: kroneckerSum(1, () => lastBlock(net, k, fix), phi),
            corrected: exactHessian(net, k, 'W'),
          };
        }),
      ),
    );
  oneStep("Naumov (81): C^(l) = I o F^(l) counts f'^2 twice, as (32)", [0.1, 1.05], [1, 2], {
    C: false,
    v: true,
  });
  oneStep("Naumov (83)(84): v propagated with f'', as (34)(35)", [0.41, 1.03], [1], { C: true, v: false });

  for (const [parameter, table] of [
    ['W', [0.03, 0.97]],
    ['b', [0.04, 0.99]],
  ] as const)
    erratum(`Naumov (77): f'' only at the last step, top layer, H_${parameter}`, { table }, () =>
      [1, 2].map((layers) => {
        const net = recurrentNet('tanh', layers, 'component', SEED);
        return {
          what: `top layer of ${layers}`,
          truth: hessian(net.case, `${parameter}${layers}`),
          printed: printedHessian(net, layers, parameter, descending),
          corrected: exactHessian(net, layers, parameter),
        };
      }),
    );

  erratum("Naumov (77): f'' only at the last step, block C(1,2)", { table: 0.37 }, () => {
    const net = recurrentNet('tanh', 1, 'component', SEED);
    return {
      truth: curvature(unrolled(net), lossAt(net, STEPS), pick(1, 'y'), pick(2, 'y')),
      printed: sandwich(net, 1, STEPS, lastBlock(net, 1), descending)(1, 2),
      corrected: exactCurvature(net)[1]![1]![2]!,
    };
  });

  erratum(
    'Naumov (77) for k < l: a single time t where all (s, zeta) arrive from above',
    { table: [0.8, 0.995] },
    () =>
      BOTH.map((name) => {
        const net = recurrentNet(name, 2, 'component', SEED);
        return {
          what: name,
          truth: hessian(net.case, 'W1'),
          printed: printedHessian(net, 1, 'W', descending),
          corrected: exactHessian(net, 1, 'W'),
        };
      }),
  );

  erratum('Naumov (75)(97): H_U lacks M + M^T', { table: [0.14, 0.91] }, () =>
    BOTH.flatMap((name) =>
      (
        [
          [1, 1],
          [2, 1],
          [2, 2],
        ] as const
      ).map(([layers, k]) => {
        const net = recurrentNet(name, layers, 'component', SEED);
        const C = exactCurvature(net)[k]!;
        return {
          what: `${name}, layer ${k} of ${layers}`,
          truth: hessian(net.case, `U${k}`),
          printed: kroneckerSum(STEPS, (s, q) => C[s]![q]!, feature(net, k, 'U')),
          corrected: exactHessian(net, k, 'U'),
        };
      }),
    ),
  );

  erratum('Naumov (82)(84)(100): the time term counts paths of (77) twice', { table: [0.9, 2.9] }, () =>
    BOTH.map((name) => {
      const net = recurrentNet(name, 2, 'sum', SEED);
      const A = withCurvatureTimeTerm(net);
      const phi = feature(net, 1, 'W');
      const H = sum(steps(1, STEPS).map((t) => kroneckerSum(t, sandwich(net, 1, t, A[t]!, descending), phi)));
      return { what: name, truth: hessian(net.case, 'W1'), printed: H, corrected: exactHessian(net, 1, 'W') };
    }),
  );

  erratum('Naumov (96)(98): ReLU, k = l, ascending product', { table: [0.09, 0.48] }, () =>
    (['W', 'b'] as const).flatMap((parameter) =>
      [1, 2].map((layers) => {
        const net = recurrentNet('relu', layers, 'component', SEED);
        return {
          what: `H_${parameter}, top layer of ${layers}`,
          truth: hessian(net.case, `${parameter}${layers}`),
          printed: printedHessian(net, layers, parameter, ascending),
          corrected: printedHessian(net, layers, parameter, descending),
        };
      }),
    ),
  );

  erratum('Naumov (74)-(77): exact for the Gauss-Newton blocks of W, U and b', { table: 'correct' }, () =>
    BOTH.flatMap((name) =>
      (['W', 'U', 'b'] as const).map((parameter) => {
        const net = recurrentNet(name, 1, 'component', SEED);
        const slope = diag(net.d1(net.y[1]![STEPS]!));
        const phi = feature(net, 1, parameter);
        const C = exactCurvature(net, true)[1]!;
        return {
          what: `${name}, ${parameter}`,
          truth: gaussNewton(net.case, `${parameter}1`),
          printed: kroneckerSum(STEPS, sandwich(net, 1, STEPS, mul(slope, slope), descending), phi),
          corrected: kroneckerSum(STEPS, (s, q) => C[s]![q]!, phi),
        };
      }),
    ),
  );
});

/** A^(1,t) of the total loss by (78)-(84), (100), two layers. F o F at the top, as (81) has it, but for ReLU. */
function withCurvatureTimeTerm({ name, W, U, y, z, target, d1, d2 }: Recurrent): Matrix[] {
  const lower: Matrix[] = [];
  let v: Vector = [];
  for (let t = STEPS; t >= 1; t--) {
    const F = (k: number) => outer(d1(y[k]![t]!), d1(y[k]![t]!));
    const v2 = had(sub(z[2]![t]!, target[t]!), d2(y[2]![t]!));
    const upper = add(had(eye(UNITS), F(2), name === 'relu' ? eye(UNITS) : F(2)), diag(v2));
    const down = mv(T(W[2]!), v2);
    const C = mul(T(W[2]!), upper, W[2]!);
    const later = t < STEPS;
    v = had(later ? add(down, mv(T(U[1]!), v)) : down, d2(y[1]![t]!)); // (84)
    lower[t] = add(had(later ? add(C, mul(T(U[1]!), lower[t + 1]!, U[1]!)) : C, F(1)), diag(v)); // (82)
  }
  return lower;
}

const pick =
  (s: number, name: string) =>
  ({ at }: Steps): Value =>
    at[s]![name]!;

/** One layer written out step by step. */
const unrolled = (net: Recurrent) => {
  const { W1, U1, b1 } = net.case.params as Record<string, Matrix>;
  return {
    cell: naumovRnn(net.name),
    x: net.case.data.X as Stack,
    state: { z: zeros(1, UNITS) },
    params: { W: W1!, U: U1!, b: b1! },
  };
};

/** E^(t) = 1/2 |z[t] - target|^2 */
const lossAt = (net: Recurrent, t: number) => {
  const constants = net.target[t]!;
  return ({ on, at }: Steps): Value => {
    const target = on.concat(
      constants.map((c) => on.full([1, 1], c)),
      1,
    );
    const d = on.sub(at[t]!.z!, target);
    return on.mul(on.sumAll(on.mul(d, d)), on.constant(0.5));
  };
};

describe('readings', () => {
  const net = recurrentNet('tanh', 1, 'sum', SEED);
  const largest = (A: Matrix) => Math.max(...flat(A).map(Math.abs));

  it('Naumov (86): z^(k,t-1) depends on w', () => {
    expect(largest(jacobian(unrolled(net), pick(STEPS - 1, 'z'), ({ params }) => params.W!))).toBeGreaterThan(
      0.1,
    );
  });

  it('Naumov (92)(93): cross terms of steps vanish for a component, not for the total loss', () => {
    const cross = (loss: (steps: Steps) => Value) =>
      largest(curvature(unrolled(net), loss, pick(3, 'y'), pick(4, 'y')));
    expect(cross(lossAt(net, 3))).toBe(0);
    expect(cross((s) => s.on.add(lossAt(net, 3)(s), lossAt(net, 4)(s)))).toBeGreaterThan(0.01);
  });
});
