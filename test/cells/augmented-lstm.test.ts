import { expect, it } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { augmentedLstm } from '../../src/cells/augmented-lstm.js';
import type { Cell } from '../../src/cells/cell.js';
import { vanillaLstm } from '../../src/cells/vanilla-lstm.js';
import { recurrentLayer } from '../../src/model/recurrent.js';
import { adjoint } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float, type Program, type Shape } from '../../src/program/program.js';
import { expectClose, randomInputs } from '../support/numbers.js';

const [T, r, n, m] = [5, 2, 3, 4];
const sizes = { input: n, hidden: m, projection: 0 };

/** Output and gradients of a layer; a filter of one step [1, m, n] has the elements of a matrix [m, n]. */
function layer(cell: Cell): Program {
  const on = new Builder();
  const input = (name: string, shape: Shape) => on.input(name, float(...shape));
  const parameters = Object.fromEntries(
    Object.entries(cell.parameters(sizes)).map(([name, shape]) => [name, input(name, shape)]),
  );
  const state = Object.fromEntries(
    Object.keys(cell.state(sizes)).map((name) => [name, input(`${name}0`, [r, m])]),
  );
  const { output } = recurrentLayer(on, cell, { x: input('x', [T, r, n]), state, parameters });
  const names = Object.keys(parameters).filter((name) => cell.parameters(sizes)[name] !== undefined);
  const gradients = adjoint(
    on,
    [{ value: output, adjoint: input('u', [T, r, m]) }],
    names.map((k) => parameters[k]!),
  );
  return on.build({ output, ...Object.fromEntries(names.map((k, i) => [`gradient ${k}`, gradients[i]!])) });
}

it('with every extension off is the Vanilla LSTM, gradients included', () => {
  const vanilla = layer(vanillaLstm);
  const inputs = randomInputs(vanilla, 3);
  const expected = interpret(vanilla, inputs);
  const off = interpret(layer(augmentedLstm({ window: 1, inputGate: false })), inputs);
  expect(Object.keys(off).sort()).toEqual(Object.keys(expected).sort());
  for (const [name, value] of Object.entries(expected)) expectClose(off[name]!, value, 1e-15, name);
});

it('sees ahead as far as its window, and zeros behind the end', () => {
  const cell = augmentedLstm({ window: 3, inputGate: false });
  const program = layer(cell);
  const inputs = randomInputs(program, 4);
  const before = interpret(program, inputs).output!;
  const x = Float64Array.from(inputs.x!);
  x[3 * r * n] = x[3 * r * n]! + 1; // step 3, first sample
  const after = interpret(program, { ...inputs, x }).output!;
  const moved = Array.from({ length: T }, (_, t) =>
    after.slice(t * r * m, (t * r + 1) * m).some((v, i) => v !== before[t * r * m + i]),
  );
  expect(moved).toEqual([false, true, true, true, true]);
});
