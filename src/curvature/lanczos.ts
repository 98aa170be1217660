/** Eigenvalues at the ends of a symmetric operator's spectrum, and their vectors. */
import type { Tensor } from '../backend/backend.js';
import { refused, requireInteger, requireNumber } from '../ranges.js';
import { LanczosProcess } from './lanczos-process.js';
import type { LinearOperator } from './linear-operator.js';
import { precisionOf } from './precision.js';
import { SEED } from './random-vectors.js';

export interface LanczosOptions {
  /** How many of the largest eigenvalues; 0 unless given. */
  readonly largest?: number;
  /** How many of the smallest, which are the most negative ones where there are such; 0 unless given. */
  readonly smallest?: number;
  /** The error that is allowed, as a share of the eigenvalue of largest magnitude; 1e-5 unless given. */
  readonly tolerance?: number;
  /** Products at most; 200, or twice the number of eigenvalues, unless given. */
  readonly maxSteps?: number;
  /** Of the vectors that it begins with; 0 unless given. */
  readonly seed?: number;
}

/** Eigenpairs at one end of the spectrum, the outermost first. */
export interface EigenPairs {
  readonly values: readonly number[];
  /**
   * |A x - lambda x| as Lanczos knows it, |beta_m s_mi|, and the rounding of the arithmetic: so near an eigenvalue is.
   * Errors of the products themselves it cannot see.
   */
  readonly errors: readonly number[];
  /** [k, n], rows of length 1; null where none were asked for. */
  readonly vectors: Tensor | null;
}

export class LanczosResult implements Disposable {
  constructor(
    /** From the largest down. */
    readonly largest: EigenPairs,
    /** From the smallest up. */
    readonly smallest: EigenPairs,
    /** Products made. */
    readonly steps: number,
    /** Whether all errors are within the tolerance. */
    readonly converged: boolean,
    /** Bytes of the basis. */
    readonly basisBytes: number,
  ) {}

  [Symbol.dispose](): void {
    this.largest.vectors?.[Symbol.dispose]();
    this.smallest.vectors?.[Symbol.dispose]();
  }
}

/**
 * The eigenvalues at the ends of a symmetric operator's spectrum by Lanczos' method with full re-orthogonalisation.
 * Vectors stay on the backend; two numbers a step are read.
 *
 * It stops when |beta_m s_mi| of each wanted pair is at most `tolerance` times the largest magnitude of a Ritz value.
 * Where the Krylov space is invariant up to that tolerance it begins anew in the complement, and stops only when nothing
 * wanted is left there: so small matrices have their eigenvalues as often as they occur. In a space that is not invariant
 * an eigenvalue is seen once, as ever with Lanczos. At `maxSteps` it stops with what it has, and says so.
 *
 * @throws KronogradError OPTION for more eigenvalues than the operator has, SHAPE for one that is not square, DIVERGED
 * for products that are not finite, MEMORY with the numbers when the basis does not fit
 */
export async function lanczos(operator: LinearOperator, options: LanczosOptions): Promise<LanczosResult> {
  const [n] = operator.shape;
  const { largest = 0, smallest = 0, seed = 0, tolerance = 1e-5 } = options;
  const { maxSteps = Math.max(200, 2 * (largest + smallest)) } = options;
  requireInteger(largest, 'largest', { min: 0, max: n });
  requireInteger(smallest, 'smallest', { min: 0, max: n });
  if (largest + smallest < 1 || largest + smallest > n)
    throw refused(largest + smallest, 'largest + smallest', `1 to ${n} eigenvalues: the operator has ${n}`);
  requireInteger(maxSteps, 'maxSteps', { min: largest + smallest });
  requireNumber(tolerance, 'tolerance', { above: 0, below: 1 });
  requireInteger(seed, 'seed', SEED);

  const wanted = { largest, smallest };
  using process = new LanczosProcess(operator, maxSteps, { seed, draw: 0, elements: 'uniform' });
  const last = Math.min(n, maxSteps);
  let check = Math.min(last, largest + smallest);
  for (;;) {
    while (process.steps < check) await process.step();
    const converged = process.steps === n || hasConverged(process, wanted, tolerance);
    if (converged || process.steps === last) return await resultOf(process, wanted, converged);
    // The decomposition of T shall not cost more than the steps between.
    check = Math.min(last, process.steps + Math.max(1, process.steps >> 3));
  }
}

interface Wanted {
  readonly largest: number;
  readonly smallest: number;
}

/** |beta_m s_mi| of each Ritz pair of T from a row on, ascending like their values. */
function ritz(process: LanczosProcess, from = 0) {
  const { values, vectors } = process.eigen(from);
  const coupling = process.betas.at(-1)!;
  const residuals = vectors.map((vector) => Math.abs(coupling * vector.at(-1)!));
  const scale = Math.max(...values.map(Math.abs));
  return { values, vectors, residuals, scale };
}

function hasConverged(process: LanczosProcess, { largest, smallest }: Wanted, tolerance: number): boolean {
  const { values, residuals, scale } = ritz(process);
  const margin = tolerance * scale;
  const isSmall = (residual: number) => residual <= margin;
  if (![...top(residuals, largest), ...bottom(residuals, smallest)].every(isSmall)) return false;

  const ends = process.betas.map(isSmall);
  const isInvariant = ends.at(-1)!;
  // Where the newest of the spaces begins.
  const from = ends.lastIndexOf(true, -2) + 1;
  if (from === 0) return !isInvariant;
  const newest = ritz(process, from);
  if (isInvariant)
    return (
      top(newest.values, Math.min(1, largest)).every(
        (value) => value <= top(values, largest).at(-1)! + margin,
      ) &&
      bottom(newest.values, Math.min(1, smallest)).every(
        (value) => value >= bottom(values, smallest).at(-1)! - margin,
      )
    );
  return [
    ...top(newest.residuals, Math.min(1, largest)),
    ...bottom(newest.residuals, Math.min(1, smallest)),
  ].every(isSmall);
}

async function resultOf(process: LanczosProcess, wanted: Wanted, converged: boolean): Promise<LanczosResult> {
  const { values, vectors, residuals, scale } = ritz(process);
  const rounding = precisionOf(process.operator.space.backend).roundoff * scale;
  const pairs = async (pick: typeof top, k: number): Promise<EigenPairs> => ({
    values: pick(values, k),
    errors: pick(residuals, k).map((residual) => residual + rounding),
    vectors: k === 0 ? null : await process.basis.combine(pick(vectors, k)),
  });
  const largest = await pairs(top, wanted.largest);
  try {
    const smallest = await pairs(bottom, wanted.smallest);
    return new LanczosResult(largest, smallest, process.steps, converged, process.basis.bytes);
  } catch (error) {
    largest.vectors?.[Symbol.dispose]();
    throw error;
  }
}

/** The last k of a list that ascends, backwards. */
const top = <T>(ascending: readonly T[], k: number): T[] => (k === 0 ? [] : ascending.slice(-k).reverse());
const bottom = <T>(ascending: readonly T[], k: number): T[] => ascending.slice(0, k);
