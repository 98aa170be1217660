/** Recurrent layers: a cell run over time, stacked, in one direction or both, with PyTorch's names and layout. */
import { type Cell, type CellSizes, outputFeatures as cellOutput, runStep } from '../cells/cell.js';
import type { Builder } from '../program/builder.js';
import { type Shape, sizeOf, type Value } from '../program/program.js';
import type { ParameterSpec } from './parameters.js';

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

function layerSizes(config: RecurrentConfig, layer: number): CellSizes {
  const { input, hidden, projection = 0 } = config;
  return { input: layer === 0 ? input : outputFeatures(config), hidden, projection };
}

/** Features of the last layer's output. */
export function outputFeatures(config: RecurrentConfig): number {
  const sizes = { input: config.input, hidden: config.hidden, projection: config.projection ?? 0 };
  return directionsOf(config).length * cellOutput(config.cell, sizes);
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

/**
 * The same as parts of a model, named after the cell; each U(+-1/sqrt(hidden)) as PyTorch's layers begin, where the
 * cell does not say otherwise.
 */
export function recurrentSpecs(config: RecurrentConfig): ParameterSpec[] {
  const { cell, hidden } = config;
  const random = { kind: 'uniform', scale: 1 / Math.sqrt(hidden) } as const;
  return Object.entries(recurrentParameters(config)).map(([name, shape]) => {
    const begin = cell.beginsAs?.[name.replace(/_l\d+(_reverse)?$/, '')];
    const init = begin === undefined ? random : ({ kind: 'constant', scale: begin } as const);
    return { name: `${cell.name}.${name}`, shape, init };
  });
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
      const direction = d === 0 ? 1 : -1;
      const result = recurrentLayer(on, config.cell, { x, state, parameters, direction, mask: inputs.mask });
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

export interface LayerInputs {
  readonly x: Value;
  /** Each part of the state, [r, features]. */
  readonly state: Readonly<Record<string, Value>>;
  readonly parameters: Readonly<Record<string, Value>>;
  readonly direction?: 1 | -1;
  readonly mask?: Value | undefined;
  /** Quantities of the step, by name, whose values at every step are wanted. */
  readonly observe?: readonly string[];
}

export interface LayerResult {
  /** [T, r, features], zero on masked steps. */
  readonly output: Value;
  /** The state behind each sequence's end. */
  readonly state: Record<string, Value>;
  /** What was to be observed, [T, r, features]. */
  readonly observed: Record<string, Value>;
}

/** One cell over time, in one direction. */
export function recurrentLayer(on: Builder, cell: Cell, inputs: LayerInputs): LayerResult {
  const { x, state, parameters, direction = 1, mask, observe = [] } = inputs;
  const stateNames = Object.keys(state);
  const parameterNames = Object.keys(parameters);
  const name = (names: string[], values: readonly Value[]) =>
    Object.fromEntries(names.map((n, i) => [n, values[i]!]));
  const seen = cell.window > 1 ? lookAhead(on, x, cell.window, mask) : x;
  const scan = on.scan(
    {
      length: x.type.shape[0]!,
      direction,
      constants: Object.values(parameters),
      initial: Object.values(state),
      xs: mask ? [seen, mask] : [seen],
    },
    (body, { constants, carries, xs }) => {
      const next = runStep(cell, body, xs[0]!, name(stateNames, carries), name(parameterNames, constants));
      const keep = xs[1] && body.reshape(xs[1], [xs[1].type.shape[0]!, 1]);
      // Past a sequence's end the state is held (math.md 0.5).
      const held = stateNames.map((n, i) =>
        keep ? body.call('select', keep, next[n]!, carries[i]!) : next[n]!,
      );
      const current = { ...next, ...name(stateNames, held) };
      return { carries: held, stacks: [cell.output, ...observe].map((n) => current[n]!) };
    },
  );
  const [stack, ...observed] = scan.stacks as [Value, ...Value[]];
  const output = mask ? on.mul(stack, on.reshape(mask, [...mask.type.shape, 1])) : stack;
  return { output, state: name(stateNames, scan.finals), observed: name([...observe], observed) };
}

/** [T, r, n] -> [T, r, window * n]: each step beside those that follow it, zero behind a sequence's end. */
function lookAhead(on: Builder, x: Value, window: number, mask: Value | undefined): Value {
  const [length, r, n] = x.type.shape as [number, number, number];
  const valid = mask ? on.mul(x, on.reshape(mask, [length, r, 1])) : x;
  const ahead = Array.from({ length: window }, (_, l) => {
    if (l === 0) return valid;
    if (l >= length) return on.full([length, r, n], 0);
    return on.concat([on.slice(valid, 0, l, length - l), on.full([l, r, n], 0)], 0);
  });
  return on.concat(ahead, 2);
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
