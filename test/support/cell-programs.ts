/** A recurrent layer with its derivatives, as a program. */
import { hessianVector } from '../../src/curvature/products.js';
import {
  type RecurrentConfig,
  recurrent,
  recurrentParameters,
  stateShapes,
} from '../../src/model/recurrent.js';
import { Builder } from '../../src/program/builder.js';
import { float, int, type Program, sizeOf } from '../../src/program/program.js';

/** The gradient of sum(y^2), for y the layers' output, by each parameter; and the Hessian's product with a vector. */
export function cellDerivatives(config: RecurrentConfig, T: number, r: number): Program {
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
  const loss = on.sumAll(on.mul(output, output));
  const { gradient, product } = hessianVector(on, loss, Object.values(values), along);
  return on.build({
    ...Object.fromEntries(gradient.map((g, i) => [`gradient ${i}`, g])),
    ...Object.fromEntries(product.map((h, i) => [`product ${i}`, h])),
  });
}

/** Any integers, for the input `key`. */
export const keys = (_: string, { shape }: { shape: readonly number[] }) =>
  Array.from({ length: sizeOf(shape) }, (_, i) => 7 + i);
