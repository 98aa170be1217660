/**
 * Tests that need nothing but a backend: the same in Node, on Dawn, and in a page of a browser. They use no test
 * runner; a case throws where the backend is wrong.
 */
import fc from 'fast-check';
import type { Backend, Executable } from '../../src/backend/backend.js';
import { interpret } from '../../src/backend/cpu/interpret.js';
import type { Program } from '../../src/program/program.js';
import type { Schedule } from '../../src/schedule/schedule.js';
import { withDerivatives } from './derivatives.js';
import { learnsATinyText } from './learning.js';
import { expectClose, randomInputs } from './numbers.js';
import { product, productShapes } from './products.js';
import { cases, ids } from './programs.js';
import { expected, sumTolerance } from './stages.js';

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
  { name: 'an LSTM learns a tiny text', run: learnsATinyText },
];

/** Runs a program on made-up inputs, and compares every output with the interpreter's. */
async function agreesWithFloat64(backend: Backend, program: Program): Promise<string> {
  const inputs = randomInputs(program, 11, ids);
  const wanted = interpret(program, inputs);
  using executable = await backend.compile(program);
  const tensors = Object.fromEntries(
    [...program.inputs, ...program.outputs].map(({ name, value }) => [name, backend.tensor(value.type)]),
  );
  try {
    for (const [name, data] of Object.entries(inputs)) tensors[name]!.write(data);
    executable.run(tensors);
    let worst = 0;
    for (const [name, data] of Object.entries(wanted))
      worst = Math.max(worst, expectClose(await tensors[name]!.read(), data, TOLERANCE, name));
    return `largest error ${worst.toExponential(1)} of ${TOLERANCE}`;
  } finally {
    for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
  }
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
