/** Naumov, section 4: gradients of stacked recurrent networks. T = 4 steps, 4 units in each layer. */
import { describe, expect, it } from 'vitest';
import { gradients } from './support/engine.js';
import { erratum } from './support/erratum.js';
import {
  add,
  ascending,
  descending,
  had,
  type Matrix,
  mv,
  outer,
  type Stack,
  scale,
  singularValues,
  sub,
  sum,
  T,
  times,
  type Vector,
  zeros,
} from './support/matrix.js';
import {
  adjoints,
  component,
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

/** v^(k,t) of (59), (60): with a time term in every layer below the top one. Index [k][t]. */
function withTimeTerm(net: Recurrent): Vector[][] {
  const { W, U, y, z, target, d1, layers } = net;
  const v: Vector[][] = times(layers + 1, () => []);
  for (let t = STEPS; t >= 1; t--) {
    v[layers]![t] = had(sub(z[layers]![t]!, target[t]!), d1(y[layers]![t]!)); // (59)
    for (let k = layers; k > 1; k--) {
      const down = mv(T(W[k]!), v[k]![t]!);
      const all = t < STEPS ? add(down, mv(T(U[k - 1]!), v[k - 1]![t + 1]!)) : down;
      v[k - 1]![t] = had(all, d1(y[k - 1]![t]!)); // (60)
    }
  }
  return v;
}

/** (55), (58): the gradient by W^(k) of a component, from v = v^(k,t). */
const backInTime = (net: Recurrent, k: number, t: number, v: Vector, order: Order): Matrix =>
  sum(steps(1, t).map((s) => outer(mv(T(product(net, k, s, t, order)), v), net.z[k - 1]![s]!)));

/** Section 3: dE/dW_k = sum over s of v_k[s] z_{k-1}[s]'. */
const exactGradient = (net: Recurrent, k: number): Matrix =>
  sum(steps(1, STEPS).map((s) => outer(adjoints(net).v[k]![s]!, net.z[k - 1]![s]!)));

describe('gradients', () => {
  erratum('Naumov (71)(72): the mean gradient V Z^T lacks the factor 1/r', { table: 2 }, () => {
    const R = 3;
    const nets = times(R, (j) => recurrentNet('tanh', 2, 'sum', 10, { sample: 100 + j }));
    const join = (name: string): Stack =>
      times(STEPS, (t) => nets.flatMap((net) => (net.case.data[name] as Stack)[t]!));
    const data = {
      X: join('X'),
      target: join('target'),
      w: times(STEPS, () => times(R, () => 1 / R)),
      z0_1: zeros(R, UNITS),
      z0_2: zeros(R, UNITS),
    };
    const truth = gradients({ ...nets[0]!.case, data });
    return [1, 2].map((k) => {
      const VZ = sum(nets.map((net) => exactGradient(net, k)));
      return { what: `W${k}`, truth: truth[`W${k}`]!, printed: VZ, corrected: scale(VZ, 1 / R) };
    });
  });

  it('Naumov (71): the rank of V Z^T is at most r t: 1 where every step has the same input', () => {
    const net = recurrentNet('tanh', 1, 'sum', 10);
    const [first] = net.case.data.X as Stack;
    const data = { ...net.case.data, X: times(STEPS, () => first!) };
    const singular = singularValues(gradients({ ...net.case, data }).W1 as Matrix);
    expect(singular[1]! / singular[0]!).toBeLessThan(1e-12);
  });

  erratum("Naumov (58)(65): Pi U diag(f') ascends; h = t-1 is the leftmost", { table: [0.18, 0.59] }, () =>
    BOTH.flatMap((name) =>
      [1, 2].map((layers) => {
        const net = recurrentNet(name, layers, 'component', SEED);
        const v = component(net, STEPS)[layers]!;
        return {
          what: `${name}, top layer of ${layers}`,
          truth: gradients(net.case)[`W${layers}`]!,
          printed: backInTime(net, layers, STEPS, v, ascending),
          corrected: backInTime(net, layers, STEPS, v, descending),
        };
      }),
    ),
  );

  erratum(
    'Naumov (58) for k < l: the paths through the time links of the layers above are missing',
    { table: [0.75, 1.03] },
    () =>
      BOTH.map((name) => {
        const net = recurrentNet(name, 2, 'component', SEED);
        return {
          what: name,
          truth: gradients(net.case).W1!,
          printed: backInTime(net, 1, STEPS, component(net, STEPS)[1]!, descending),
          corrected: exactGradient(net, 1),
        };
      }),
  );

  erratum('Naumov (59)(60) alone: no time term in the top layer', { table: [0.33, 0.94] }, () =>
    BOTH.flatMap((name) =>
      [1, 2].map((k) => {
        const net = recurrentNet(name, 2, 'sum', SEED);
        const v = withTimeTerm(net)[k]!;
        return {
          what: `${name}, layer ${k} of 2`,
          truth: gradients(net.case)[`W${k}`]!,
          printed: sum(steps(1, STEPS).map((t) => outer(v[t]!, net.z[k - 1]![t]!))),
          corrected: exactGradient(net, k),
        };
      }),
    ),
  );

  erratum('Naumov (58) and (60) together: paths counted twice in the lower layer', { table: 0.85 }, () =>
    BOTH.map((name) => {
      const net = recurrentNet(name, 2, 'sum', SEED);
      const v = withTimeTerm(net)[1]!;
      return {
        what: name,
        truth: gradients(net.case).W1!,
        printed: sum(steps(1, STEPS).map((t) => backInTime(net, 1, t, v[t]!, descending))),
        corrected: exactGradient(net, 1),
      };
    }),
  );
});
