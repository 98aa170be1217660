/** What is drawn in training: dropout between layers, recurrent dropout and zoneout inside of them. */
import type { Cell } from '../cells/cell.js';
import { KronogradError } from '../errors.js';
import type { Builder } from '../program/builder.js';
import { type Shape, sizeOf, type Value } from '../program/program.js';

export interface Dropout {
  /** The share of a layer's outputs that the next one does not see. */
  readonly rate: number;
  /** int[2]: a new one for each step of training. */
  readonly key: Value;
}

export interface Noise {
  readonly recurrentDropout?: number | undefined;
  readonly zoneout?: number | undefined;
}

export interface LayerNoise extends Noise {
  /** int[2] in training; absent when the model is used. */
  readonly key?: Value | undefined;
  /** Which layer and direction of a stack: layers of different indices draw independently. */
  readonly index: number;
}

/** What reads a key in training, besides dropout between layers. */
export const isRandom = ({ recurrentDropout = 0, zoneout = 0 }: Noise): boolean =>
  recurrentDropout > 0 || zoneout > 0;

/**
 * Streams of the generator. Dropout behind layer l draws from stream l; what is drawn inside a layer comes from above
 * all of those, and there a stream is one use, one layer and direction, and one part of the state.
 */
const STREAMS = { recurrentDropout: 2 ** 28, zoneout: 2 ** 29 };
const MOST_PARTS = 16;

function streamOf(use: keyof typeof STREAMS, index: number, part: number): number {
  if (part >= MOST_PARTS || index >= 2 ** 20)
    throw new KronogradError(
      'OPTION',
      'more layers or parts of the state than the generator has streams for',
      {
        where: use,
        fix: 'leave it out, or use fewer layers',
      },
    );
  return STREAMS[use] + index * MOST_PARTS + part;
}

/** For each part of the state that products see in part: 0 where it is dropped, scaled up where it stays. */
export function dropoutMasks(
  on: Builder,
  cell: Cell,
  state: Readonly<Record<string, Value>>,
  { recurrentDropout: rate = 0, key, index }: LayerNoise,
): Record<string, Value> {
  if (rate === 0 || key === undefined) return {};
  const names = cell.output in state ? [cell.output] : Object.keys(state);
  return Object.fromEntries(
    names.map((n, part) => {
      const uniform = draw(on, key, state[n]!.type.shape, streamOf('recurrentDropout', index, part));
      const isDropped = on.call('greater', on.constant(rate), uniform);
      return [n, on.call('select', isDropped, on.constant(0), on.constant(1 / (1 - rate)))];
    }),
  );
}

/** For each part of the state, in training: a draw [T, r, features] for each unit and step. */
export function zoneoutDraws(
  on: Builder,
  state: Readonly<Record<string, Value>>,
  length: number,
  { zoneout: rate = 0, key, index }: LayerNoise,
): Value[] {
  if (rate === 0 || key === undefined) return [];
  return Object.values(state).map((before, part) =>
    draw(on, key, [length, ...before.type.shape], streamOf('zoneout', index, part)),
  );
}

/** The state of which each unit keeps its value with probability `rate`; without draws, the mean of that. */
export function zoneOut(
  on: Builder,
  step: { before: Record<string, Value>; next: Record<string, Value>; draws: readonly Value[] },
  rate: number,
): Record<string, Value> {
  const { before, next, draws } = step;
  return Object.fromEntries(
    Object.entries(before).map(([n, old], i) => {
      if (rate === 0) return [n, next[n]!];
      const uniform = draws[i];
      if (uniform === undefined)
        return [n, on.add(next[n]!, on.mul(on.constant(rate), on.sub(old, next[n]!)))];
      return [n, on.call('select', on.call('greater', on.constant(rate), uniform), old, next[n]!)];
    }),
  );
}

/** Inverted dropout: what stays is scaled up, so that nothing changes when the model is used. */
export function drop(on: Builder, x: Value, { rate, key }: Dropout, stream: number): Value {
  const uniform = draw(on, key, x.type.shape, stream);
  return on.call(
    'select',
    on.call('greater', on.constant(rate), uniform),
    on.constant(0),
    on.mul(x, on.constant(1 / (1 - rate))),
  );
}

/** Uniform numbers in [0, 1). */
function draw(on: Builder, key: Value, shape: Shape, stream: number): Value {
  if (sizeOf(shape) > 2 ** 32) throw new Error('more elements than the generator can count');
  return on.random(key, shape, stream);
}
