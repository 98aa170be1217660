/** Recurrent dropout and zoneout: what they do by definition, their derivatives, and the same draws everywhere. */
import { describe, expect, it, test } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { cells } from '../../src/cells/index.js';
import {
  type RecurrentConfig,
  recurrent,
  recurrentParameters,
  stateShapes,
} from '../../src/model/recurrent.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float, int, type Program, type Value } from '../../src/program/program.js';
import { threefry2x32 } from '../../src/program/threefry.js';
import { backends } from '../support/backends.js';
import { withDerivatives } from '../support/derivatives.js';
import { dot, expectClose, randomInputs } from '../support/numbers.js';

const [T, r, n, m] = [6, 3, 2, 4];
const KEY = [7, 11] as const;

type Options = Partial<Omit<RecurrentConfig, 'cell'>> & { readonly cell?: string };

const configOf = ({ cell = 'rnn', ...changes }: Options): RecurrentConfig => ({
  ...{ input: n, hidden: m, layers: 1 },
  ...changes,
  cell: cells[cell]!,
});

/** The output as a function of all that is float; in training with a key, and dropout between layers if wanted. */
function build(on: Builder, options: Options, training: boolean, dropout = 0) {
  const config = configOf(options);
  const named = (shapes: Readonly<Record<string, readonly number[]>>): Record<string, Value> =>
    Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => [name, on.input(name, float(...shape))]),
    );
  const x = on.input('x', float(T, r, n));
  const parameters = named(recurrentParameters(config));
  const state = named(stateShapes(config, r));
  const key = training ? on.input('key', int(2)) : undefined;
  const { output } = recurrent(on, config, {
    ...{ x, state, key, parameter: (name) => parameters[name]! },
    dropout: key && dropout > 0 ? { rate: dropout, key } : undefined,
  });
  return { y: output, wrt: [x, ...Object.values(state), ...Object.values(parameters)] };
}

function outputOf(options: Options, training: boolean): Program {
  const on = new Builder();
  return on.build({ output: build(on, options, training).y });
}

type Data = Record<string, Float64Array>;
const data = (program: Program) => randomInputs(program, 5, () => KEY) as Data;

const uniform = (stream: number, index: number) =>
  (threefry2x32(KEY[0], KEY[1], index, stream)[0] >>> 8) * 2 ** -24;

/** One step of `nn.RNN` of sample j: what products see of h', and h before the step, to h. */
function step(p: Data, t: number, j: number, seen: readonly number[]): number[] {
  return Array.from({ length: m }, (_, k) => {
    let a = p.bias_ih_l0![k]! + p.bias_hh_l0![k]!;
    for (let l = 0; l < n; l++) a += p.weight_ih_l0![k * n + l]! * p.x![(t * r + j) * n + l]!;
    for (let l = 0; l < m; l++) a += p.weight_hh_l0![k * m + l]! * seen[l]!;
    return Math.tanh(a);
  });
}

/** Outputs of `nn.RNN` with what happens to h' before its product, and to h behind the step. */
function unrolled(
  p: Data,
  seen: (h: number, at: number) => number,
  carried: (old: number, next: number, t: number, at: number) => number,
): Float64Array {
  const output = new Float64Array(T * r * m);
  for (let j = 0; j < r; j++) {
    let h = Array.from(p.h!.subarray(j * m, (j + 1) * m));
    for (let t = 0; t < T; t++) {
      const next = step(
        p,
        t,
        j,
        h.map((v, k) => seen(v, j * m + k)),
      );
      h = h.map((old, k) => carried(old, next[k]!, t, j * m + k));
      output.set(h, (t * r + j) * m);
    }
  }
  return output;
}

test('recurrent dropout hides the same units of h from the products of every step', () => {
  const program = outputOf({ recurrentDropout: 0.4 }, true);
  const inputs = data(program);
  const seen = (h: number, at: number) => (uniform(2 ** 28, at) < 0.4 ? 0 : h / 0.6);
  const expected = unrolled(inputs, seen, (_, next) => next);
  expectClose(interpret(program, inputs).output!, expected, 1e-14);
});

test('zoneout keeps units as they were, others at each step', () => {
  const program = outputOf({ zoneout: 0.3 }, true);
  const inputs = data(program);
  const expected = unrolled(
    inputs,
    (h) => h,
    (old, next, t, at) => (uniform(2 ** 29, t * r * m + at) < 0.3 ? old : next),
  );
  expectClose(interpret(program, inputs).output!, expected, 1e-14);
});

describe('when the model is used', () => {
  it('zoneout is the mean of what it does in training', () => {
    const program = outputOf({ zoneout: 0.3 }, false);
    const inputs = data(program);
    const expected = unrolled(
      inputs,
      (h) => h,
      (old, next) => 0.3 * old + 0.7 * next,
    );
    expectClose(interpret(program, inputs).output!, expected, 1e-14);
  });

  it('nothing is dropped', () => {
    const [plain, dropped] = [outputOf({}, false), outputOf({ recurrentDropout: 0.4 }, false)];
    const inputs = data(plain);
    expect(interpret(dropped, inputs)).toEqual(interpret(plain, inputs));
  });
});

test('GRU carries h itself, of which only the products see a part', () => {
  // With every weight zero z is 1/2 and n is 0: h halves, whatever is dropped.
  const program = outputOf({ cell: 'gru', recurrentDropout: 0.5 }, true);
  const inputs = Object.fromEntries(
    Object.entries(data(program)).map(([name, v]) => [name, /weight|bias/.test(name) ? v.fill(0) : v]),
  );
  const output = interpret(program, inputs).output!;
  for (let t = 0; t < T; t++)
    expectClose(
      output.slice(t * r * m, (t + 1) * r * m),
      inputs.h!.map((v) => v / 2 ** (t + 1)),
      1e-14,
    );
});

test('no two uses, layers, directions or parts of a state share a stream', () => {
  const on = new Builder();
  const options = { cell: 'lstm', layers: 3, bidirectional: true, recurrentDropout: 0.2, zoneout: 0.1 };
  build(on, options, true, 0.3);
  const streams = on.nodes.flatMap(({ op }) => (op.kind === 'random' ? [op.stream] : []));
  // Two between layers; of six layers and directions h' once, h and c in zoneout.
  expect(streams).toHaveLength(2 + 6 + 12);
  expect(new Set(streams).size).toBe(streams.length);
});

describe.each(Object.keys(cells))('%s with both', (cell) => {
  const options = { cell, recurrentDropout: 0.3, zoneout: 0.2 };

  it('has the gradients of its tangents and of central differences', () => {
    const program = withDerivatives({ name: cell, build: (on) => build(on, options, true) });
    const inputs = data(program);
    const moved = (by: number) =>
      Object.fromEntries(
        Object.entries(inputs).map(([name, v]) => {
          const along = inputs[`dot ${name}`];
          return [name, along ? v.map((x, i) => x + by * along[i]!) : v];
        }),
      );
    const here = interpret(program, inputs);
    const slope = Object.keys(here)
      .filter((name) => name.startsWith('bar '))
      .reduce((sum, name) => sum + dot(here[name]!, inputs[name.replace('bar', 'dot')]!), 0);
    expect(slope).toBeCloseTo(dot(here.jv!, inputs.u!), 9);
    const out = (by: number) => dot(interpret(program, moved(by)).out!, inputs.u!);
    expect(slope).toBeCloseTo((out(1e-5) - out(-1e-5)) / 2e-5, 5);
  });
});

test.each(Object.keys(backends))('%s draws the numbers of the oracle', async (name) => {
  using backend = await backends[name]!();
  for (const cell of ['lstm', 'gru', 'canonical-rnn', 'multi-head-lstm']) {
    const on = new Builder();
    const options = { cell, layers: 2, bidirectional: true, recurrentDropout: 0.3, zoneout: 0.2 };
    const { y, wrt } = build(on, options, true, 0.25);
    const gradients = gradient(on, on.sumAll(on.mul(y, y)), wrt);
    const program = on.build({
      output: y,
      ...Object.fromEntries(gradients.map((g, i) => [`gradient ${i}`, g])),
    });
    const inputs = data(program);
    const expected = interpret(program, inputs);
    const tensors = Object.fromEntries(
      [...program.inputs, ...program.outputs].map(({ name, value }) => [name, backend.tensor(value.type)]),
    );
    for (const [key, values] of Object.entries(inputs)) tensors[key]!.write(values);
    using executable = await backend.compile(program);
    executable.run(tensors);
    for (const [key, values] of Object.entries(expected))
      expectClose(await tensors[key]!.read(), values, 2e-5, `${cell} ${key}`);
  }
});
