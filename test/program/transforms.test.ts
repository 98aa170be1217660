import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { adjoint } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { printProgram } from '../../src/program/print.js';
import { float, type Program } from '../../src/program/program.js';
import { tangent } from '../../src/program/tangent.js';
import { dot, expectClose, randomInputs, relativeError } from '../support/numbers.js';
import { cases, ids } from '../support/programs.js';
import { randomDerivatives, randomOps } from '../support/random-programs.js';

/** Values of a program with the named inputs moved by h * direction. */
function moved(
  program: Program,
  inputs: Record<string, Float64Array | Int32Array>,
  by: Record<string, Float64Array>,
  h: number,
) {
  const at = { ...inputs };
  for (const [name, v] of Object.entries(by))
    at[name] = Float64Array.from(inputs[name]!, (x, i) => x + h * v[i]!);
  return interpret(program, at);
}

describe.each(cases)('$name', ({ build }) => {
  const b = new Builder();
  const { y, wrt } = build(b);
  const u = b.input('u', y.type);
  const dots = wrt.map((v) => b.input(`dot ${(v.node.op as { name: string }).name}`, v.type));
  const names = wrt.map((v) => (v.node.op as { name: string }).name);
  const bars = adjoint(b, [{ value: y, adjoint: u }], wrt);
  const along = new Map(wrt.map((v, i) => [v, dots[i]!]));
  const [jv] = tangent(b, [y], along);
  // R of the adjoint: second derivatives.
  const hv = tangent(b, bars, along);
  const program = b.build({
    out: y,
    jv: jv!,
    ...Object.fromEntries(bars.map((v, i) => [`bar ${names[i]}`, v])),
    ...Object.fromEntries(hv.map((v, i) => [`hv ${names[i]}`, v])),
  });
  const inputs = randomInputs(program, 7, ids);
  const out = interpret(program, inputs);
  const by = Object.fromEntries(names.map((n) => [n, inputs[`dot ${n}`] as Float64Array]));

  it('has the tangent that central differences give', () => {
    const h = 1e-5;
    const [plus, minus] = [moved(program, inputs, by, h).out!, moved(program, inputs, by, -h).out!];
    // Central differences in float64: h^2 of truncation, 1e-16/h of rounding.
    expectClose(
      out.jv!,
      Float64Array.from(plus, (p, i) => (p - minus[i]!) / (2 * h)),
      1e-8,
    );
  });

  it('satisfies <J v, u> = <v, J* u>', () => {
    const left = dot(out.jv!, inputs.u!);
    const right = names.reduce((s, n) => s + dot(by[n]!, out[`bar ${n}`]!), 0);
    expect(Math.abs(left - right)).toBeLessThanOrEqual(1e-12 * (1 + Math.abs(left)));
  });

  it('has a tangent of its adjoint that central differences give', () => {
    const h = 1e-5;
    const [plus, minus] = [moved(program, inputs, by, h), moved(program, inputs, by, -h)];
    for (const n of names) {
      const difference = Float64Array.from(
        plus[`bar ${n}`]!,
        (p, i) => (p - minus[`bar ${n}`]![i]!) / (2 * h),
      );
      const scale = Math.max(...out[`bar ${n}`]!.map(Math.abs), 1e-3);
      const worst = Math.max(...difference.map((d, i) => Math.abs(d - out[`hv ${n}`]![i]!)));
      expect(worst / scale, `hv ${n}`).toBeLessThanOrEqual(1e-7);
    }
  });
});

describe('random programs', () => {
  it('have symmetric Hessians, and adjoints that match tangents', () => {
    fc.assert(
      fc.property(randomOps, fc.integer({ min: 0, max: 1e6 }), (ops, seed) => {
        const program = randomDerivatives(ops);
        const inputs = randomInputs(program, seed);
        const { g, hu, hv, jv } = interpret(program, inputs) as Record<string, Float64Array>;
        const scale =
          1e-11 * (1 + Math.max(...hu!.map(Math.abs), ...hv!.map(Math.abs), ...g!.map(Math.abs)) * 10);
        expect(Math.abs(dot(hu!, inputs.v!) - dot(hv!, inputs.u!))).toBeLessThanOrEqual(scale);
        expect(Math.abs(dot(g!, inputs.v!) - jv![0]!)).toBeLessThanOrEqual(scale);
      }),
      { numRuns: 60 },
    );
  });
});

it('prints a program that a person can read', () => {
  const b = new Builder();
  const w = b.input('W', float(3, 3));
  const h0 = b.input('h0', float(2, 3));
  const x = b.input('x', float(4, 2, 3));
  const { stacks } = b.scan(
    { length: 4, constants: [w], initial: [h0], xs: [x] },
    (s, { constants, carries, xs }) => {
      const h = s.call('tanh', s.add(s.linear(carries[0]!, constants[0]!), xs[0]!));
      return { carries: [h], stacks: [h] };
    },
  );
  expect(printProgram(b.build({ h: stacks[0]! }))).toMatchInlineSnapshot(`
    "input W: float[3, 3]
    input h0: float[2, 3]
    input x: float[4, 2, 3]
    scan t = 0..3, from carry0 = h0
      %1: float[2, 3] = gemmNT(carry0, W)
      %2: float[2, 3] = add(%1, x[t])
      %3: float[2, 3] = tanh(%2)
      carry0 <- %3
    %0: float[4, 2, 3] = stack of %3
    output h = %0"
  `);
});

it('keeps a pruned program equal to the whole', () => {
  const b = new Builder();
  const x = b.input('x', float(2, 3));
  const unused = b.call('exp', x);
  const { finals } = b.scan(
    { length: 3, constants: [x], initial: [x, x], xs: [] },
    (s, { constants, carries }) => ({
      carries: [s.mul(carries[0]!, constants[0]!), s.add(carries[1]!, carries[0]!)],
      stacks: [s.call('exp', carries[1]!)],
    }),
  );
  const program = b.build({ y: finals[0]! });
  expect(program.nodes.some((n) => n.outputs.includes(unused))).toBe(false);
  const inputs = randomInputs(program, 3);
  const cubed = Float64Array.from(inputs.x!, (v) => v ** 4);
  expect(relativeError(interpret(program, inputs).y!, cubed)).toBeLessThan(1e-15);
});

it('derives nothing again that a tangent does not need', () => {
  const b = new Builder();
  const x = b.input('x', float(3));
  const loss = b.sumAll(b.call('tanh', b.mul(x, x)));
  const sizes = Array.from({ length: 4 }, (_, i) => {
    const before = b.nodes.length;
    tangent(
      b,
      adjoint(b, [{ value: loss, adjoint: b.constant(1) }], [x]),
      new Map([[x, b.input(`v${i}`, float(3))]]),
    );
    return b.nodes.length - before;
  });
  // The first also makes the gradient, which the others find.
  expect(sizes[2]).toBeLessThanOrEqual(sizes[0]!);
  expect(sizes[3]).toBe(sizes[2]);
});
