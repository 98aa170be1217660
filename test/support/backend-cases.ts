/**
 * Tests that need nothing but a backend: the same in Node, on Dawn, and in a page of a browser. They use no test
 * runner; a case throws where the backend is wrong.
 */
import fc from 'fast-check';
import type { Backend, Executable, Numbers } from '../../src/backend/backend.js';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { CounterRandom } from '../../src/data/random.js';
import { batchInputs } from '../../src/model/batch-inputs.js';
import { LanguageModel } from '../../src/model/language-model.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { halfOfBits, roundToHalf } from '../../src/program/half.js';
import { float, int, type Program } from '../../src/program/program.js';
import { mixedPrecision } from '../../src/schedule/mixed-precision.js';
import type { Schedule } from '../../src/schedule/schedule.js';
import { withDerivatives } from './derivatives.js';
import { learnsATinyText } from './learning.js';
import { expectClose, randomInputs } from './numbers.js';
import { product, productShapes } from './products.js';
import { cases, ids } from './programs.js';
import { expected, sumTolerance } from './stages.js';

type Inputs = Parameters<typeof interpret>[1];

/** A backend that runs schedules, also those that no program gives. */
export interface ScheduledBackend extends Backend {
  compileSchedule(schedule: Schedule): Promise<Executable>;
}

export interface BackendCase {
  readonly name: string;
  /** Resolves to what it measured. */
  readonly run: (backend: ScheduledBackend) => Promise<string>;
}

/** float32 against float64, relative to each tensor's largest element. */
const TOLERANCE = 5e-6;

export const backendCases: readonly BackendCase[] = [
  { name: 'products of awkward shapes', run: multiplies },
  ...cases.map((given) => ({
    name: `${given.name}: values, adjoint, tangent and tangent of the adjoint`,
    run: (backend: Backend) => agreesWithFloat64(backend, withDerivatives(given)),
  })),
  { name: 'ids out of range', run: staysInside },
  { name: 'rounding to halves', run: roundsToHalves },
  { name: 'an LSTM in mixed precision', run: agreesInMixedPrecision },
  { name: 'an LSTM learns a tiny text', run: learnsATinyText },
];

/** Runs a program on made-up inputs, and compares every output with the interpreter's. */
async function agreesWithFloat64(backend: Backend, program: Program): Promise<string> {
  const inputs = randomInputs(program, 11, ids);
  return compare(await runOnce(backend, program, inputs), interpret(program, inputs));
}

/** Throws where a tensor is not as wanted. */
function compare(
  actual: Readonly<Record<string, ArrayLike<number>>>,
  wanted: Readonly<Record<string, ArrayLike<number>>>,
  tolerance = TOLERANCE,
): string {
  let worst = 0;
  for (const [name, data] of Object.entries(wanted))
    worst = Math.max(worst, expectClose(actual[name]!, data, tolerance, name));
  return `largest error ${worst.toExponential(1)} of ${tolerance}`;
}

/** The outputs of a program by name. */
export async function runOnce(
  backend: Backend,
  program: Program,
  inputs: Inputs,
): Promise<Record<string, Numbers>> {
  using executable = await backend.compile(program);
  const tensors = Object.fromEntries(
    [...program.inputs, ...program.outputs].map(({ name, value }) => [name, backend.tensor(value.type)]),
  );
  try {
    for (const [name, data] of Object.entries(inputs)) tensors[name]!.write(data);
    executable.run(tensors);
    const outputs: Record<string, Numbers> = {};
    for (const { name } of program.outputs) outputs[name] = await tensors[name]!.read();
    return outputs;
  } finally {
    for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
  }
}

/** Ids below, at and above the bounds of what they pick from: nothing beside it is read or written. */
async function staysInside(backend: Backend): Promise<string> {
  const b = new Builder();
  const picks = b.input('picks', int(6));
  const classes = b.input('classes', int(4));
  const weight = b.input('weight', float(4));
  const { loss, gradient } = b.softmaxCrossEntropy(b.input('logits', float(4, 5)), classes, weight);
  const values = b.input('values', float(6, 5));
  const program = b.build({
    'rows gathered': b.gather(b.input('table', float(3, 5)), picks),
    'columns gathered': b.gather(b.input('wide table', float(5, 3)), picks, 1),
    'rows added': b.scatterAdd(picks, values, 3),
    'columns added': b.scatterAdd(picks, values, 3, 1),
    loss,
    gradient,
  });
  const inputs = {
    ...randomInputs(program, 11),
    picks: Int32Array.of(-1, 3, 2, 2 ** 31 - 1, 0, -(2 ** 31)),
    classes: Int32Array.of(5, -7, 2 ** 30, 4),
    weight: Float64Array.of(1, 0, 0.5, 2),
  };
  const actual = await runOnce(backend, program, inputs);
  const wanted = interpret(program, inputs);
  // The unknown classes' rows are NaN on purpose, which no comparison takes for right.
  const lost = (data: ArrayLike<number>) => Array.from(data, (x) => (Number.isNaN(x) ? 100 : x));
  for (const outputs of [actual, wanted] as Record<string, ArrayLike<number>>[])
    for (const name of ['loss', 'gradient']) outputs[name] = lost(outputs[name]!);
  return compare(actual, wanted);
}

/** All halves, what lies half way between them and beside that, and what is no number, each with both signs. */
async function roundsToHalves(backend: Backend): Promise<string> {
  const halves = Array.from({ length: 0x7c01 }, (_, bits) => halfOfBits(bits));
  halves[0x7c00] = 2 ** 16;
  const between = halves.slice(1).flatMap((half, i) => {
    const middle = (halves[i]! + half) / 2;
    return [middle * (1 - 2 ** -23), middle, middle * (1 + 2 ** -23)];
  });
  const positive = [...halves, ...between, 1e-30, 1e30, Number.POSITIVE_INFINITY, Number.NaN];
  const x = Float64Array.from([...positive, ...positive.map((each) => -each)], Math.fround);
  const b = new Builder();
  const given = b.input('halves', { dtype: 'half', shape: [x.length] });
  const rounded = b.call('half', b.input('x', float(x.length)));
  const program = b.build({ rounded, widened: b.mul(given, b.constant(1 / 3)) });
  const found = await runOnce(backend, program, { x, halves: x });
  x.forEach((each, i) => {
    const half = roundToHalf(each);
    if (!Object.is(found.rounded![i], half))
      throw new Error(`${each} became ${found.rounded![i]}, not ${half}`);
    const third = Math.fround(half * Math.fround(1 / 3));
    const wide = found.widened![i]!;
    // A product may be off by a unit in the last place, and one below 2^-126 may be 0.
    if (
      Number.isFinite(third) ? Math.abs(wide - third) > Math.abs(third) * 2 ** -22 : !Object.is(wide, third)
    )
      throw new Error(`a third of ${half} is ${wide}, not ${third}`);
  });
  return `${x.length} numbers`;
}

/** Relative to the largest element: where float32 rounds to the other half than float64, by 2^-11 of what is rounded. */
const MIXED_TOLERANCE = 1e-3;

async function agreesInMixedPrecision(backend: Backend): Promise<string> {
  const on = new Builder();
  const model = new LanguageModel({ cell: 'lstm', vocabulary: 7, hidden: 20, layers: 2, embedding: 6 });
  const theta = on.input('theta', float(model.parameters.size));
  const batch = batchInputs(on, model, { steps: 9, samples: 5 });
  const { loss, state } = model.forward(on, { theta, ...batch });
  const [slope] = gradient(on, loss, [theta]);
  const program = mixedPrecision(on.build({ loss, gradient: slope!, h: state.h!, c: state.c! }));
  const inputs = {
    ...randomInputs(program, 4, (_, { shape }) =>
      Array.from({ length: shape[0]! * shape[1]! }, (_, i) => (i * 3) % 7),
    ),
    theta: model.parameters.initial(new CounterRandom(2, 3)),
  };
  return compare(await runOnce(backend, program, inputs), interpret(program, inputs), MIXED_TOLERANCE);
}

async function multiplies(backend: ScheduledBackend): Promise<string> {
  let worst = 0;
  await fc.assert(
    fc.asyncProperty(productShapes, async (shape) => {
      const { stage, buffers, scale } = product(shape);
      using executable = await backend.compileSchedule({
        buffers,
        steps: [{ kind: 'stage', label: 'a product', stage }],
      });
      const [, ...named] = buffers; // the first is the arena
      const tensors = named.map(({ name, length, data }) => {
        const tensor = backend.tensor({ dtype: 'float', shape: [length] });
        tensor.write(data);
        return [name, tensor] as const;
      });
      try {
        executable.run(Object.fromEntries(tensors));
        const tolerance = sumTolerance(shape.depth + 1);
        const wanted = expected(stage, buffers);
        for (const [k, [name, tensor]] of tensors.entries()) {
          const error = expectClose(await tensor.read(), wanted[k + 1]!, tolerance, name, scale);
          worst = Math.max(worst, error / tolerance);
        }
      } finally {
        for (const [, tensor] of tensors) tensor[Symbol.dispose]();
      }
    }),
    { numRuns: 25 },
  );
  return `largest error ${worst.toFixed(2)} of its bound`;
}
