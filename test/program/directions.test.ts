/** Tangents along many directions in one pass, against the same one by one. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { adjoint } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float, sizeOf, type Value } from '../../src/program/program.js';
import { tangent } from '../../src/program/tangent.js';
import { expectClose, randomInputs } from '../support/numbers.js';
import { type Case, cases, ids } from '../support/programs.js';
import { randomLoss, randomOps } from '../support/random-programs.js';

/** J V and the tangent of the adjoint along V, for k directions: together, and one by one. */
function bothWays(build: Case['build'], k: number, seed: number) {
  const b = new Builder();
  const { y, wrt } = build(b);
  const u = b.input('u', y.type);
  const bars = adjoint(b, [{ value: y, adjoint: u }], wrt);
  const of = [y, ...bars];
  const together = wrt.map((v, i) => b.input(`directions ${i}`, float(k, ...v.type.shape)));
  const all = tangent(b, of, new Map(wrt.map((v, i) => [v, together[i]!])));
  const outputs: Record<string, Value> = {};
  all.forEach((v, i) => (outputs[`together ${i}`] = v));
  for (let n = 0; n < k; n++) {
    const one = wrt.map((v, i) => b.reshape(b.slice(together[i]!, 0, n, 1), v.type.shape));
    const each = tangent(b, of, new Map(wrt.map((v, i) => [v, one[i]!])));
    each.forEach((v, i) => (outputs[`alone ${i} ${n}`] = v));
  }
  const program = b.build(outputs);
  const values = interpret(program, randomInputs(program, seed, ids));
  all.forEach((v, i) => expect(v.type.shape).toEqual([k, ...of[i]!.type.shape]));
  return of.map((v, i) => {
    const size = sizeOf(v.type.shape);
    const alone = Array.from({ length: k }, (_, n) => Array.from(values[`alone ${i} ${n}`]!)).flat();
    expect(alone.length).toBe(k * size);
    return { together: values[`together ${i}`]!, alone: Float64Array.from(alone) };
  });
}

describe.each(cases)('$name', ({ build }) => {
  it.each([1, 3])('has the same derivatives along %i directions as along each', (k) => {
    for (const { together, alone } of bothWays(build, k, 11)) expectClose(together, alone, 1e-12);
  });
});

it('holds for random programs and any number of directions', () => {
  fc.assert(
    fc.property(
      randomOps,
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 0, max: 1e6 }),
      (ops, k, seed) => {
        const build = (b: Builder) => {
          const { loss, w } = randomLoss(b, ops);
          return { y: loss, wrt: [w] };
        };
        for (const { together, alone } of bothWays(build, k, seed)) expectClose(together, alone, 1e-10);
      },
    ),
    { numRuns: 60 },
  );
});

it('refuses tangents of different numbers of directions', () => {
  const b = new Builder();
  const [x, y] = [b.input('x', float(2)), b.input('y', float(3))];
  const along = new Map([
    [x, b.input('dx', float(4, 2))],
    [y, b.input('dy', float(5, 3))],
  ]);
  expect(() => tangent(b, [x], along)).toThrow(expect.objectContaining({ code: 'SHAPE' }));
  const odd = new Map([[x, b.input('odd', float(3))]]);
  expect(() => tangent(b, [x], odd)).toThrow(expect.objectContaining({ code: 'SHAPE' }));
});
