/** Numbers for tests: reproducible data and the comparison that every tolerance of the project is stated in. */
import { CounterRandom } from '../../src/data/random.js';
import { type Program, sizeOf, type Type } from '../../src/program/program.js';

/** max|a - b| / max|b|, 0 for two empty or zero tensors. NaN counts as infinite. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>, scale?: number): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let worst = 0;
  let largest = 0;
  for (let i = 0; i < b.length; i++) {
    const d = Math.abs(a[i]! - b[i]!);
    worst = Math.max(worst, Number.isNaN(d) ? Number.POSITIVE_INFINITY : d);
    largest = Math.max(largest, Math.abs(b[i]!));
  }
  return worst === 0 ? 0 : worst / (scale ?? (largest || 1));
}

/**
 * Throws when the largest relative difference is over the tolerance, and returns it when it is not. Needs no test
 * runner, so that it works in a page too.
 * @param scale What differences are relative to; by default max|b|.
 */
export function expectClose(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  tolerance: number,
  what = 'tensor',
  scale?: number,
): number {
  const error = relativeError(a, b, scale);
  if (error <= tolerance) return error;
  throw new Error(`${what}: largest relative difference ${error.toExponential(2)}, allowed ${tolerance}`);
}

function normals(random: CounterRandom, size: number, scale = 1): Float64Array {
  return Float64Array.from({ length: size }, () => scale * random.normal());
}

/** Standard normal data for every float input of a program; integers come from `ints` by name. */
export function randomInputs(
  program: Program,
  seed: number,
  ints: (name: string, type: Type) => ArrayLike<number> = () => [],
): Record<string, Float64Array | Int32Array> {
  const random = new CounterRandom(seed, 0);
  return Object.fromEntries(
    program.inputs.map(({ name, value: { type } }) => [
      name,
      type.dtype === 'int' ? Int32Array.from(ints(name, type)) : normals(random, sizeOf(type.shape), 0.7),
    ]),
  );
}

export const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let total = 0;
  for (let i = 0; i < a.length; i++) total += a[i]! * b[i]!;
  return total;
};
