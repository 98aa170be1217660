/** A cell that nobody shipped, the README's minimal gated unit: everything is derived of it, on every backend. */
import { test } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { runOnce } from '../../src/backend/host-program.js';
import { defineCell, equations, hessianVector, recurrent, recurrentParameters } from '../../src/index.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float, type Program } from '../../src/program/program.js';
import { tangent } from '../../src/program/tangent.js';
import { backends } from '../support/backends.js';
import { expectClose, randomInputs } from '../support/numbers.js';

const { add, complement, linear, mul, sigmoid, tanh } = equations;

const mgu = defineCell({
  name: 'mgu',
  parameters: ({ input, hidden }) => ({
    W_f: [hidden, input],
    U_f: [hidden, hidden],
    b_f: [hidden],
    W_h: [hidden, input],
    U_h: [hidden, hidden],
    b_h: [hidden],
  }),
  state: ({ hidden }) => ({ h: hidden }),
  output: 'h',
  step(x, state, p) {
    const f = sigmoid(add(linear(x, p.W_f!), p.b_f!, linear(state.h!, p.U_f!)));
    const n = tanh(add(linear(x, p.W_h!), p.b_h!, linear(mul(f, state.h!), p.U_h!)));
    return { f, h: add(mul(complement(f), state.h!), mul(f, n)) };
  },
});

const [T, r, d, m] = [5, 3, 2, 4];

/** Output, BPTT, the output's tangent and a Hessian-vector product of sum(h^2), one layer. */
function derived(): Program {
  const on = new Builder();
  const config = { cell: mgu, input: d, hidden: m, layers: 1 };
  const input = (name: string, shape: readonly number[]) => on.input(name, float(...shape));
  const shapes = Object.entries(recurrentParameters(config));
  const parameters = Object.fromEntries(shapes.map(([name, shape]) => [name, input(name, shape)]));
  const wrt = Object.values(parameters);
  const along = shapes.map(([name, shape]) => input(`along ${name}`, shape));
  const { output } = recurrent(on, config, {
    x: input('x', [T, r, d]),
    state: { h: input('h0', [1, r, m]) },
    parameter: (name) => parameters[name]!,
  });
  const loss = on.sumAll(on.mul(output, output));
  const numbered = (what: string, values: typeof wrt) =>
    Object.fromEntries(values.map((value, i) => [`${what} ${shapes[i]![0]}`, value]));
  const [pushed] = tangent(on, [output], new Map(wrt.map((value, i) => [value, along[i]!])));
  return on.build({
    output,
    tangent: pushed!,
    ...numbered('gradient', gradient(on, loss, wrt)),
    ...numbered('product', hessianVector(on, loss, wrt, along).product),
  });
}

const program = derived();
const inputs = randomInputs(program, 5);
const oracle = interpret(program, inputs);

test('its steps are its equations', () => {
  const times = (W: string, z: readonly number[]) =>
    Array.from({ length: m }, (_, i) =>
      z.reduce((sum, value, j) => sum + inputs[W]![i * z.length + j]! * value, 0),
    );
  for (let s = 0; s < r; s++) {
    let h = Array.from(inputs.h0!.slice(s * m, (s + 1) * m));
    for (let t = 0; t < T; t++) {
      const x = Array.from(inputs.x!.slice((t * r + s) * d, (t * r + s + 1) * d));
      const argument = (gate: string, z: readonly number[]) => {
        const [ofX, ofZ] = [times(`W_${gate}_l0`, x), times(`U_${gate}_l0`, z)];
        return ofX.map((value, i) => value + ofZ[i]! + inputs[`b_${gate}_l0`]![i]!);
      };
      const f = argument('f', h).map((a) => 1 / (1 + Math.exp(-a)));
      const n = argument(
        'h',
        h.map((value, i) => f[i]! * value),
      ).map(Math.tanh);
      h = h.map((value, i) => (1 - f[i]!) * value + f[i]! * n[i]!);
      expectClose(oracle.output!.slice((t * r + s) * m, (t * r + s + 1) * m), h, 1e-14);
    }
  }
});

test.each(Object.entries(backends))('%s: output, BPTT, tangent, Hessian product', async (where, open) => {
  using backend = await open();
  const outputs = await runOnce(backend, program, inputs);
  const tolerance = where.includes('float64') ? 1e-12 : 2e-5;
  for (const [name, wanted] of Object.entries(oracle)) expectClose(outputs[name]!, wanted, tolerance, name);
});
