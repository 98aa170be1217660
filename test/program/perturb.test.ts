import { describe, expect, test } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { gru } from '../../src/cells/gru.js';
import { recurrent, recurrentParameters } from '../../src/model/recurrent.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { perturb } from '../../src/program/perturb.js';
import { float, int, type Value } from '../../src/program/program.js';
import { expectClose, randomInputs } from '../support/numbers.js';

/** Two layers of a GRU in both directions and a loss, with every parameter an input. */
function network(on: Builder, steps: number, samples: number) {
  const config = { cell: gru, input: 2, hidden: 3, layers: 2, bidirectional: true };
  const parameters = Object.fromEntries(
    Object.entries(recurrentParameters(config)).map(([name, shape]) => [
      name,
      on.input(name, float(...shape)),
    ]),
  );
  const { output } = recurrent(on, config, {
    x: on.input('x', float(steps, samples, 2)),
    state: { h: on.input('h', float(4, samples, 3)) },
    parameter: (name) => parameters[name]!,
    mask: on.input('mask', float(steps, samples)),
  });
  return { parameters, loss: on.sumAll(on.mul(output, output)), output };
}

describe('a perturbed weight', () => {
  test.each(['weight_ih_l0', 'weight_hh_l0_reverse', 'weight_hh_l1', 'weight_ih_l1_reverse'])(
    '%s',
    (name) => {
      const on = new Builder();
      const { parameters, loss, output } = network(on, 3, 2);
      const { seen, perturbation, of } = perturb(on, parameters[name]!, [loss, output], 'e');
      const bias = parameters[name.replace('weight', 'bias')]!;
      const [v, byBias] = gradient(on, of[0]!, [perturbation, bias]) as [Value, Value];
      const [byWeight] = gradient(on, loss, [parameters[name]!]) as [Value];
      const [T, r, m] = v.type.shape as [number, number, number];
      const n = seen.type.shape.at(-1)!;
      const rows = on.reshape(v, [T * r, m]);
      const program = on.build({
        ...{ before: loss, after: of[0]!, outputBefore: output, outputAfter: of[1]!, byBias, byWeight },
        sum: on.sum(v, [0, 1]),
        outer: on.gemm(rows, on.reshape(seen, [T * r, n]), { transA: true }),
      });
      const inputs = randomInputs(program, 3);
      inputs.e!.fill(0);
      inputs.mask!.set([1, 1, 1, 1, 1, 0]);
      const results = interpret(program, inputs);
      // At e = 0 nothing has changed; dE/de is v, whose sum is the bias's gradient and whose products are the weight's.
      expect(results.after).toEqual(results.before);
      expect(results.outputAfter).toEqual(results.outputBefore);
      expectClose(results.sum!, results.byBias!, 1e-12);
      expectClose(results.outer!, results.byWeight!, 1e-12);
      // And e adds to the node itself: moved by the same at each step, it is the bias moved.
      const by = 0.1;
      const together = { ...inputs, e: new Float64Array(inputs.e!.length).fill(by) };
      const key = name.replace('weight', 'bias');
      const biased = { ...inputs, [key]: Float64Array.from(inputs[key]!, (x) => x + by) };
      expectClose(interpret(program, together).after!, interpret(program, biased).before!, 1e-12);
    },
  );
});

describe('what is no matrix with one product is refused', () => {
  const refused: [string, (on: Builder, w: Value) => Value][] = [
    ['a weight that is used twice', (on, w) => on.linear(on.linear(on.input('x', float(2, 3)), w), w)],
    ['a weight in slices', (on, w) => on.linear(on.input('x', float(2, 3)), on.slice(w, 0, 0, 2))],
    ['a bias', (on, w) => on.add(on.input('x', float(3, 3)), w)],
    ['a table of rows', (on, w) => on.gather(w, on.input('ids', int(2)))],
    ['a weight nothing uses', (on) => on.input('x', float(2, 3))],
    [
      'a weight that a scan carries',
      (on, w) =>
        on.scan({ length: 2, constants: [], initial: [w], xs: [] }, (body, { carries }) => ({
          carries: [body.call('tanh', carries[0]!)],
        })).finals[0]!,
    ],
  ];
  test.each(refused)('%s', (_, build) => {
    const on = new Builder();
    const w = on.input('w', float(3, 3));
    const y = build(on, w);
    expect(() => perturb(on, w, [y], 'e')).toThrow(expect.objectContaining({ code: 'OPTION', where: 'e' }));
  });
});
