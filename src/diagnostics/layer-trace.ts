/** What a recurrent layer saw and was on one batch, on the host: all that a diagnosis of its steps needs. */
import type { Numbers } from '../backend/backend.js';
import type { Cell } from '../cells/cell.js';
import { KronogradError } from '../errors.js';
import type { StackedLayer } from '../model/recurrent.js';
import { type Shape, sizeOf, type Type, type Value } from '../program/program.js';

export interface HostTensor {
  readonly type: Type;
  readonly data: Numbers;
}

/** A part of the state. */
export interface StatePart {
  readonly name: string;
  readonly features: number;
  /** Where it begins in the state as one vector. */
  readonly offset: number;
}

/** Steps are in the order in which they run, which in a reverse layer is that of time backwards. */
export interface LayerTrace {
  readonly name: string;
  readonly cell: Cell;
  readonly zoneout: number;
  /** T */
  readonly steps: number;
  /** r */
  readonly samples: number;
  readonly parameters: Readonly<Record<string, HostTensor>>;
  readonly parts: readonly StatePart[];
  /** Elements of the whole state. */
  readonly stateSize: number;
  /** What the steps see of the input, [T, r, window * n] or classes [T, r]. */
  readonly x: HostTensor;
  /** Each part of the state, [T + 1, r, features]: step t leads from slot t to slot t + 1. */
  readonly states: Readonly<Record<string, Numbers>>;
  /** [T, r]: 0 where the mask holds the state, 1 elsewhere. */
  readonly taken: Uint8Array;
}

/** The values that `readLayer` wants of a layer, as outputs of a program whose names begin with `prefix`. */
export function layerOutputs(layer: StackedLayer, prefix: string): Record<string, Value> {
  const named = (group: string, values: Readonly<Record<string, Value>>) =>
    Object.entries(values).map(([name, value]) => [`${prefix}${group}.${name}`, value]);
  return Object.fromEntries([
    ...named('parameter', layer.parameters),
    ...named('states', layer.states()),
    [`${prefix}x`, layer.x],
    ...(layer.mask ? [[`${prefix}mask`, layer.mask]] : []),
  ]);
}

/**
 * A layer from the outputs that `layerOutputs` has named.
 * @throws KronogradError DATA for a state that is not finite
 */
export function readLayer(
  layer: StackedLayer,
  prefix: string,
  outputs: Readonly<Record<string, Numbers>>,
): LayerTrace {
  const { name, cell, zoneout, direction } = layer;
  const [steps, samples] = layer.x.type.shape as [number, number];
  const read = (key: string, { type }: Value): HostTensor => ({ type, data: outputs[`${prefix}${key}`]! });
  const inOrder = (key: string, value: Value): HostTensor => {
    const { type, data } = read(key, value);
    return { type, data: direction === 1 ? data : backwards(data, type.shape) };
  };
  const parameters = Object.fromEntries(
    Object.entries(layer.parameters).map(([key, value]) => [key, read(`parameter.${key}`, value)]),
  );
  const parts: StatePart[] = [];
  const states: Record<string, Numbers> = {};
  for (const [key, value] of Object.entries(layer.states())) {
    const features = value.type.shape[2]!;
    const last = parts.at(-1);
    parts.push({ name: key, features, offset: last ? last.offset + last.features : 0 });
    states[key] = inOrder(`states.${key}`, value).data;
    requireFinite(states[key], `${name}, state '${key}'`, samples * features);
  }
  const mask = layer.mask && inOrder('mask', layer.mask).data;
  return {
    ...{ name, cell, zoneout, steps, samples, parameters, parts, states },
    stateSize: parts.reduce((n, { features }) => n + features, 0),
    x: inOrder('x', layer.x),
    taken: Uint8Array.from({ length: steps * samples }, (_, i) => (mask && mask[i] === 0 ? 0 : 1)),
  };
}

/** The slots of the first axis in reverse. */
export function backwards<T extends Numbers>(data: T, [slots]: Shape): T {
  const size = data.length / slots!;
  const turned = data.slice() as T;
  for (let slot = 0; slot < slots!; slot++)
    turned.set(data.subarray(slot * size, (slot + 1) * size), (slots! - 1 - slot) * size);
  return turned;
}

/** The rows of a tensor [T, r, ...] that are of the given steps and samples. */
export function rowsOf(
  { samples }: LayerTrace,
  data: Numbers,
  rowShape: Shape,
  rows: readonly Row[],
): Float64Array {
  const size = sizeOf(rowShape);
  const result = new Float64Array(rows.length * size);
  rows.forEach(({ step, sample }, i) => {
    const from = (step * samples + sample) * size;
    result.set(data.subarray(from, from + size), i * size);
  });
  return result;
}

/** One step of one sample. */
export interface Row {
  readonly step: number;
  readonly sample: number;
}

/** Every step of every sample, as they lie in [T, r]. */
export const everyRow = ({ steps, samples }: LayerTrace): Row[] =>
  Array.from({ length: steps * samples }, (_, i) => ({ step: Math.floor(i / samples), sample: i % samples }));

function requireFinite(data: Numbers, where: string, slotSize: number): void {
  const bad = data.findIndex((x: number) => !Number.isFinite(x));
  if (bad < 0) return;
  throw new KronogradError('DATA', `the state is ${data[bad]} after ${Math.floor(bad / slotSize)} steps`, {
    where,
    fix: 'diagnose a checkpoint from before the numbers left the finite',
  });
}
