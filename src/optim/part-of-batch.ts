/** The first samples of a batch: the smaller batch that curvature is taken on. */
import type { Numbers } from '../backend/backend.js';
import type { CurvatureBatch } from '../curvature/batch-products.js';
import type { Model } from '../model/model.js';
import { type Shape, sizeOf } from '../program/program.js';

/**
 * The first `count` samples; the batch itself where it has no more, or where those count nothing. Its loss is a mean like
 * the batch's: where the batch has a part `weight` (see `targetTypes`), it counts that much more.
 */
export function firstSamples(model: Model, batch: CurvatureBatch, count: number): CurvatureBatch {
  const { steps, samples, state } = batch;
  if (count >= samples) return batch;
  const shapesOf = (r: number) =>
    Object.fromEntries(Object.entries(model.batchTypes(steps, r)).map(([name, { shape }]) => [name, shape]));
  const cut = (
    all: Readonly<Record<string, Numbers>>,
    shapes: (r: number) => Readonly<Record<string, Shape>>,
  ) => {
    const [from, to] = [shapes(samples), shapes(count)];
    return Object.fromEntries(
      Object.entries(all).map(([name, numbers]) => [name, corner(numbers, from[name]!, to[name]!)]),
    );
  };
  const parts = cut(batch.parts, shapesOf);
  const total = (weight: Numbers) => Array.from(weight).reduce((sum, each) => sum + each, 0);
  const counted = parts.weight ? total(parts.weight) : 1;
  if (counted === 0) return batch;
  const scale = parts.weight ? total(batch.parts.weight!) / counted : 1;
  return {
    parts,
    steps,
    samples: count,
    weight: batch.weight * scale,
    ...(state && { state: cut(state, (r) => model.stateShapes(r)) }),
  };
}

/** The first elements along the one axis in which two shapes differ. */
function corner(numbers: Numbers, from: Shape, to: Shape): Numbers {
  const axis = from.findIndex((size, i) => size !== to[i]);
  const inner = sizeOf(from.slice(axis + 1));
  const [whole, kept] = [from[axis]! * inner, to[axis]! * inner];
  const result = numbers.slice(0, sizeOf(to));
  for (let row = 0; row < sizeOf(from.slice(0, axis)); row++)
    result.set(numbers.subarray(row * whole, row * whole + kept), row * kept);
  return result;
}
