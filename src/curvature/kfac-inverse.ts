/**
 * Damped inverses of Kronecker factors, by products alone, so that they are made where the factors are and nothing is read
 * back. Even the CPU's float32 takes 0.5 s for 512 rows, where a Cholesky decomposition on the host takes 4 s.
 */
import type { Builder } from '../program/builder.js';
import { float, type Value } from '../program/program.js';
import type { KroneckerPair } from './kfac-blocks.js';
import type { FactorTensors } from './kfac-factors.js';
import { unitMatrix } from './unit-matrix.js';
import type { VectorSpace } from './vector-space.js';

/**
 * Largest condition number of a damped factor: what is damped less than that is damped as much. Beyond it, float32 could
 * not tell the smallest eigenvalue from rounding.
 */
const CONDITION = 1e6;

/** For a matrix of that condition delta grows from 2e-6 to 1 - 1e-14. */
const ITERATIONS = 14;

/** Traces below it are those of a factor of zero. */
const SMALLEST_TRACE = 1e-20;

/**
 * (left + s / pi I)^-1 and (right + s pi I)^-1, for the root s of the damping, []: what comes nearest to
 * (left (x) right + s^2 I)^-1 and still is a Kronecker product (Martens and Grosse 2015, section 6.3). pi^2 is the mean
 * eigenvalue of right over that of left.
 */
export function dampedInverses(
  on: Builder,
  { left, right }: KroneckerPair,
  rootDamping: Value,
): KroneckerPair {
  const pi = on.call('sqrt', on.call('div', meanEigenvalue(on, right), meanEigenvalue(on, left)));
  return {
    left: dampedInverse(on, left, on.call('div', rootDamping, pi)),
    right: dampedInverse(on, right, on.mul(rootDamping, pi)),
  };
}

/** into <- `dampedInverses` of the factors of each block. Queued like any run. */
export async function invertFactors(
  space: VectorSpace,
  factors: readonly FactorTensors[],
  into: readonly FactorTensors[],
  damping: number,
): Promise<void> {
  using root = space.vector(1);
  root.write([Math.sqrt(damping)]);
  for (const [i, { left, right }] of factors.entries())
    await space.programs.run(
      `damped inverses [${left.type.shape}] [${right.type.shape}]`,
      (on) => {
        const pair = { left: on.input('left', left.type), right: on.input('right', right.type) };
        const inverse = dampedInverses(on, pair, on.reshape(on.input('root', float(1)), []));
        return { inverseLeft: inverse.left, inverseRight: inverse.right };
      },
      { left, right, root, inverseLeft: into[i]!.left, inverseRight: into[i]!.right },
    );
}

function meanEigenvalue(on: Builder, factor: Value): Value {
  const mean = on.mul(trace(on, factor), on.constant(1 / factor.type.shape[0]!));
  return on.call('max', mean, on.constant(SMALLEST_TRACE));
}

const trace = (on: Builder, factor: Value): Value =>
  on.sumAll(factor.type.shape.length === 1 ? factor : on.mul(factor, unitMatrix(on, factor.type.shape[0]!)));

/** (A + damping I)^-1 for a semidefinite A [d, d], or a diagonal one [d]; damping []. */
function dampedInverse(on: Builder, a: Value, damping: Value): Value {
  if (a.type.shape.length === 1) return on.call('div', on.constant(1), on.add(a, damping));
  // No eigenvalue is above the Frobenius norm.
  const norm = on.call('sqrt', on.sumAll(on.mul(a, a)));
  const least = on.call('max', damping, on.mul(norm, on.constant(1 / CONDITION)));
  const eye = unitMatrix(on, a.type.shape[0]!);
  const damped = on.add(a, on.mul(eye, least));
  return newtonInverse(on, damped, { least, most: on.add(norm, least) });
}

/**
 * The inverse of a symmetric M with eigenvalues in [least, most]: X <- c X (2 I - M X), Newton's iteration with the
 * scaling of Pan and Schreiber (1991). Eigenvalues of M X lie within delta .. 2 - delta, and c brings them, then within
 * 1 - (1 - delta)^2 .. 1, about 1 again; while delta is small it grows fourfold instead of twofold. X is definite
 * throughout.
 */
function newtonInverse(
  on: Builder,
  m: Value,
  bounds: { readonly least: Value; readonly most: Value },
): Value {
  const middle = on.call('div', on.constant(2), on.add(bounds.least, bounds.most));
  const first = on.mul(unitMatrix(on, m.type.shape[0]!), middle);
  const { finals } = on.scan(
    { length: ITERATIONS, constants: [m], initial: [first, on.mul(bounds.least, middle)], xs: [] },
    (body, { constants: [m], carries: [x, delta] }) => {
      const c = (value: number) => body.constant(value);
      const square = body.mul(delta!, delta!);
      const twice = body.mul(c(2), delta!);
      const below = body.sub(body.add(c(1), twice), square);
      const scale = body.call('div', c(2), below);
      const next = body.call('div', body.mul(c(2), body.sub(twice, square)), below);
      const refined = body.sub(body.mul(c(2), x!), body.gemm(x!, body.gemm(m!, x!)));
      return { carries: [body.mul(refined, scale), next] };
    },
  );
  return finals[0]!;
}
