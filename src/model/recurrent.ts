/** Recurrent layers: a cell run over time, stacked, in one direction or both, with PyTorch's names and layout. */
import type { Cell, CellSizes } from '../cells/cell.js';
import { Term } from '../cells/equations.js';
import type { Builder } from '../program/builder.js';
import { type Shape, sizeOf, type Value } from '../program/program.js';

export interface RecurrentConfig {
  readonly cell: Cell;
  /** Features of x; of a one-hot input, the number of classes. */
  readonly input: number;
  readonly hidden: number;
  readonly layers: number;
  readonly bidirectional?: boolean;
  /** Features of the projected output; 0 or absent: no projection. */
  readonly projection?: number;
}

export interface Dropout {
  /** The share of a layer's outputs that the next one does not see. */
  readonly rate: number;
  /** int[2]: a new one for each step of training. */
  readonly key: Value;
}

export interface RecurrentInputs {
  /** [T, r, n], or classes [T, r] that stand for one-hot vectors. */
  readonly x: Value;
  /** Each part of the state, [layers * directions, r, features], index layer * directions + direction. */
  readonly state: Readonly<Record<string, Value>>;
  /** A parameter by its name with its suffix: `weight_ih_l0`, `weight_ih_l0_reverse`. */
  readonly parameter: (name: string) => Value;
  /** [T, r] of ones and, behind each sequence's end, zeros. */
  readonly mask?: Value | undefined;
  /** Between layers, not behind the last. */
  readonly dropout?: Dropout | undefined;
}

const directionsOf = (config: RecurrentConfig) => (config.bidirectional ? ['', '_reverse'] : ['']);

export function layerSizes(config: RecurrentConfig, layer: number): CellSizes {
  const { input, hidden, projection = 0 } = config;
  return { input: layer === 0 ? input : outputFeatures(config), hidden, projection };
}

/** Features of the last layer's output. */
export function outputFeatures(config: RecurrentConfig): number {
  const sizes = { input: config.input, hidden: config.hidden, projection: config.projection ?? 0 };
  return directionsOf(config).length * config.cell.state(sizes)[config.cell.output]!;
}

/** Names and shapes of all parameters, layer by layer, forward before reverse. */
export function recurrentParameters(config: RecurrentConfig): Record<string, Shape> {
  const shapes: Record<string, Shape> = {};
  for (let layer = 0; layer < config.layers; layer++)
    for (const suffix of directionsOf(config))
      for (const [name, shape] of Object.entries(config.cell.parameters(layerSizes(config, layer))))
        shapes[`${name}_l${layer}${suffix}`] = shape;
  return shapes;
}

/** Shapes of the state's parts for r samples. */
export function stateShapes(config: RecurrentConfig, r: number): Record<string, Shape> {
  const count = config.layers * directionsOf(config).length;
  const parts = config.cell.state(layerSizes(config, 0));
  return Object.fromEntries(Object.entries(parts).map(([name, features]) => [name, [count, r, features]]));
}

/** All layers: the last one's output [T, r, directions * features], zero on masked steps, and the final state. */
export function recurrent(
  on: Builder,
  config: RecurrentConfig,
  inputs: RecurrentInputs,
): { output: Value; state: Record<string, Value> } {
  const suffixes = directionsOf(config);
  const finals: Record<string, Value[]> = {};
  let x = inputs.x;
  for (let layer = 0; layer < config.layers; layer++) {
    const results = suffixes.map((suffix, d) => {
      const index = layer * suffixes.length + d;
      const state = Object.fromEntries(
        Object.entries(inputs.state).map(([name, all]) => {
          const [, r, features] = all.type.shape as [number, number, number];
          return [name, on.reshape(on.slice(all, 0, index, 1), [r, features])];
        }),
      );
      const names = Object.keys(config.cell.parameters(layerSizes(config, layer)));
      const parameters = Object.fromEntries(
        names.map((n) => [n, inputs.parameter(`${n}_l${layer}${suffix}`)]),
      );
      const result = layerOverTime(on, config.cell, x, state, parameters, d === 0 ? 1 : -1, inputs.mask);
      for (const [name, value] of Object.entries(result.state)) (finals[name] ??= []).push(value);
      return result.output;
    });
    const output = on.concat(results, 2);
    x = layer < config.layers - 1 && inputs.dropout ? drop(on, output, inputs.dropout, layer) : output;
  }
  const state = Object.fromEntries(
    Object.entries(finals).map(([name, values]) => [
      name,
      on.concat(
        values.map((v) => on.reshape(v, [1, ...v.type.shape])),
        0,
      ),
    ]),
  );
  return { output: x, state };
}

function layerOverTime(
  on: Builder,
  cell: Cell,
  x: Value,
  state: Readonly<Record<string, Value>>,
  parameters: Readonly<Record<string, Value>>,
  direction: 1 | -1,
  mask: Value | undefined,
): { output: Value; state: Record<string, Value> } {
  const stateNames = Object.keys(state);
  const parameterNames = Object.keys(parameters);
  const length = x.type.shape[0]!;
  const scan = on.scan(
    {
      length,
      direction,
      constants: Object.values(parameters),
      initial: Object.values(state),
      xs: mask ? [x, mask] : [x],
    },
    (body, { constants, carries, xs }) => {
      const term = (v: Value) => new Term(body, v);
      const named = (names: string[], values: readonly Value[]) =>
        Object.fromEntries(names.map((name, i) => [name, term(values[i]!)]));
      const next = cell.step(term(xs[0]!), named(stateNames, carries), named(parameterNames, constants));
      const keep = xs[1] && body.reshape(xs[1], [xs[1].type.shape[0]!, 1]);
      // Past a sequence's end the state is held (math.md 0.5).
      const held = stateNames.map((name, i) => {
        const value = next[name]!.value;
        return keep ? body.call('select', keep, value, carries[i]!) : value;
      });
      return { carries: held, stacks: [held[stateNames.indexOf(cell.output)]!] };
    },
  );
  const stack = scan.stacks[0]!;
  const output = mask ? on.mul(stack, on.reshape(mask, [...mask.type.shape, 1])) : stack;
  return { output, state: Object.fromEntries(stateNames.map((name, i) => [name, scan.finals[i]!])) };
}

/** Inverted dropout: what stays is scaled up, so that nothing changes when the model is used. */
function drop(on: Builder, x: Value, { rate, key }: Dropout, stream: number): Value {
  if (sizeOf(x.type.shape) > 2 ** 32) throw new Error('more elements than the generator can count');
  const uniform = on.random(key, x.type.shape, stream);
  return on.call(
    'select',
    on.call('greater', on.constant(rate), uniform),
    on.constant(0),
    on.mul(x, on.constant(1 / (1 - rate))),
  );
}
