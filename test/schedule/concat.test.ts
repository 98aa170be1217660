import { expect, it } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { cellNamed } from '../../src/cells/index.js';
import {
  type RecurrentConfig,
  recurrent,
  recurrentParameters,
  stateShapes,
} from '../../src/model/recurrent.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float } from '../../src/program/program.js';
import { schedule } from '../../src/schedule/index.js';
import { expectClose, randomInputs } from '../support/numbers.js';
import { runSchedule } from '../support/run-schedule.js';

it('slices the joined output of both directions under a mask', () => {
  const [T, r, m] = [4, 3, 2];
  const config: RecurrentConfig = {
    cell: cellNamed('gru'),
    input: 2,
    hidden: m,
    layers: 1,
    bidirectional: true,
  };
  const on = new Builder();
  const parameters = Object.fromEntries(
    Object.entries(recurrentParameters(config)).map(([name, shape]) => [
      name,
      on.input(name, float(...shape)),
    ]),
  );
  const state = Object.fromEntries(
    Object.entries(stateShapes(config, r)).map(([name, shape]) => [
      name,
      on.input(`${name}0`, float(...shape)),
    ]),
  );
  const x = on.input('x', float(T, r, 2));
  const mask = on.input('mask', float(T, r));
  const { output } = recurrent(on, config, { x, state, parameter: (name) => parameters[name]!, mask });
  const forwards = on.slice(output, 2, 0, m);
  const backwards = on.slice(on.slice(output, 0, 0, 1), 2, m, m);
  const loss = on.add(on.sumAll(on.mul(forwards, forwards)), on.sumAll(backwards));
  const gradients = gradient(on, loss, Object.values(parameters));
  const flat = on.linear(on.reshape(forwards, [T * r, m]), on.input('W', float(5, m)));
  const program = on.build({ flat, ...Object.fromEntries(gradients.map((g, i) => [`gradient ${i}`, g])) });
  const inputs = randomInputs(program, 9);
  inputs.mask = Float64Array.from([1, 1, 1, 1, 1, 0, 1, 0, 0, 1, 0, 0]);
  const expected = interpret(program, inputs);
  const out = runSchedule(schedule(program), inputs);
  for (const [name, value] of Object.entries(expected)) expectClose(out[name]!, value, 1e-13, name);
  expect(Object.keys(expected)).toHaveLength(gradients.length + 1);
});

it('stores a sum of a matrix as a part of a wider one', () => {
  const on = new Builder();
  const [x, w] = [on.input('x', float(4, 3, 2)), on.input('w', float(3, 2))];
  const sum = on.sum(x, [0]);
  const program = on.build({ whole: on.concat([w, sum], 1), twice: on.concat([sum, sum], 0), sum });
  const inputs = randomInputs(program, 2);
  const expected = interpret(program, inputs);
  const out = runSchedule(schedule(program), inputs);
  for (const [name, value] of Object.entries(expected)) expectClose(out[name]!, value, 1e-14, name);
});

it('copies by itself what is computed under another shape than that of the part it becomes', () => {
  const on = new Builder();
  const x = on.input('x', float(4, 3, 2));
  const rows = on.reshape(on.sum(x, [2]), [3, 4]);
  const sum = on.reshape(on.sum(x, [0]), [2, 3]);
  const square = on.reshape(on.call('exp', on.reshape(x, [4, 6])), [3, 8]);
  const program = on.build({
    rows: on.concat([rows, square, rows], 1),
    sum: on.concat([sum, sum], 1),
    square: on.concat([on.reshape(square, [2, 12]), sum, sum], 1),
  });
  const inputs = randomInputs(program, 2);
  const expected = interpret(program, inputs);
  const out = runSchedule(schedule(program), inputs);
  for (const [name, value] of Object.entries(expected)) expectClose(out[name]!, value, 1e-14, name);
});

it('stores a part apart when it is read in one run, across the edges that it has in the whole', () => {
  const on = new Builder();
  const [x, w] = [on.input('x', float(2, 3)), on.input('w', float(2, 6))];
  const part = on.call('exp', x);
  const whole = on.concat([part, on.call('tanh', x)], 1);
  // The softmax is a stage of its own, so that its reader cannot join the one that computes the part.
  const weights = on.softmax(on.reshape(on.sum(on.mul(whole, w), [0]), [6]));
  const program = on.build({ whole, y: on.mul(weights, on.reshape(part, [6])) });
  const inputs = randomInputs(program, 2);
  const expected = interpret(program, inputs);
  const out = runSchedule(schedule(program), inputs);
  for (const [name, value] of Object.entries(expected)) expectClose(out[name]!, value, 1e-14, name);
});
