/** Programs on a fixture's values: built from its network, run once, and compared. */
import type { Backend } from '../backend/backend.js';
import { runOnce as runOnHost } from '../backend/host-program.js';
import { KronogradError } from '../errors.js';
import type { Builder } from '../program/builder.js';
import { float, type Value } from '../program/program.js';
import { type FixtureCase, type Tensors, tensors } from './fixture.js';
import type { Network, System } from './system.js';

/** The case's parameters and data as inputs, and its network on them. */
export function declare(on: Builder, system: System, given: FixtureCase) {
  const inputs = (group: Tensors): Record<string, Value> =>
    Object.fromEntries(
      Object.entries(group).map(([name, { shape }]) => [name, on.input(name, float(...shape))]),
    );
  const params = inputs(given.params);
  const data = inputs(given.data);
  const network: Network = system.build(on, given, { params, data });
  return { params, data, network };
}

/** Runs a program once on the inputs' values: its outputs by name. */
export async function runOnce(
  backend: Backend,
  on: Builder,
  outputs: Readonly<Record<string, Value>>,
  inputs: Tensors,
): Promise<Record<string, Float64Array>> {
  const numbers = await runOnHost(backend, on.build(outputs), dataOf(inputs));
  return Object.fromEntries(Object.entries(numbers).map(([name, data]) => [name, Float64Array.from(data)]));
}

const dataOf = (group: Tensors) =>
  Object.fromEntries(Object.entries(group).map(([name, { data }]) => [name, data]));

/** max|a - b| / max|b|; infinite for NaN or another length. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  let scale = 0;
  for (let i = 0; i < b.length; i++) {
    const d = Math.abs(a[i]! - b[i]!);
    if (Number.isNaN(d)) return Number.POSITIVE_INFINITY;
    worst = Math.max(worst, d);
    scale = Math.max(scale, Math.abs(b[i]!));
  }
  return worst === 0 ? 0 : worst / scale;
}

export const prefixed = (prefix: string, group: Tensors): Tensors =>
  Object.fromEntries(Object.entries(group).map(([name, t]) => [`${prefix}${name}`, t]));

/** The tensors of a part of a case. @throws KronogradError FIXTURE naming the place */
export const asTensors = (json: unknown, given: FixtureCase, at: string): Tensors =>
  tensors(json, at, (place, what) => {
    throw new KronogradError('FIXTURE', what, { where: `${given.name}, ${place}` });
  });
