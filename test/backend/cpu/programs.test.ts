import { describe, it } from 'vitest';
import { Float32Backend } from '../../../src/backend/cpu/float32-backend.js';
import { interpret } from '../../../src/backend/cpu/interpret.js';
import { adjoint } from '../../../src/program/adjoint.js';
import { Builder } from '../../../src/program/builder.js';
import { expectClose, randomInputs } from '../../support/numbers.js';
import { cases, ids } from '../../support/programs.js';

describe.each(cases)('$name', ({ build }) => {
  const b = new Builder();
  const { y, wrt } = build(b);
  const u = b.input('u', y.type);
  const bars = adjoint(b, [{ value: y, adjoint: u }], wrt);
  const program = b.build({ out: y, ...Object.fromEntries(bars.map((bar, i) => [`bar ${i}`, bar])) });
  const inputs = randomInputs(program, 11, ids);
  const expected = interpret(program, inputs);

  it('and its adjoint agree with float64', async () => {
    using backend = new Float32Backend();
    using executable = await backend.compile(program);
    const tensors = Object.fromEntries(
      [...program.inputs, ...program.outputs].map(({ name, value }) => {
        const tensor = backend.tensor(value.type);
        if (inputs[name] !== undefined) tensor.write(inputs[name]);
        return [name, tensor];
      }),
    );
    executable.run(tensors);
    for (const name of Object.keys(expected)) {
      expectClose(await tensors[name]!.read(), expected[name]!, 2e-6, name);
    }
  });
});
