/** Recurrent layers: a cell run over time, stacked, in one direction or both, with PyTorch's names and layout. */
import {
  type Cell,
  type CellSizes,
  outputFeatures as cellOutput,
  runStep,
  type StepChanges,
} from '../cells/cell.js';
import { type CellOptions, cellNamed } from '../cells/index.js';
import { KronogradError } from '../errors.js';
import type { Builder } from '../program/builder.js';
import type { Shape, Value } from '../program/program.js';
import { refused, requireNumber } from '../ranges.js';
import {
  type Dropout,
  drop,
  dropoutMasks,
  type LayerNoise,
  type Noise,
  zoneOut,
  zoneoutDraws,
} from './noise.js';
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
  /**
   * The share of h' that a sequence's products with h' do not see, the same units at each of its steps (Gal and
   * Ghahramani 2016); of cells that do not carry their output, of the whole state. 0 unless given.
   */
  readonly recurrentDropout?: number;
  /**
   * The probability that a unit of the state keeps its value over a step (Krueger et al. 2017). When the model is
   * used, each takes what is expected of it. 0 unless given.
   */
  readonly zoneout?: number;
  /**
   * What the derivatives by the cells' accumulations, the arguments of their gates, are limited to inside BPTT, step by
   * step (Sherstinsky, notes 20 and 25, which take 1; Graves 2013): no gradient then, but bounded. 0 unless given: no
   * limit. Curvature products are those of the limited derivative.
   */
  readonly clipAccumulations?: number;
  /**
   * Whether BPTT computes the steps again instead of storing what it needs of them (Chen et al. 2016): time is cut into
   * about sqrt(T) parts, of which only the states between them are kept, for one forward pass more. False unless given.
   */
  readonly recompute?: boolean | undefined;
}

/** What a model lets choose of its recurrent layers. */
export interface RecurrentOptions
  extends Noise,
    CellOptions,
    Pick<RecurrentConfig, 'hidden' | 'layers' | 'projection' | 'clipAccumulations' | 'recompute'> {
  /** By its name in `src/cells/index.ts`. */
  readonly cell: string;
}

/**
 * @throws KronogradError OPTION for an unknown cell, for heads, a context window or a projection of a cell that has none,
 * and for a projection to more features than there are units.
 */
export function recurrentConfig(
  options: RecurrentOptions,
  sizes: Pick<RecurrentConfig, 'input' | 'bidirectional'>,
): RecurrentConfig {
  const { hidden, layers, projection = 0, recurrentDropout = 0, zoneout = 0 } = options;
  const cell = cellNamed(options.cell, options);
  requireProjection(cell, { input: sizes.input, hidden, projection });
  const { clipAccumulations = 0, recompute = false } = options;
  const bptt = { recurrentDropout, zoneout, clipAccumulations, recompute };
  return { cell, ...sizes, hidden, layers, projection, ...bptt };
}

function requireProjection(cell: Cell, sizes: CellSizes): void {
  const { hidden, projection } = sizes;
  if (projection === 0) return;
  const parameters = (each: CellSizes) => Object.keys(cell.parameters(each)).length;
  if (parameters(sizes) === parameters({ ...sizes, projection: 0 }))
    throw new KronogradError('OPTION', `the cell '${cell.name}' has no projection`, {
      where: 'projection',
      fix: 'leave it out, or use lstm or augmented-lstm',
    });
  if (projection > hidden) throw refused(projection, 'projection', `an integer up to ${hidden}, the units`);
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
  /** In training, for recurrent dropout and zoneout. int[2]: a new one for each step of training. */
  readonly key?: Value | undefined;
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

/**
 * All layers: what each puts out, [T, r, directions * features], zero on masked steps, the last one's once more as
 * `output`, the final state, and each layer and direction as it ran.
 */
export function recurrent(
  on: Builder,
  config: RecurrentConfig,
  inputs: RecurrentInputs,
): { output: Value; state: Record<string, Value>; layers: StackedLayer[] } {
  const suffixes = directionsOf(config);
  const finals: Record<string, Value[]> = {};
  const layers: StackedLayer[] = [];
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
      const { recurrentDropout, zoneout, clipAccumulations, recompute } = config;
      const noise = { recurrentDropout, zoneout, key: inputs.key, index };
      const result = recurrentLayer(on, config.cell, {
        ...{ x, state, parameters, direction, mask: inputs.mask, noise, clipAccumulations, recompute },
      });
      layers.push({ ...result, name: `layer ${layer}${suffix.replace('_', ', ')}` });
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
  return { output: x, state, layers };
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
  readonly noise?: LayerNoise | undefined;
  /** As in RecurrentConfig. */
  readonly clipAccumulations?: number | undefined;
  readonly recompute?: boolean | undefined;
}

/** A layer as it ran: its results, and what each step of it saw. */
export interface LayerResult extends Pick<LayerInputs, 'parameters' | 'mask'> {
  readonly cell: Cell;
  readonly direction: 1 | -1;
  readonly zoneout: number;
  /** What the steps see of the input, [T, r, window * n] or classes [T, r]. */
  readonly x: Value;
  /** [T, r, features], zero on masked steps. */
  readonly output: Value;
  /** The state behind each sequence's end. */
  readonly state: Record<string, Value>;
  /** What was to be observed, [T, r, features]. */
  readonly observed: Record<string, Value>;
  /** The state between the steps, [T + 1, r, features]: slot t is that between steps t - 1 and t. */
  readonly states: () => Record<string, Value>;
}

/** A layer of a stack. */
export interface StackedLayer extends LayerResult {
  /** `layer 0`, or `layer 0, reverse`. */
  readonly name: string;
}

/** One cell over time, in one direction. */
export function recurrentLayer(on: Builder, cell: Cell, inputs: LayerInputs): LayerResult {
  const { x, state, parameters, direction = 1, mask, observe = [], noise } = inputs;
  const { clipAccumulations = 0, recompute = false } = inputs;
  const stateNames = Object.keys(state);
  const parameterNames = Object.keys(parameters);
  const name = (names: string[], values: readonly Value[]) =>
    Object.fromEntries(names.map((n, i) => [n, values[i]!]));
  requireNumber(clipAccumulations, 'clipAccumulations', { min: 0 });
  const seen = cell.window > 1 ? lookAhead(on, x, cell.window, mask) : x;
  const length = x.type.shape[0]!;
  const masks = noise ? dropoutMasks(on, cell, state, noise) : {};
  const zones = noise ? zoneoutDraws(on, state, length, noise) : [];
  const zoneout = noise?.zoneout ?? 0;
  const xs = [seen, ...zones, ...(mask ? [mask] : [])];
  const scan = (initial: readonly Value[], from: number, to: number) =>
    on.scan(
      {
        length: to - from,
        direction,
        constants: [...Object.values(parameters), ...Object.values(masks)],
        initial,
        xs: xs.map((v) => on.slice(v, 0, from, to - from)),
        recompute,
      },
      (body, { constants, carries, xs }) => {
        const before = name(stateNames, carries);
        const dropped = Object.fromEntries(
          Object.keys(masks).map((n, i) => [n, body.mul(before[n]!, constants[parameterNames.length + i]!)]),
        );
        const next = layerStep(body, cell, {
          ...{ x: xs[0]!, state: before, parameters: name(parameterNames, constants) },
          ...{ dropped, clipAccumulations, zoneout, draws: xs.slice(1, 1 + zones.length) },
        });
        const given = mask && xs[1 + zones.length]!;
        const keep = given && body.reshape(given, [given.type.shape[0]!, 1]);
        // Past a sequence's end the state is held (math.md 0.5).
        const held = stateNames.map((n) =>
          keep ? body.call('select', keep, next[n]!, before[n]!) : next[n]!,
        );
        const current = { ...next, ...name(stateNames, held) };
        return { carries: held, stacks: [cell.output, ...observe].map((n) => current[n]!) };
      },
    );
  const segments = segmentsOf(length, recompute ? Math.round(Math.sqrt(length)) : 1);
  let carried: readonly Value[] = Object.values(state);
  const run = (direction === 1 ? segments : segments.reverse()).map(([from, to]) => {
    const result = scan(carried, from, to);
    carried = result.finals;
    return result;
  });
  const inTime = direction === 1 ? run : run.reverse();
  const [stack, ...observed] = [cell.output, ...observe].map((_, i) =>
    on.concat(
      inTime.map(({ stacks }) => stacks[i]!),
      0,
    ),
  ) as [Value, ...Value[]];
  /** Of a part of the state, by its place: what each segment has but the last one's end, and that. */
  const history = (carry: number) => {
    const parts = inTime.map(({ node }) => on.port(node, { kind: 'history', carry }));
    const rest = parts.slice(0, -1).map((part) => on.slice(part, 0, 0, part.type.shape[0]! - 1));
    return on.concat([...rest, ...parts.slice(-1)], 0);
  };
  return {
    ...{ cell, x: seen, parameters, direction, mask, zoneout },
    output: mask ? on.mul(stack, on.reshape(mask, [...mask.type.shape, 1])) : stack,
    state: name(stateNames, carried),
    observed: name([...observe], observed),
    states: () =>
      name(
        stateNames,
        stateNames.map((_, carry) => history(carry)),
      ),
  };
}

/** [from, to) of `count` parts of about one length. */
function segmentsOf(length: number, count: number): [from: number, to: number][] {
  const at = (i: number) => Math.round((i * length) / count);
  return Array.from({ length: count }, (_, i) => [at(i), at(i + 1)]);
}

export interface LayerStep extends StepChanges {
  /** [r, window * n], or classes [r]. */
  readonly x: Value;
  /** Each part of the state before the step, [r, features]. */
  readonly state: Readonly<Record<string, Value>>;
  readonly parameters: Readonly<Record<string, Value>>;
  readonly zoneout?: number | undefined;
  /** For each part of the state, in training, what zoneout draws. */
  readonly draws?: readonly Value[];
}

/** One step of a layer: every quantity of the cell by its name, the state as the next step finds it. */
export function layerStep(on: Builder, cell: Cell, step: LayerStep): Record<string, Value> {
  const { x, state, parameters, zoneout = 0, draws = [], ...changes } = step;
  const next = runStep(cell, on, x, state, parameters, changes);
  return { ...next, ...zoneOut(on, { before: state, next, draws }, zoneout) };
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
