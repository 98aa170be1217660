/**
 * Derivatives of a loss by the carried state of a layer, dE / ds[t], all paths counted: back through the layer's own
 * steps, and through what the layer puts out at t. The parts of the state count as independent of each other.
 */
import type { Backend, Numbers } from '../backend/backend.js';
import { HostProgram } from '../backend/host-program.js';
import { layerStep } from '../model/recurrent.js';
import { adjoint } from '../program/adjoint.js';
import { Builder } from '../program/builder.js';
import { float, type Program, type Value } from '../program/program.js';
import type { LayerTrace } from './layer-trace.js';
import { parameterInputs, parameterNumbers, xShape } from './step-program.js';

/**
 * |dE / ds[t]|, [T, r], for each of some losses E given by its derivative by the layer's output, [T, r, features], both
 * in the order in which steps run. s[t] is the state behind step t.
 * @throws KronogradError MEMORY
 */
export async function errorSignalNorms(
  backend: Backend,
  layer: LayerTrace,
  byOutput: readonly Numbers[],
): Promise<Float64Array[]> {
  const { steps, samples, states, parts } = layer;
  const features = byOutput[0]!.length / (steps * samples);
  using program = await HostProgram.compile(backend, backwardProgram(layer, features));
  program.write({
    ...parameterNumbers(layer),
    x: layer.x.data,
    keep: Float64Array.from(layer.taken),
    ...Object.fromEntries(
      parts.map(({ name, features }) => [
        `state.${name}`,
        states[name]!.subarray(0, steps * samples * features),
      ]),
    ),
  });
  const norms: Float64Array[] = [];
  for (const error of byOutput) {
    program.write({ error });
    program.run();
    const { norm } = await program.read();
    norms.push(Float64Array.from(norm!));
  }
  return norms;
}

/** From `error` [T, r, features], dE / doutput, to `norm` [T, r]. */
function backwardProgram(layer: LayerTrace, features: number): Program {
  const { cell, zoneout, parts, steps, samples: r, x } = layer;
  const on = new Builder();
  const parameters = parameterInputs(on, layer);
  const { stacks } = on.scan(
    {
      length: steps,
      direction: -1,
      constants: Object.values(parameters),
      initial: parts.map((part) => on.full([r, part.features], 0)),
      xs: [
        on.input('x', { dtype: x.type.dtype, shape: [steps, r, ...xShape(layer)] }),
        on.input('keep', float(steps, r)),
        on.input('error', float(steps, r, features)),
        ...parts.map((part) => on.input(`state.${part.name}`, float(steps, r, part.features))),
      ],
    },
    (body, { constants, carries, xs: [seen, keep, error, ...before] }) => {
      const named = (keys: readonly string[], values: readonly Value[]) =>
        Object.fromEntries(keys.map((key, i) => [key, values[i]!]));
      const names = parts.map(({ name }) => name);
      const next = layerStep(body, cell, {
        ...{ x: seen!, state: named(names, before), zoneout },
        parameters: named(Object.keys(parameters), constants),
      });
      const behind = names.map((name) => next[name]!);
      const taken = body.reshape(keep!, [r, 1]);
      const own = { value: next[cell.output]!, adjoint: body.mul(error!, taken) };
      // An output that is a part of the state is that part; another one is a function of the state.
      const direct = names.includes(cell.output)
        ? names.map((name) => (name === cell.output ? own.adjoint : body.full(next[name]!.type.shape, 0)))
        : adjoint(body, [own], behind);
      const total = carries.map((carried, i) => body.add(carried, direct[i]!));
      const squares = total.map((part) => body.sum(body.mul(part, part), [1]));
      const seeds = behind.map((value, i) => ({ value, adjoint: carries[i]! }));
      const stepped = adjoint(body, [...seeds, own], before);
      return {
        carries: carries.map((held, i) => body.call('select', taken, stepped[i]!, held)),
        stacks: [
          body.call(
            'sqrt',
            squares.reduce((a, b) => body.add(a, b)),
          ),
        ],
      };
    },
  );
  return on.build({ norm: stacks[0]! });
}
