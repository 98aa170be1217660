import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { Builder } from '../../src/program/builder.js';
import { distribute } from '../../src/schedule/distribute.js';
import { schedule } from '../../src/schedule/index.js';
import { withDerivatives } from '../support/derivatives.js';
import { expectClose, randomInputs } from '../support/numbers.js';
import { cases, ids } from '../support/programs.js';
import { randomDerivatives, randomOps } from '../support/random-programs.js';
import { runSchedule } from '../support/run-schedule.js';

describe.each(cases)('$name', (given) => {
  const program = withDerivatives(given);
  const inputs = randomInputs(program, 11, ids);
  const expected = interpret(program, inputs);

  it('keeps its values when its loops are distributed', () => {
    const out = interpret(distribute(program), inputs);
    for (const key of Object.keys(expected)) expectClose(out[key]!, expected[key]!, 1e-13, key);
  });

  it('keeps its values as stages, whatever the order of elements', () => {
    const planned = schedule(program);
    for (const backwards of [false, true]) {
      const out = runSchedule(planned, inputs, backwards);
      for (const key of Object.keys(expected)) expectClose(out[key]!, expected[key]!, 1e-13, key);
    }
  });
});

it('is the same schedule each time', () => {
  const make = () => {
    const b = new Builder();
    const { y } = cases[cases.length - 1]!.build(b);
    return schedule(b.build({ out: y }));
  };
  expect(make()).toEqual(make());
});

it('keeps the values of random programs and their second derivatives, whatever the order of elements', () => {
  fc.assert(
    fc.property(randomOps, fc.integer({ min: 0, max: 1e6 }), (ops, seed) => {
      const program = randomDerivatives(ops);
      const inputs = randomInputs(program, seed);
      const expected = interpret(program, inputs);
      const planned = schedule(program);
      for (const backwards of [false, true]) {
        const out = runSchedule(planned, inputs, backwards);
        for (const key of Object.keys(expected)) {
          const scale = 1 + Math.max(...expected[key]!.map(Math.abs));
          expected[key]!.forEach((x, i) =>
            expect(Math.abs(out[key]![i]! - x) / scale).toBeLessThanOrEqual(1e-11),
          );
        }
      }
    }),
    { numRuns: 40 },
  );
});
