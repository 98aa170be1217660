/** Error signals, against the gradient of what a layer puts out from a state on, by that state. */
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { attentionRnn } from '../../src/cells/attention-rnn.js';
import type { Cell } from '../../src/cells/cell.js';
import { cells } from '../../src/cells/index.js';
import { palRnn } from '../../src/cells/pal-rnn.js';
import { CounterRandom } from '../../src/data/random.js';
import { errorSignalNorms } from '../../src/diagnostics/error-signals.js';
import { recurrentLayer } from '../../src/model/recurrent.js';
import { adjoint } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float, type Value } from '../../src/program/program.js';
import { expectClose } from '../support/numbers.js';
import { type Traced, type TracedSpec, tracedLayer, withoutPrefix } from './traced-layer.js';

const backend = new Float64Backend();

/** What a state puts out by itself: that part of it which is the output, or the function of it that is. */
const ownOutput: Readonly<Record<string, (on: Builder, state: Value) => Value>> = {
  'standard-rnn': (on, s) => on.call('tanh', s),
  'canonical-rnn': (on, s) => on.call('tanh', s),
  'pal-rnn': (_, h) => h,
  'pal-rnn, post': (on, h) => on.call('tanh', h),
};

/** Some dE / doutput [T, r, features], 0 where the mask holds the state. */
function someErrors({ trace }: Traced, seed = 3): Float64Array {
  const { cell, steps, samples, parts, taken } = trace;
  const own = parts.find(({ name }) => name === cell.output);
  const features = own?.features ?? parts[0]!.features;
  const random = new CounterRandom(seed);
  return Float64Array.from(
    { length: steps * samples * features },
    (_, i) => random.normal() * taken[Math.floor(i / features)]!,
  );
}

/** |dE / ds[step]| of each sample, with E linear in the outputs of this and of all later steps. */
function expected(traced: Traced, errors: Float64Array, step: number, readout: string): number[] {
  const { trace, inputs, shapes } = traced;
  const { cell, steps, samples: r, parts, zoneout } = trace;
  const on = new Builder();
  const values = Object.fromEntries(
    Object.entries(shapes)
      .filter(([name]) => name !== 'x' && name !== 'mask')
      .map(([name, shape]) => [name, on.input(name, float(...shape))]),
  );
  const state = withoutPrefix(values, 'state.');
  const features = errors.length / (steps * r);
  const terms: Value[] = [];
  const here = on.input('here', float(r, features));
  const own = parts.some(({ name }) => name === cell.output)
    ? state[cell.output]!
    : zoneout > 0
      ? null // The output is what the step made, and not what zoneout left of it.
      : ownOutput[readout]!(on, Object.values(state)[0]!);
  if (own !== null) terms.push(on.sumAll(on.mul(here, own)));
  const left = steps - 1 - step;
  const width = trace.x.type.shape[2]!;
  if (left > 0) {
    const { output } = recurrentLayer(on, cell, {
      x: on.input('x', float(left, r, width)),
      mask: on.input('mask', float(left, r)),
      noise: { zoneout, index: 0 },
      state,
      parameters: withoutPrefix(values, 'parameter.'),
    });
    terms.push(on.sumAll(on.mul(on.input('later', float(left, r, features)), output)));
  }
  const E = terms.reduce((a, b) => on.add(a, b), on.constant(0));
  const names = parts.map(({ name }) => name);
  const gradients = adjoint(
    on,
    [{ value: E, adjoint: on.constant(1) }],
    names.map((name) => state[name]!),
  );
  const program = on.build(Object.fromEntries(names.map((name, i) => [`by.${name}`, gradients[i]!])));
  const behind = (numbers: ArrayLike<number>, size: number) =>
    Float64Array.from(numbers).slice((step + 1) * size, steps * size);
  const found = interpret(program, {
    ...inputs,
    here: errors.slice(step * r * features, (step + 1) * r * features),
    ...(left > 0
      ? {
          x: behind(trace.x.data, r * width),
          mask: behind(trace.taken, r),
          later: behind(errors, r * features),
        }
      : {}),
    ...Object.fromEntries(
      parts.map((part) => {
        const size = r * part.features;
        return [
          `state.${part.name}`,
          Float64Array.from(trace.states[part.name]!).slice((step + 1) * size, (step + 2) * size),
        ];
      }),
    ),
  });
  return Array.from({ length: r }, (_, sample) =>
    Math.hypot(
      ...parts.flatMap(({ name, features: n }) =>
        Array.from(found[`by.${name}`]!.slice(sample * n, (sample + 1) * n)),
      ),
    ),
  );
}

async function check(spec: TracedSpec, readout: string = spec.cell.name): Promise<void> {
  const traced = tracedLayer(spec);
  const { steps } = traced.trace;
  const errors = someErrors(traced);
  const [norms] = await errorSignalNorms(backend, traced.trace, [errors]);
  const theirs = Array.from({ length: steps }, (_, step) => expected(traced, errors, step, readout)).flat();
  expectClose(norms!, theirs, 1e-12, spec.cell.name);
}

const oneStep: readonly Cell[] = [...Object.values(cells), attentionRnn];

describe('error signals', () => {
  test.each(oneStep.map((cell) => [cell.name, cell] as const))(
    'of %s are gradients by its states',
    (_, cell) => check({ cell, T: 4, r: 3 }),
  );
  it('count an output that is a function of the state', () =>
    check({ cell: palRnn('tanh', 'post') }, 'pal-rnn, post'));
  it('pass a projection', () => check({ cell: cells.lstm!, projection: 3 }));
  it('pass zoneout', () => check({ cell: cells.lstm!, zoneout: 0.3 }));
  it('pass zoneout where the output is none of the state', () =>
    check({ cell: cells['standard-rnn']!, zoneout: 0.3 }));

  it('are held where the mask holds the state, whatever the sizes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          cell: fc.constantFrom(cells.lstm!, cells.gru!, cells['standard-rnn']!),
          T: fc.constantFrom(1, 2, 5),
          r: fc.constantFrom(1, 3),
          short: fc.integer({ min: 1, max: 5 }),
          seed: fc.integer({ min: 1, max: 1000 }),
        }),
        async ({ cell, T, r, short, seed }) => {
          const lengths = Array.from({ length: r }, (_, j) => (j === 0 ? Math.min(short, T) : T));
          const traced = tracedLayer({ cell, T, r, lengths, seed });
          const errors = someErrors(traced, seed);
          const [norms] = await errorSignalNorms(backend, traced.trace, [errors]);
          for (let step = 0; step < T; step++) {
            const theirs = expected(traced, errors, step, cell.name);
            // Behind a sequence's end there is no error.
            for (let sample = 0; sample < r; sample++)
              if (step < lengths[sample]!)
                expectClose([norms![step * r + sample]!], [theirs[sample]!], 1e-12);
              else expect(norms![step * r + sample]).toBe(0);
          }
        },
      ),
      { numRuns: 15 },
    );
  });
});
