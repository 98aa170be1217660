/** Every cell's gradients, in float64: against its tangent, and against central differences. */
import { expect, test } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import type { Cell } from '../../src/cells/cell.js';
import { cells } from '../../src/cells/index.js';
import { recurrentLayer } from '../../src/model/recurrent.js';
import type { Builder } from '../../src/program/builder.js';
import { float, type Value } from '../../src/program/program.js';
import { withDerivatives } from '../support/derivatives.js';
import { dot, randomInputs } from '../support/numbers.js';

const [T, r] = [4, 3];

/** The output of a layer over T steps, as a function of x, the initial state and the parameters. */
const layer = (cell: Cell) => (on: Builder) => {
  const sizes = { input: 2, hidden: 4, projection: 0 };
  const x = on.input('x', float(T, r, sizes.input));
  const named = (shapes: Readonly<Record<string, readonly number[]>>): Record<string, Value> =>
    Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => [name, on.input(name, float(...shape))]),
    );
  const parameters = named(cell.parameters(sizes));
  const features = Object.entries(cell.state(sizes));
  const initial = named(Object.fromEntries(features.map(([name, n]) => [`${name} before`, [r, n]])));
  const state = Object.fromEntries(features.map(([name]) => [name, initial[`${name} before`]!]));
  const { output } = recurrentLayer(on, cell, { x, state, parameters });
  return { y: output, wrt: [x, ...Object.values(initial), ...Object.values(parameters)] };
};

test.each(Object.keys(cells))('%s', (name) => {
  const program = withDerivatives({ name, build: layer(cells[name]!) });
  const inputs = randomInputs(program, 11) as Record<string, Float64Array>;
  const at = (step: number) =>
    interpret(
      program,
      Object.fromEntries(
        Object.entries(inputs).map(([key, data]) => {
          const along = inputs[`dot ${key}`];
          return [key, along ? data.map((v, i) => v + step * along[i]!) : data];
        }),
      ),
    );
  const here = at(0);
  const slope = Object.keys(here)
    .filter((key) => key.startsWith('bar '))
    .reduce((sum, key) => sum + dot(here[key]!, inputs[key.replace('bar', 'dot')]!), 0);
  expect(slope).toBeCloseTo(dot(here.jv!, inputs.u!), 10);
  const step = 1e-5;
  const [after, before] = [at(step), at(-step)];
  const difference = (dot(after.out!, inputs.u!) - dot(before.out!, inputs.u!)) / (2 * step);
  expect(slope).toBeCloseTo(difference, 6);
});
