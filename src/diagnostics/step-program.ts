/** Steps of a layer as programs by themselves: each row is one step of one sample, whichever. */

import type { Backend, Numbers } from '../backend/backend.js';
import { type HostInputs, runOnce } from '../backend/host-program.js';
import { layerStep } from '../model/recurrent.js';
import { Builder } from '../program/builder.js';
import { float, type Shape, type Value } from '../program/program.js';
import { everyRow, type LayerTrace, type Row, rowsOf } from './layer-trace.js';

export interface Step {
  /** Each part of the state before the step, [rows, features]. */
  readonly before: Readonly<Record<string, Value>>;
  /** Every quantity of the step by its name. */
  readonly next: Readonly<Record<string, Value>>;
}

/** The inputs `parameter.*`. */
export const parameterInputs = (on: Builder, { parameters }: LayerTrace): Record<string, Value> =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, { type }]) => [name, on.input(`parameter.${name}`, type)]),
  );

export const parameterNumbers = ({ parameters }: LayerTrace): HostInputs =>
  Object.fromEntries(Object.entries(parameters).map(([name, { data }]) => [`parameter.${name}`, data]));

/** What the steps of a layer have of x, without time and samples. */
export const xShape = ({ x }: LayerTrace): Shape => x.type.shape.slice(2);

/** One step of `rows` rows, of inputs `parameter.*`, `x` and `state.*`. */
export function stepOf(on: Builder, layer: LayerTrace, rows: number): Step {
  const { cell, zoneout, x } = layer;
  const parameters = parameterInputs(on, layer);
  const before = Object.fromEntries(
    layer.parts.map(({ name, features }) => [name, on.input(`state.${name}`, float(rows, features))]),
  );
  const seen = on.input('x', { dtype: x.type.dtype, shape: [rows, ...xShape(layer)] });
  return { before, next: layerStep(on, cell, { x: seen, state: before, parameters, zoneout }) };
}

/** What `stepOf` reads at the given rows, parameters left out. */
export const rowNumbers = (layer: LayerTrace, rows: readonly Row[]): HostInputs => ({
  x: rowsOf(layer, layer.x.data, xShape(layer), rows),
  ...Object.fromEntries(
    layer.parts.map(({ name, features }) => [
      `state.${name}`,
      rowsOf(layer, layer.states[name]!, [features], rows),
    ]),
  ),
});

/** Quantities of the cell by their names, each [T, r, features], in the order in which steps run. */
export async function stepQuantities(
  backend: Backend,
  layer: LayerTrace,
  names: readonly string[],
): Promise<Record<string, Numbers>> {
  if (names.length === 0) return {};
  const { steps, samples } = layer;
  const on = new Builder();
  const { next } = stepOf(on, layer, steps * samples);
  const outputs = Object.fromEntries(names.map((name) => [`quantity.${name}`, next[name]!]));
  const inputs = { ...parameterNumbers(layer), ...rowNumbers(layer, everyRow(layer)) };
  const numbers = await runOnce(backend, on.build(outputs), inputs);
  return Object.fromEntries(names.map((name) => [name, numbers[`quantity.${name}`]!]));
}
