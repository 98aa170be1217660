/** Steps computed again in BPTT: the same numbers in less memory. */
import { describe, expect, it } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { LanguageModel } from '../../src/model/language-model.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float } from '../../src/program/program.js';
import { tangent } from '../../src/program/tangent.js';
import { schedule } from '../../src/schedule/index.js';
import { expectClose, randomInputs } from '../support/numbers.js';
import { ids } from '../support/programs.js';
import { runSchedule } from '../support/run-schedule.js';

interface Sizes {
  readonly T: number;
  readonly r: number;
  readonly layers: number;
  readonly hidden?: number;
  readonly recompute: boolean;
}

function derivatives(cell: string, { T, r, layers, hidden = 6, recompute }: Sizes) {
  const model = new LanguageModel({ cell, vocabulary: 5, hidden, layers, embedding: 'one-hot', recompute });
  const on = new Builder();
  const theta = on.input('theta', float(model.parameters.size));
  const vector = on.input('vector', float(model.parameters.size));
  const inputs = (entries: [string, Parameters<Builder['input']>[1]][]) =>
    Object.fromEntries(entries.map(([name, type]) => [name, on.input(name, type)]));
  const { loss, state } = model.forward(on, {
    theta,
    batch: inputs(Object.entries(model.batchTypes(T, r))),
    state: inputs(Object.entries(model.stateShapes(r)).map(([name, shape]) => [name, float(...shape)])),
  });
  const [g] = gradient(on, loss, [theta]);
  const [hv] = tangent(on, [g!], new Map([[theta, vector]]));
  return {
    all: on.build({ loss, g: g!, hv: hv!, last: Object.values(state)[0]! }),
    gradient: on.build({ g: g! }),
  };
}

describe.each(['lstm', 'augmented-lstm'])('%s', (cell) => {
  it.each([
    [1, 1],
    [3, 2],
    [11, 1],
  ])('has the same loss, gradient and Hessian product over %i steps, %i layers', (T, layers) => {
    const plain = derivatives(cell, { T, r: 2, layers, recompute: false }).all;
    const again = derivatives(cell, { T, r: 2, layers, recompute: true }).all;
    const inputs = randomInputs(plain, 5, ids);
    const wanted = interpret(plain, inputs);
    for (const results of [interpret(again, inputs), runSchedule(schedule(again), inputs)])
      for (const [name, numbers] of Object.entries(wanted)) expectClose(results[name]!, numbers, 1e-12, name);
  });
});

it('takes memory for about sqrt(T) steps beside what every step passes on', () => {
  const arena = (T: number, recompute: boolean) =>
    schedule(derivatives('lstm', { T, r: 8, layers: 2, hidden: 32, recompute }).gradient).buffers[0]!.length;
  const [stored, again] = [arena(256, false), arena(256, true)];
  console.log(`arena of 256 steps: ${stored} elements stored, ${again} computed again`);
  expect(again).toBeLessThan(0.4 * stored);
});
