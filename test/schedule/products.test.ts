/** The large products that the papers promise: attention as batched GEMMs, weight gradients of rank rt in one. */
import { describe, expect, it } from 'vitest';
import type { GemmStage } from '../../kernels/stage.js';
import { cells } from '../../src/cells/index.js';
import { attendToPast } from '../../src/model/attention.js';
import { feedForward } from '../../src/model/feedforward.js';
import { recurrent, recurrentParameters, stateShapes } from '../../src/model/recurrent.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float, type Program } from '../../src/program/program.js';
import { schedule } from '../../src/schedule/index.js';

/** [batch, rows, columns, inner dimension] of every product that no loop repeats, and how many stages a loop repeats. */
function productsOf(program: Program) {
  const { steps } = schedule(program);
  const once = steps.filter((step) => step.kind === 'stage');
  return {
    dispatches: once.length,
    repeated: steps.length - once.length,
    products: once
      .map(({ stage }) => stage)
      .filter((stage): stage is GemmStage => stage.kind === 'gemm')
      .flatMap(({ batch, rows, columns, terms }) =>
        terms.map(({ depth, slots }) => [batch, rows, columns * slots.length, depth]),
      ),
  };
}

describe('attention over T steps', () => {
  const [r, m] = [3, 5];
  const built = (T: number, withGradient: boolean) => {
    const on = new Builder();
    const h = on.input('h', float(T, r, m));
    const { Z } = attendToPast(on, h);
    const [byH] = gradient(on, on.sumAll(on.mul(Z, Z)), [h]);
    return productsOf(on.build(withGradient ? { Z, byH: byH! } : { Z }));
  };

  it('is two products of all steps at once, one matrix for each sample', () => {
    const { products, repeated } = built(16, false);
    expect(repeated).toBe(0);
    expect(products).toEqual([
      [r, 16, 16, m],
      [r, 16, m, 16],
    ]);
  });

  it('and four more backwards, through values and scores, in as many dispatches for any T', () => {
    const { products, repeated, dispatches } = built(16, true);
    expect(repeated).toBe(0);
    expect(products.every(([batch]) => batch === r)).toBe(true);
    expect(products.filter(([, , columns, depth]) => columns === 16 && depth === m)).toHaveLength(2);
    expect(products.filter(([, , columns, depth]) => columns === m && depth === 16)).toHaveLength(4);
    expect(built(64, true).dispatches).toBe(dispatches);
  });
});

describe('the gradient of a weight is one product', () => {
  const r = 3;

  it('of inner dimension r in a feed-forward network (Naumov, eq. 26)', () => {
    const on = new Builder();
    const [x, weight, bias] = [
      on.input('x', float(r, 5)),
      on.input('W', float(7, 5)),
      on.input('b', float(7)),
    ];
    const { z } = feedForward(on, x, [{ weight, bias, activation: 'tanh' }])[0]!;
    const [byW] = gradient(on, on.sumAll(on.mul(z, z)), [weight]);
    expect(productsOf(on.build({ byW: byW! })).products).toContainEqual([1, 7, 5, r]);
  });

  it.each(Object.keys(cells))('of inner dimension rT behind the loop (Naumov, eq. 71-72): %s', (name) => {
    const T = 11;
    const config = { cell: cells[name]!, input: 2, hidden: 8, layers: 1 };
    const on = new Builder();
    const input = (key: string, shape: readonly number[]) => on.input(key, float(...shape));
    const named = (shapes: Record<string, readonly number[]>) =>
      Object.fromEntries(Object.entries(shapes).map(([key, shape]) => [key, input(key, shape)]));
    const parameters = named(recurrentParameters(config));
    const state = named(stateShapes(config, r));
    const x = input('x', [T, r, 2]);
    const { output } = recurrent(on, config, { x, state, parameter: (key) => parameters[key]! });
    const matrices = Object.values(parameters).filter(({ type }) => type.shape.length > 1);
    const gradients = gradient(on, on.sumAll(on.mul(output, output)), matrices);
    const { products } = productsOf(on.build(Object.fromEntries(gradients.map((g, i) => [`by ${i}`, g]))));
    const sorted = (shapes: readonly (readonly number[])[]) =>
      shapes.map((shape) => shape.join(' x ')).sort();
    const updates = products
      .filter(([, , , depth]) => depth === r * T)
      .map(([batch, m, n]) => [batch!, m!, n!]);
    expect(sorted(updates)).toEqual(sorted(matrices.map(({ type }) => [1, ...type.shape].slice(-3))));
  });
});
