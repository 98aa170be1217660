/** What a symmetric operator's products with random vectors tell of it: trace and Frobenius norm. */
import type { Tensor } from '../backend/backend.js';
import type { Builder } from '../program/builder.js';
import { requireInteger } from '../ranges.js';
import { notFinite, requireSquare } from './checks.js';
import type { LinearOperator } from './linear-operator.js';
import { OrthonormalBasis } from './orthonormal-basis.js';
import { precisionOf } from './precision.js';
import { drawVectors, SEED } from './random-vectors.js';
import type { VectorSpace } from './vector-space.js';

/** A mean over random probes. */
export interface Estimate {
  readonly value: number;
  /** The standard deviation of the mean, estimated from the probes. */
  readonly standardError: number;
}

export interface HutchinsonResult {
  readonly trace: Estimate;
  /** |A|_F^2, the sum of all squared elements, and of all squared eigenvalues. */
  readonly squaredFrobeniusNorm: Estimate;
}

/** Probes that go through the operator in one pass. */
const PROBES_AT_ONCE = 8;

/**
 * tr A as the mean of z'Az over Rademacher probes z, and |A|_F^2 = tr A'A as the mean of |Az|^2 over the same ones
 * (Hutchinson, 1989). The error of the trace goes with |A|_F / sqrt(probes), whatever the trace itself is.
 * @throws KronogradError OPTION for fewer than 2 probes, SHAPE for an operator that is not square, DIVERGED for products
 * that are not finite
 */
export async function hutchinson(
  operator: LinearOperator,
  { probes, seed = 0 }: { readonly probes: number; readonly seed?: number },
): Promise<HutchinsonResult> {
  requireInteger(probes, 'probes', { min: 2 });
  requireInteger(seed, 'seed', SEED);
  const n = requireSquare(operator, 'a trace', 'trace');
  const { space } = operator;
  const traces: number[] = [];
  const squares: number[] = [];
  for (let done = 0; done < probes; done += PROBES_AT_ONCE) {
    const k = Math.min(PROBES_AT_ONCE, probes - done);
    using z = space.vector(k, n);
    using product = space.vector(k, n);
    await drawVectors(space, z, 'signs', { seed, draw: done });
    await operator.apply(z, product);
    traces.push(...(await rowDots(space, z, product)));
    squares.push(...(await rowDots(space, product, product)));
  }
  return { trace: estimateOf(traces), squaredFrobeniusNorm: estimateOf(squares) };
}

/**
 * tr A by Hutch++ (Meyer, Musco, Musco and Woodruff, 2021): exact on a subspace that a third of the products finds, where
 * the large eigenvalues are, and Hutchinson's estimate outside it. The error of a semidefinite operator goes with
 * trace / products, and is none where its rank is at most a third of the products.
 * @throws KronogradError OPTION for fewer than 6 products, SHAPE for an operator that is not square, DIVERGED for products
 * that are not finite
 */
export async function hutchPlusPlus(
  operator: LinearOperator,
  { products, seed = 0 }: { readonly products: number; readonly seed?: number },
): Promise<Estimate> {
  requireInteger(products, 'products', { min: 6 });
  requireInteger(seed, 'seed', SEED);
  const n = requireSquare(operator, 'a trace', 'trace');
  const { space } = operator;
  const third = Math.floor(products / 3);
  using basis = new OrthonormalBasis(space, n, Math.min(third, n));
  using vector = space.vector(n);
  using product = space.vector(n);
  const quadraticForm = async () => {
    await operator.apply(vector, product);
    return requireFinite(await space.dot(vector, product));
  };

  const share = LEAST_ROUNDINGS * precisionOf(space.backend).roundoff;
  let within = 0;
  for (let draw = 0; draw < third; draw++) {
    await drawVectors(space, vector, 'signs', { seed, draw });
    await operator.apply(vector, product);
    const { norm } = await basis.extend(product, vector, share);
    if (requireFinite(norm) > 0) within += await quadraticForm();
  }
  const outside: number[] = [];
  for (let draw = third; draw < 2 * third; draw++) {
    await drawVectors(space, product, 'signs', { seed, draw });
    const { norm } = await basis.orthogonalise(product, vector, 0);
    outside.push(norm === 0 ? 0 : norm ** 2 * (await quadraticForm()));
  }
  const { value, standardError } = estimateOf(outside);
  return { value: within + value, standardError };
}

/** Of a product so much must stand out of the subspace, in roundings of it, to be a direction of its own. */
const LEAST_ROUNDINGS = 100;

/** x_i . y_i for each of the rows of two tensors [k, n]. */
async function rowDots(space: VectorSpace, x: Tensor, y: Tensor): Promise<number[]> {
  const [k] = x.type.shape as [number, number];
  using dots = space.vector(k);
  const build = (on: Builder) => {
    const left = on.input('x', x.type);
    const right = x === y ? left : on.input('y', y.type);
    return { dots: on.sum(on.mul(left, right), [1]) };
  };
  const tensors = { x, ...(x === y ? {} : { y }), dots };
  await space.programs.run(`row dots [${x.type.shape}] ${x === y}`, build, tensors);
  return Array.from(await dots.read(), requireFinite);
}

function estimateOf(samples: readonly number[]): Estimate {
  const { length } = samples;
  const mean = samples.reduce((sum, x) => sum + x, 0) / length;
  const variance = samples.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (length - 1);
  return { value: mean, standardError: Math.sqrt(variance / length) };
}

function requireFinite(x: number): number {
  if (Number.isFinite(x)) return x;
  throw notFinite('a product of the operator with a probe is', 'trace');
}
