/** Jacobians of steps and of whole stretches, for every cell, by other ways than those of src/diagnostics. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { attentionRnn } from '../../src/cells/attention-rnn.js';
import { augmentedLstm } from '../../src/cells/augmented-lstm.js';
import type { Cell } from '../../src/cells/cell.js';
import { cells } from '../../src/cells/index.js';
import { lstm } from '../../src/cells/lstm.js';
import { extremeSingularValues, square } from '../../src/diagnostics/matrices.js';
import { powerSpectra } from '../../src/diagnostics/power-iteration.js';
import { DenseSpectra } from '../../src/diagnostics/spectra.js';
import { type StepJacobian, stepJacobians } from '../../src/diagnostics/step-jacobians.js';
import { recurrentLayer } from '../../src/model/recurrent.js';
import { Builder } from '../../src/program/builder.js';
import { float } from '../../src/program/program.js';
import { expectClose } from '../support/numbers.js';
import { type Traced, type TracedSpec, tracedLayer, withoutPrefix } from './traced-layer.js';

const backend = new Float64Backend();
const all: readonly Cell[] = [
  ...Object.values(cells),
  attentionRnn,
  augmentedLstm({ window: 3 }),
  augmentedLstm({ inputGate: false }),
];

/** The state behind the last step as a function of that before step `from`, by the layer itself; parts side by side. */
function stretch({ trace, inputs, shapes }: Traced, from: number, to: number) {
  const { cell, parts, steps, samples: r, zoneout } = trace;
  const on = new Builder();
  const values = Object.fromEntries(
    Object.entries(shapes)
      .filter(([name]) => name !== 'x' && name !== 'mask')
      .map(([name, shape]) => [name, on.input(name, float(...shape))]),
  );
  // A window is seen already: the steps get what they see, and no window more.
  const seen = { ...cell, window: 1 };
  const features = trace.x.type.shape[2]!;
  const result = recurrentLayer(on, seen, {
    x: on.input('x', float(to - from, r, features)),
    mask: on.input('mask', float(to - from, r)),
    state: withoutPrefix(values, 'state.'),
    parameters: withoutPrefix(values, 'parameter.'),
    noise: { zoneout, index: 0 },
  });
  const program = on.build(
    Object.fromEntries(parts.map(({ name }) => [`final.${name}`, result.state[name]!])),
  );
  const at = (name: string, step: number) => {
    const size = trace.states[name]!.length / (steps + 1);
    return Float64Array.from(trace.states[name]!.subarray(step * size, (step + 1) * size));
  };
  const start = Object.fromEntries(parts.map(({ name }) => [name, at(name, from)]));
  const run = (state: Readonly<Record<string, Float64Array>>) =>
    interpret(program, {
      ...inputs,
      x: Float64Array.from(trace.x.data).subarray(from * r * features, to * r * features),
      mask: Float64Array.from(trace.taken.subarray(from * r, to * r)),
      ...Object.fromEntries(parts.map(({ name }) => [`state.${name}`, state[name]!])),
    });
  return { start, run };
}

/** The Jacobian of a stretch by central differences, for each sample. */
function differences(traced: Traced, from: number, to: number): Float64Array[] {
  const { parts, stateSize: N, samples } = traced.trace;
  const { start, run } = stretch(traced, from, to);
  const step = 1e-6;
  const matrices = Array.from({ length: samples }, () => new Float64Array(N * N));
  for (const part of parts)
    for (let j = 0; j < part.features; j++) {
      // Samples do not touch each other, so all move at once.
      const moved = (by: number) =>
        run({
          ...start,
          [part.name]: start[part.name]!.map((x, i) => (i % part.features === j ? x + by : x)),
        });
      const [after, before] = [moved(step), moved(-step)];
      for (const { name, features, offset } of parts)
        for (let sample = 0; sample < samples; sample++)
          for (let i = 0; i < features; i++) {
            const place = sample * features + i;
            const slope = (after[`final.${name}`]![place]! - before[`final.${name}`]![place]!) / (2 * step);
            matrices[sample]![(offset + i) * N + part.offset + j] = slope;
          }
    }
  return matrices;
}

async function jacobiansOf({ trace }: Traced, on = backend as Float64Backend | Float32Backend) {
  const list: StepJacobian[] = [];
  for await (const jacobian of stepJacobians(on, trace)) list.push(jacobian);
  return list;
}

async function spectraOf(traced: Traced) {
  const spectra = new DenseSpectra(traced.trace);
  for (const jacobian of await jacobiansOf(traced)) spectra.add(jacobian);
  return spectra.result;
}

describe('step Jacobians', () => {
  const specs: TracedSpec[] = [
    ...all.map((cell) => ({ cell })),
    { cell: lstm, projection: 3 },
    { cell: augmentedLstm({ window: 2 }), projection: 3 },
    { cell: lstm, zoneout: 0.3 },
    { cell: cells['standard-rnn']!, zoneout: 0.3 },
  ];
  test.each(specs.map((spec) => [spec.cell.name, spec] as const))(
    'of %s are the slopes of its steps',
    async (_, spec) => {
      const traced = tracedLayer({ T: 3, ...spec });
      for (const { step, sample, matrix } of await jacobiansOf(traced))
        expectClose(matrix, differences(traced, step, step + 1)[sample]!, 1e-7, `step ${step}`);
    },
  );

  it('are those of time backwards in a reverse layer', async () => {
    const traced = tracedLayer({ cell: cells.gru!, direction: -1, T: 4 });
    const first = (await jacobiansOf(traced)).find(({ step, sample }) => step === 0 && sample === 1)!;
    // The first step of a reverse layer reads the last x.
    expect(Array.from(traced.trace.x.data.slice(0, 6))).toEqual(Array.from(traced.inputs.x!.slice(-6)));
    expectClose(first.matrix, differences(traced, 0, 1)[1]!, 1e-7);
  });

  it('are identities where the mask holds the state', async () => {
    const traced = tracedLayer({ cell: lstm, T: 4, lengths: [4, 2] });
    for (const { step, sample, matrix } of await jacobiansOf(traced)) {
      const isHeld = sample === 1 && step >= 2;
      const isIdentity = matrix.every((x, i) => x === (i % 9 === 0 ? 1 : 0));
      expect(isIdentity, `step ${step} of sample ${sample}`).toBe(isHeld);
    }
  });

  it('of more rows than fit one run are those of single rows', async () => {
    // 4 units and 2^22 elements a run would take 2^18 rows: a state of 300 units takes 46.
    const spec = { cell: cells.rnn!, hidden: 300, input: 2, T: 25, r: 2, scale: 0.05 };
    const traced = tracedLayer(spec);
    const jacobians = await jacobiansOf(traced, new Float32Backend());
    expect(jacobians).toHaveLength(50);
    const W = traced.inputs['parameter.weight_hh']!;
    // J = diag(1 - h^2) W
    for (const { step, sample, matrix } of [jacobians[0]!, jacobians[45]!, jacobians[46]!, jacobians[49]!]) {
      const after = (step + 1) * 600 + sample * 300;
      const expected = W.map((w, i) => (1 - traced.trace.states.h![after + Math.floor(i / 300)]! ** 2) * w);
      expectClose(matrix, expected, 1e-5, `step ${step}`);
    }
  });
});

describe('products of step Jacobians', () => {
  test.each(all.map((cell) => [cell.name, cell] as const))(
    'of %s are the Jacobians of the layer from a step to its end',
    async (_, cell) => {
      const traced = tracedLayer({ cell, T: 4 });
      const { products } = await spectraOf(traced);
      for (let from = 0; from < 4; from++)
        differences(traced, from, 4).forEach((matrix, sample) => {
          const { largest } = extremeSingularValues(square(matrix));
          expectClose([products.largest[from * 2 + sample]!], [largest], 1e-6, `from step ${from}`);
        });
    },
  );

  it('are taken to the end of each sequence, whatever the sizes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          T: fc.constantFrom(1, 2, 5),
          r: fc.constantFrom(1, 3),
          hidden: fc.constantFrom(1, 3, 5),
          short: fc.integer({ min: 1, max: 5 }),
          seed: fc.integer({ min: 1, max: 1000 }),
        }),
        async ({ T, r, hidden, short, seed }) => {
          const lengths = Array.from({ length: r }, (_, j) => (j === 0 ? Math.min(short, T) : T));
          const traced = tracedLayer({ cell: lstm, T, r, hidden, lengths, seed });
          const { steps, products } = await spectraOf(traced);
          differences(traced, 0, T).forEach((matrix, sample) => {
            const { largest } = extremeSingularValues(square(matrix));
            // Of the states, which are about 1: what differences lose of a small product is no small part of it.
            expectClose([products.largest[sample]!], [largest], 1e-8, `sample ${sample}`, 1);
          });
          // The last step taken is a product by itself, and so are the held ones behind it.
          const last = (lengths[0]! - 1) * r;
          expect(products.largest[last]).toBe(steps.largest[last]);
          expect(products.smallest[last]).toBe(steps.smallest[last]);
        },
      ),
      { numRuns: 15 },
    );
  });
});

describe('power iteration', () => {
  const exact = { tolerance: 1e-11, iterations: 1000 };
  const specs: [string, TracedSpec][] = [
    ...['rnn', 'canonical-rnn', 'vanilla-lstm'].map((name): [string, TracedSpec] => [
      name,
      { cell: cells[name]!, T: 9 },
    ]),
    ['lstm with a projection and a mask', { cell: lstm, projection: 2, T: 9, hidden: 3, lengths: [9, 4] }],
    ['a reverse gru with a mask', { cell: cells.gru!, direction: -1, T: 5, r: 3, lengths: [5, 1, 3] }],
    ['a single step', { cell: cells.rnn!, T: 1, r: 1 }],
  ];
  test.each(specs)('of %s finds the norms of the matrices', async (_, spec) => {
    const traced = tracedLayer(spec);
    const { steps, products } = await spectraOf(traced);
    const found = await powerSpectra(backend, traced.trace, exact);
    expect(found.steps.smallest).toBeNull();
    expectClose(found.steps.largest, steps.largest, 1e-6, 'steps');
    // Where all is held there is no product but the identity.
    const isTaken = (i: number) => traced.trace.taken[i] === 1;
    const taken = (values: Float64Array) => values.filter((_, i) => isTaken(i));
    expectClose(taken(found.products.largest), taken(products.largest), 1e-6, 'products');
  });

  it('stays below the norm when it is stopped early', async () => {
    const traced = tracedLayer({ cell: lstm, T: 6 });
    const { steps, products } = await spectraOf(traced);
    const found = await powerSpectra(backend, traced.trace, { iterations: 1 });
    found.steps.largest.forEach((norm, i) =>
      expect(norm).toBeLessThanOrEqual(steps.largest[i]! * (1 + 1e-12)),
    );
    found.products.largest.forEach((norm, i) =>
      expect(norm).toBeLessThanOrEqual(products.largest[i]! * (1 + 1e-12)),
    );
  });

  it('is Infinity in float32 for what grows beyond it', async () => {
    const [zero, one] = [[0], [1e10]];
    const { trace } = tracedLayer({
      ...{ cell: cells.rnn!, T: 3, r: 1, input: 1, hidden: 1 },
      parameters: { x: [0, 0, 0], 'state.h': zero, weight_hh: one, bias_ih: zero, bias_hh: zero },
    });
    const { products } = await powerSpectra(new Float32Backend(), trace);
    expectClose(products.largest.slice(2), [1e10], 1e-6);
    expect([...products.largest.slice(0, 2)]).toEqual([Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  });

  it('runs in float32', async () => {
    const traced = tracedLayer({ cell: lstm, T: 6 });
    const { steps, products } = await spectraOf(traced);
    const found = await powerSpectra(new Float32Backend(), traced.trace, {
      tolerance: 1e-7,
      iterations: 500,
    });
    expectClose(found.steps.largest, steps.largest, 1e-4, 'steps');
    expectClose(found.products.largest, products.largest, 1e-4, 'products');
  });
});
