import { describe, expect, it } from 'vitest';
import { Float32Backend } from '../../../src/backend/cpu/float32-backend.js';
import { interpret } from '../../../src/backend/cpu/interpret.js';
import { LanguageModel } from '../../../src/model/language-model.js';
import { optimizerNamed } from '../../../src/optim/index.js';
import { adjoint } from '../../../src/program/adjoint.js';
import { Builder } from '../../../src/program/builder.js';
import { type Program, sizeOf } from '../../../src/program/program.js';
import { trainingStep } from '../../../src/train/step-program.js';
import { expectClose, randomInputs } from '../../support/numbers.js';
import { cases, ids } from '../../support/programs.js';

type Inputs = Readonly<Record<string, ArrayLike<number>>>;

/** All outputs in float32, an updated input under the output's name. */
async function runFloat32(program: Program, inputs: Inputs): Promise<Record<string, ArrayLike<number>>> {
  using backend = new Float32Backend();
  using executable = await backend.compile(program);
  const fresh = program.outputs.filter(({ updates }) => updates === null);
  const tensors = Object.fromEntries(
    [...program.inputs, ...fresh].map(({ name, value }) => {
      const tensor = backend.tensor(value.type);
      if (inputs[name] !== undefined) tensor.write(inputs[name]);
      return [name, tensor];
    }),
  );
  executable.run(tensors);
  const results = program.outputs.map(
    async ({ name, updates }) => [name, await tensors[updates ?? name]!.read()] as const,
  );
  return Object.fromEntries(await Promise.all(results));
}

describe.each(cases)('$name', ({ build }) => {
  const b = new Builder();
  const { y, wrt } = build(b);
  const u = b.input('u', y.type);
  const bars = adjoint(b, [{ value: y, adjoint: u }], wrt);
  const program = b.build({ out: y, ...Object.fromEntries(bars.map((bar, i) => [`bar ${i}`, bar])) });
  const inputs = randomInputs(program, 11, ids);

  it('and its adjoint agree with float64', async () => {
    const actual = await runFloat32(program, inputs);
    for (const [name, expected] of Object.entries(interpret(program, inputs))) {
      expectClose(actual[name]!, expected, 2e-6, name);
    }
  });
});

it('a training step of two layers with dropout agrees with float64', async () => {
  const model = new LanguageModel({
    cell: 'lstm',
    vocabulary: 13,
    hidden: 19,
    layers: 2,
    embedding: 'one-hot',
  });
  const optimizer = optimizerNamed('sgd', 0);
  const options = { batch: 5, unroll: 7, optimizer, clip: 1, dropout: 0.3, ringLength: 4 };
  const program = trainingStep(model, options);
  const inputs = randomInputs(program, 5, (name, { shape }) =>
    Array.from({ length: sizeOf(shape) }, (_, i) => (name === 'key' ? 17 + i : (i * 3 + 1) % 13)),
  );
  const expected = interpret(program, inputs);
  const actual = await runFloat32(program, inputs);
  expect(Object.keys(actual).sort()).toEqual(Object.keys(expected).sort());
  for (const [name, value] of Object.entries(expected)) expectClose(actual[name]!, value, 5e-6, name);
});
