/** A layer of a cell with random parameters, run in float64 and traced. */
import { interpret } from '../../src/backend/cpu/interpret.js';
import type { Cell } from '../../src/cells/cell.js';
import { CounterRandom } from '../../src/data/random.js';
import { type LayerTrace, layerOutputs, readLayer } from '../../src/diagnostics/layer-trace.js';
import { recurrentLayer } from '../../src/model/recurrent.js';
import { Builder } from '../../src/program/builder.js';
import { float, type Shape, sizeOf, type Value } from '../../src/program/program.js';

export interface TracedSpec {
  readonly cell: Cell;
  readonly T?: number;
  readonly r?: number;
  readonly input?: number;
  readonly hidden?: number;
  readonly projection?: number;
  readonly direction?: 1 | -1;
  /** Steps of each sample, from the first. */
  readonly lengths?: readonly number[];
  readonly zoneout?: number;
  readonly seed?: number;
  /** The deviation of the parameters' elements. */
  readonly scale?: number;
  /** Parameters that are not to be random, in whole. */
  readonly parameters?: Readonly<Record<string, readonly number[]>>;
}

export interface Traced {
  readonly trace: LayerTrace;
  /** Every input of the layer: `x`, `mask`, `parameter.*`, `state.*` before the first step. */
  readonly inputs: Record<string, Float64Array>;
  readonly shapes: Record<string, Shape>;
}

export function tracedLayer(spec: TracedSpec): Traced {
  const { cell, T = 5, r = 2, input = 3, hidden = 4, projection = 0, direction = 1, seed = 7 } = spec;
  const { lengths, zoneout = 0, scale = 0.6 } = spec;
  const sizes = { input, hidden, projection };
  const random = new CounterRandom(seed);
  const shapes: Record<string, Shape> = { x: [T, r, input] };
  for (const [name, shape] of Object.entries(cell.parameters(sizes))) shapes[`parameter.${name}`] = shape;
  for (const [name, n] of Object.entries(cell.state(sizes))) shapes[`state.${name}`] = [r, n];
  const inputs = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const given = spec.parameters?.[name.replace('parameter.', '')];
      const deviation = name.startsWith('parameter.') ? scale : 1;
      return [name, given ? Float64Array.from(given) : drawn(random, sizeOf(shape), deviation)];
    }),
  );
  if (lengths) {
    shapes.mask = [T, r];
    inputs.mask = Float64Array.from({ length: T * r }, (_, i) =>
      Math.floor(i / r) < lengths[i % r]! ? 1 : 0,
    );
  }
  const on = new Builder();
  const values = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [name, on.input(name, float(...shape))]),
  );
  const result = recurrentLayer(on, cell, {
    ...{ x: values.x!, mask: values.mask, direction, noise: { zoneout, index: 0 } },
    state: withoutPrefix(values, 'state.'),
    parameters: withoutPrefix(values, 'parameter.'),
  });
  const layer = { ...result, name: 'layer 0' };
  const outputs = interpret(on.build(layerOutputs(layer, 'layer.')), inputs);
  return { trace: readLayer(layer, 'layer.', outputs), inputs, shapes };
}

export const withoutPrefix = (
  values: Readonly<Record<string, Value>>,
  prefix: string,
): Record<string, Value> =>
  Object.fromEntries(
    Object.entries(values)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, value]) => [name.slice(prefix.length), value]),
  );

const drawn = (random: CounterRandom, size: number, deviation: number) =>
  Float64Array.from({ length: size }, () => deviation * random.normal());
