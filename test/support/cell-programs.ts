/** A recurrent layer with its derivatives, as a program. */
import { hessianVector } from '../../src/curvature/products.js';
import { Parameters } from '../../src/model/parameters.js';
import { type RecurrentConfig, recurrent, recurrentSpecs, stateShapes } from '../../src/model/recurrent.js';
import { Builder } from '../../src/program/builder.js';
import { float, int, type Program, sizeOf, type Value } from '../../src/program/program.js';

/**
 * The gradient of sum(y^2), for y the layers' output, by each parameter; and the Hessian's product with a vector.
 * @param rate of dropout between layers.
 */
export function cellDerivatives(config: RecurrentConfig, T: number, r: number, rate = 0): Program {
  const on = new Builder();
  const x = on.input('x', float(T, r, config.input));
  // One flat vector, as models have it: a composition binds a few buffers.
  const parameters = new Parameters(recurrentSpecs(config));
  const views = (flat: Value) => parameters.specs.map(({ name }) => parameters.view(on, flat, name));
  const values = views(on.input('theta', float(parameters.size)));
  const along = views(on.input('along', float(parameters.size)));
  const named = Object.fromEntries(
    parameters.specs.map(({ name }, i) => [name.slice(`${config.cell.name}.`.length), values[i]!]),
  );
  const state = Object.fromEntries(
    Object.entries(stateShapes(config, r)).map(([name, shape]) => [
      name,
      on.input(`${name}0`, float(...shape)),
    ]),
  );
  const key = on.input('key', int(2));
  const { output } = recurrent(on, config, {
    ...{ x, state, parameter: (name) => named[name]!, key },
    dropout: rate > 0 ? { rate, key } : undefined,
  });
  const loss = on.sumAll(on.mul(output, output));
  const { gradient, product } = hessianVector(on, loss, values, along);
  return on.build({
    ...Object.fromEntries(gradient.map((g, i) => [`gradient ${i}`, g])),
    ...Object.fromEntries(product.map((h, i) => [`product ${i}`, h])),
  });
}

/** Any integers, for the input `key`. */
export const keys = (_: string, { shape }: { shape: readonly number[] }) =>
  Array.from({ length: sizeOf(shape) }, (_, i) => 7 + i);
