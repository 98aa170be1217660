/** A value whose adjoint is limited: itself forwards, clamped backwards, and what that does to second derivatives. */
import { describe, expect, it } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float } from '../../src/program/program.js';
import { tangent } from '../../src/program/tangent.js';
import { schedule } from '../../src/schedule/index.js';
import { totals } from '../../src/schedule/print.js';

/** E = sum of 3/2 c^2 for c = x with an adjoint of at most 1: the derivative 3 x, clipped where |x| > 1/3. */
function parabola() {
  const on = new Builder();
  const x = on.input('x', float(4));
  const dot = on.input('dot', float(4));
  const clipped = on.clipAdjoint(x, 1);
  const [bar] = gradient(on, on.sumAll(on.mul(on.mul(clipped, clipped), on.constant(1.5))), [x]);
  const [forwards, hv] = tangent(on, [clipped, bar!], new Map([[x, dot]]));
  return on.build({ value: clipped, bar: bar!, forwards: forwards!, hv: hv! });
}

const inputs = { x: new Float64Array([-2, -0.25, 0.2, 5]), dot: new Float64Array([1, 2, 3, 4]) };

describe('clipAdjoint', () => {
  const result = interpret(parabola(), inputs);

  it('is the identity forwards, and so is its tangent', () => {
    expect(result.value).toEqual(inputs.x);
    expect(result.forwards).toEqual(inputs.dot);
  });

  it('limits the adjoint', () => {
    expect(Array.from(result.bar!)).toEqual([-1, -0.75, 0.2 * 3, 1]);
  });

  it('leaves of second derivatives what is not clipped', () => {
    expect(Array.from(result.hv!)).toEqual([0, 6, 9, 0]);
  });

  it('is no work forwards', () => {
    const on = new Builder();
    const x = on.input('x', float(4));
    const program = on.build({ y: on.mul(on.clipAdjoint(x, 1), x) });
    expect(totals(schedule(program)).dispatches).toBe(1);
  });

  it('survives being reshaped', () => {
    const on = new Builder();
    const x = on.input('x', float(4));
    const y = on.reshape(on.clipAdjoint(x, 1), [2, 2]);
    const [bar] = gradient(on, on.sumAll(on.mul(y, on.constant(7))), [x]);
    expect(Array.from(interpret(on.build({ bar: bar! }), { x: inputs.x }).bar!)).toEqual([1, 1, 1, 1]);
  });

  it.each([0, -1, Number.NaN])('refuses a limit of %f', (limit) => {
    const on = new Builder();
    expect(() => on.clipAdjoint(on.input('x', float(4)), limit)).toThrow(
      expect.objectContaining({ code: 'OPTION' }),
    );
  });
});
