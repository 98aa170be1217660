import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../../kernels/index.js';
import { cells } from '../../src/cells/index.js';
import { hessianVector } from '../../src/curvature/products.js';
import { Parameters } from '../../src/model/parameters.js';
import { type RecurrentConfig, recurrent, recurrentSpecs, stateShapes } from '../../src/model/recurrent.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float, int, type Program } from '../../src/program/program.js';
import { compose } from '../../src/schedule/compose.js';
import { countDispatches } from '../../src/schedule/composed.js';
import { schedule } from '../../src/schedule/index.js';

/** What each cell costs. A product that needs another's result of the same step needs a dispatch of its own. */
const expected: Record<string, { forward: number; backward: number }> = {
  lstm: { forward: 1, backward: 1 },
  gru: { forward: 1, backward: 1 },
  rnn: { forward: 1, backward: 1 },
  'rnn-relu': { forward: 1, backward: 1 },
  'naumov-rnn': { forward: 1, backward: 1 },
  'standard-rnn': { forward: 1, backward: 1 },
  'canonical-rnn': { forward: 1, backward: 1 },
  'vanilla-lstm': { forward: 2, backward: 2 },
  'augmented-lstm': { forward: 2, backward: 2 },
  'pal-rnn': { forward: 1, backward: 1 },
  'relu-rnn': { forward: 1, backward: 1 },
  'attention-rnn': { forward: 1, backward: 1 },
  'peephole-lstm': { forward: 1, backward: 1 },
  // The product, and the rows: of the sums along them and all that is computed from those.
  'layer-norm-lstm': { forward: 2, backward: 2 },
  'multi-head-lstm': { forward: 2, backward: 4 },
};

/** The most that any cell may cost. */
const LIMIT = { forward: 4, backward: 5 };

/** The gradients, or a Hessian product, of layers over `length` steps. */
function derivatives(
  config: RecurrentConfig,
  length: number,
  of: 'gradient' | 'Hessian product' = 'gradient',
): Program {
  const on = new Builder();
  const x = on.input('x', float(length, 8, config.input));
  // One flat vector, as models have it: a composition binds a few buffers.
  const parameters = new Parameters(recurrentSpecs(config));
  const theta = on.input('theta', float(parameters.size));
  const { name: cell } = config.cell;
  const state = Object.fromEntries(
    Object.entries(stateShapes(config, 8)).map(([name, shape]) => [
      name,
      on.input(`${name}0`, float(...shape)),
    ]),
  );
  const key = on.input('key', int(2));
  const parameter = (name: string) => parameters.view(on, theta, `${cell}.${name}`);
  const { output } = recurrent(on, config, { x, state, parameter, key });
  const loss = on.sumAll(on.mul(output, output));
  if (of === 'gradient') return on.build({ gradient: gradient(on, loss, [theta])[0]! });
  const { product } = hessianVector(on, loss, [theta], [on.input('vector', theta.type)]);
  return on.build({ product: product[0]! });
}

/**
 * Dispatches a time step of all layers together, in loops forwards and in loops backwards; the rest runs once. The
 * adjoint of a layer that runs backwards runs forwards.
 */
function perStep(
  config: RecurrentConfig,
  length: number,
  of: 'gradient' | 'Hessian product' = 'gradient',
): { forward: number; backward: number } {
  const program = derivatives(config, length, of);
  const totals = { forward: 0, backward: 0 };
  for (const step of schedule(program).steps)
    if (step.kind === 'stage') continue;
    else if (step.direction === 1) totals.forward += step.count * step.stages.length;
    else totals.backward += step.count * step.stages.length;
  // A pipelined loop may need one dispatch more than its steps, to start or to end.
  return { forward: Math.floor(totals.forward / length), backward: Math.floor(totals.backward / length) };
}

describe('dispatches a time step', () => {
  it('are known for every cell', () =>
    expect(Object.keys(expected).sort()).toEqual(Object.keys(cells).sort()));

  it.each(Object.keys(cells))('%s', (name) => {
    const counts = perStep({ cell: cells[name]!, input: 6, hidden: 8, layers: 1 }, 16);
    expect(counts).toEqual(expected[name]);
    expect(counts.forward).toBeLessThanOrEqual(LIMIT.forward);
    expect(counts.backward).toBeLessThanOrEqual(LIMIT.backward);
  });

  it.each(
    ['lstm', 'gru', 'rnn', 'layer-norm-lstm'].flatMap((name) => [
      { name, layers: 2, bidirectional: false },
      { name, layers: 1, bidirectional: true },
      { name, layers: 2, bidirectional: true },
    ]),
  )('$name, layers: $layers, both directions: $bidirectional: as much for each', ({ name, ...shape }) => {
    const { layers, bidirectional } = shape;
    const { forward, backward } = expected[name]!;
    const both = layers * (forward + backward);
    expect(perStep({ cell: cells[name]!, input: 6, hidden: 8, ...shape }, 16)).toEqual(
      bidirectional
        ? { forward: both, backward: both }
        : { forward: layers * forward, backward: layers * backward },
    );
  });

  it.each(
    Object.keys(cells).flatMap((name) => [
      { name, layers: 2, bidirectional: false },
      { name, layers: 2, bidirectional: true },
    ]),
  )(
    '$name on WebGPU, layers: $layers, both directions: $bidirectional: about one for all of them',
    (shape) => {
      const { name, ...stack } = shape;
      const T = 64;
      const program = derivatives({ cell: cells[name]!, input: 6, hidden: 8, ...stack }, T);
      const dispatches = countDispatches(compose(schedule(program), defaultLimits, 'all'));
      console.log(`${name}: ${dispatches} dispatches, ${(dispatches / T).toFixed(1)} a step`);
      expect(dispatches).toBeLessThanOrEqual(1.1 * T);
    },
  );

  it('layer-norm-lstm, a Hessian product: the sums of tangents are in rows as well', () => {
    const config = { cell: cells['layer-norm-lstm']!, input: 6, hidden: 8, layers: 1 };
    expect(perStep(config, 16, 'Hessian product')).toEqual({ forward: 2 + 3, backward: 2 + 4 });
  });

  it.each([
    ['to as many features', 8, { forward: 3, backward: 3 }],
    // The gates' products with s and with v then have different shapes and share no dispatch.
    ['to fewer', 4, { forward: 3, backward: 4 }],
  ])('augmented-lstm with a projection %s', (_, projection, counts) => {
    const sizes = { input: 6, hidden: 8, layers: 1, projection };
    expect(perStep({ cell: cells['augmented-lstm']!, ...sizes }, 16)).toEqual(counts);
  });

  it.each([
    // What the products see of h' is computed first.
    ['recurrent dropout', { recurrentDropout: 0.2 }, { forward: 2, backward: 1 }],
    ['zoneout', { zoneout: 0.1 }, { forward: 1, backward: 1 }],
  ])('lstm with %s', (_, noise, counts) => {
    expect(perStep({ cell: cells.lstm!, input: 6, hidden: 8, layers: 1, ...noise }, 16)).toEqual(counts);
  });
});
