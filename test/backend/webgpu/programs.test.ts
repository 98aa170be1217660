/** Every primitive with its derivatives, scheduled and run on the GPU, against the float64 interpreter. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { interpret } from '../../../src/backend/cpu/interpret.js';
import type { WebGpuBackend } from '../../../src/backend/webgpu/webgpu-backend.js';
import { adjoint } from '../../../src/program/adjoint.js';
import { Builder } from '../../../src/program/builder.js';
import { tangent } from '../../../src/program/tangent.js';
import { expectClose, openBackend } from '../../kernels/gpu.js';
import { randomInputs } from '../../support/numbers.js';
import { cases, ids } from '../../support/programs.js';

let backend: WebGpuBackend;
beforeAll(async () => {
  backend = await openBackend();
});
afterAll(() => backend[Symbol.dispose]());

describe.each(cases)('$name', ({ build }) => {
  const b = new Builder();
  const { y, wrt } = build(b);
  const name = (v: (typeof wrt)[number]) => (v.node.op as { name: string }).name;
  const u = b.input('u', y.type);
  const along = new Map(wrt.map((v) => [v, b.input(`dot ${name(v)}`, v.type)]));
  const bars = adjoint(b, [{ value: y, adjoint: u }], wrt);
  const [jv] = tangent(b, [y], along);
  const hv = tangent(b, bars, along);
  const program = b.build({
    out: y,
    jv: jv!,
    ...Object.fromEntries(bars.map((v, i) => [`bar ${name(wrt[i]!)}`, v])),
    ...Object.fromEntries(hv.map((v, i) => [`hv ${name(wrt[i]!)}`, v])),
  });

  it('has the values of the float64 interpreter', async () => {
    const inputs = randomInputs(program, 11, ids);
    const expected = interpret(program, inputs);
    using executable = await backend.compile(program);
    const tensors = Object.fromEntries(
      [...program.inputs, ...program.outputs].map(({ name, value }) => {
        const tensor = backend.tensor(value.type);
        if (inputs[name] !== undefined) tensor.write(inputs[name]);
        return [name, tensor];
      }),
    );
    executable.run(tensors);
    for (const [key, data] of Object.entries(expected))
      expectClose(await tensors[key]!.read(), data, 5e-6, key);
    for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
  });
});
