/** Random vectors made where they are needed: the same seed gives the same numbers on every backend. */
import type { Tensor } from '../backend/backend.js';
import type { Builder } from '../program/builder.js';
import { int, type Value } from '../program/program.js';
import type { VectorSpace } from './vector-space.js';

/** What each element is: -1 or 1 (Rademacher), or uniform between them. Either way of mean 0, and independent. */
export type Elements = 'signs' | 'uniform';

/** Seeds of 32 bits are keys of the generator. */
export const SEED = { min: 0, max: 2 ** 32 - 1 };

/** The generator's streams, one for each kind of element. */
const STREAMS: Readonly<Record<Elements, number>> = { signs: 0, uniform: 1 };

/** y <- random elements. Different draws of one seed are independent. */
export async function drawVectors(
  space: VectorSpace,
  y: Tensor,
  elements: Elements,
  { seed, draw }: { readonly seed: number; readonly draw: number },
): Promise<void> {
  const { shape } = y.type;
  using key = space.backend.tensor(int(2));
  key.write([seed | 0, draw]);
  const build = (on: Builder) => {
    const unit = on.random(on.input('key', int(2)), shape, STREAMS[elements]);
    return { y: elements === 'signs' ? signs(on, unit) : uniform(on, unit) };
  };
  await space.programs.run(`${elements} [${shape}]`, build, { key, y });
}

const signs = (on: Builder, unit: Value) =>
  on.call('select', on.call('greater', on.constant(0.5), unit), on.constant(1), on.constant(-1));

const uniform = (on: Builder, unit: Value) => on.sub(on.mul(unit, on.constant(2)), on.constant(1));
