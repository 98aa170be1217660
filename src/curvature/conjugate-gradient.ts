/**
 * Conjugate gradients for (A + shift I) x = b (Hestenes and Stiefel), preconditioned, with the stop and the kept
 * iterates of Hessian-free optimisation (Martens 2010, sections 4.4, 4.6 and 4.7). All vectors stay on the backend; an
 * iteration reads back five scalars, once.
 */
import type { Tensor } from '../backend/backend.js';
import { Scope } from '../dispose.js';
import { KronogradError } from '../errors.js';
import { refused, requireInteger, requireNumber } from '../ranges.js';
import { type CgReport, CgVectors } from './cg-vectors.js';
import { notFinite } from './checks.js';
import type { LinearOperator } from './linear-operator.js';
import type { VectorSpace } from './vector-space.js';

export interface ConjugateGradientOptions {
  /** Added to the diagonal of A. 0 unless given. */
  readonly shift?: number;
  /** An approximation of (A + shift I)^-1, symmetric and positive definite; none unless given. */
  readonly preconditioner?: LinearOperator | undefined;
  /** The number of unknowns unless given, and at least 1. */
  readonly maxIterations?: number;
  /** Stops when |b - (A + shift I) x| is at most this share of |b|. 1e-10 unless given; beyond float32, whose best is about 1e-6. */
  readonly tolerance?: number;
  /**
   * epsilon: stops when the last k = max(10, i / 10) of i iterations made less than k epsilon of all progress in
   * phi(x) = x' (A + shift I) x / 2 - b' x (Martens 2010, section 4.4, with 5e-4). 0, unless given: not.
   */
  readonly progress?: number;
  /**
   * gamma: keeps the iterate after 1 iteration, and of one kept after i the next after ceil(gamma i), i + 1 at least:
   * spaced like the powers of gamma that Martens keeps (2010, section 4.6, with 1.3), rounding aside. None are kept unless
   * given.
   */
  readonly keepEvery?: number;
  /** What to do about a direction p with p' (A + shift I) p <= 0. `throw` unless given. */
  readonly negativeCurvature?: 'throw' | 'stop';
}

/** The tensors are the solver's, and good until it solves again. */
export interface ConjugateGradientResult {
  readonly iterations: number;
  readonly stop: 'residual' | 'progress' | 'iterations' | 'negative curvature';
  /** |b - (A + shift I) x|, as the recurrence has it. */
  readonly residual: number;
  /** phi(x) */
  readonly phi: number;
  /** Oldest first, the last of all included; empty unless they were to be kept. */
  readonly iterates: readonly Iterate[];
  /** Where `stop` is negative curvature: the direction that has it. */
  readonly direction: Tensor | null;
}

export interface Iterate {
  readonly iteration: number;
  readonly phi: number;
  readonly x: Tensor;
}

/** Solves one system after another of the same size, in the same memory. */
export class ConjugateGradient implements Disposable {
  readonly #scope = new Scope();
  readonly #vectors: CgVectors;
  /** For kept iterates; as many as were ever needed. */
  readonly #pool: Tensor[] = [];

  constructor(
    readonly space: VectorSpace,
    /** Unknowns. */
    readonly size: number,
  ) {
    this.#vectors = this.#scope.own(new CgVectors(space, size));
  }

  /**
   * Improves x until one of the stops. b and x are [size], and different tensors.
   * @throws KronogradError SHAPE, OPTION, INDEFINITE for negative curvature unless it is to stop there, DIVERGED for
   * numbers that are not finite
   */
  async solve(
    A: LinearOperator,
    b: Tensor,
    x: Tensor,
    options: ConjugateGradientOptions = {},
  ): Promise<ConjugateGradientResult> {
    const { shift = 0, preconditioner, tolerance = 1e-10, progress = 0, keepEvery } = options;
    const { maxIterations = Math.max(this.size, 1), negativeCurvature = 'throw' } = options;
    requireInteger(maxIterations, 'maxIterations', { min: 1 });
    requireNumber(shift, 'shift', {});
    requireNumber(tolerance, 'tolerance', { min: 0 });
    requireNumber(progress, 'progress', { min: 0 });
    if (keepEvery !== undefined) requireNumber(keepEvery, 'keepEvery', { above: 1 });
    this.#requireFit(A);
    if (preconditioner) this.#requireFit(preconditioner);
    if (b === x) throw refused('one tensor', 'b and x', 'two tensors: x is written while b is read');

    const vectors = this.#vectors;
    let report = await vectors.begin(A, b, x, shift, preconditioner);
    const target = tolerance * Math.sqrt(report.bb);
    const phis = [phiOf(report)];
    const iterates: Iterate[] = [];
    let keepAt = 1;
    const finish = async (stop: ConjugateGradientResult['stop']): Promise<ConjugateGradientResult> => {
      const iterations = phis.length - 1;
      if (keepEvery !== undefined && iterates.at(-1)?.iteration !== iterations)
        iterates.push(await this.#keep(x, iterates.length, iterations, phis));
      return {
        iterations,
        stop,
        residual: Math.sqrt(report.rr),
        phi: phis.at(-1)!,
        iterates,
        direction: stop === 'negative curvature' ? vectors.direction : null,
      };
    };

    for (;;) {
      if (!Object.values(report).every(Number.isFinite))
        throw notFinite('a product or a vector is', `conjugate gradients, iteration ${phis.length - 1}`);
      if (Math.sqrt(report.rr) <= target) return finish('residual');
      if (progress > 0 && isSlow(phis, progress)) return finish('progress');
      if (phis.length > maxIterations) return finish('iterations');
      const before = report;
      report = await vectors.advance(A, b, x, shift, preconditioner);
      if (report.pAp <= 0) {
        if (negativeCurvature === 'throw') throw indefinite(phis.length, report.pAp);
        report = before;
        return finish('negative curvature');
      }
      phis.push(phiOf(report));
      const iteration = phis.length - 1;
      if (keepEvery !== undefined && iteration === keepAt) {
        iterates.push(await this.#keep(x, iterates.length, iteration, phis));
        keepAt = Math.max(keepAt + 1, Math.ceil(keepAt * keepEvery));
      }
    }
  }

  async #keep(x: Tensor, place: number, iteration: number, phis: readonly number[]): Promise<Iterate> {
    const copy = (this.#pool[place] ??= this.#scope.own(this.space.vector(this.size)));
    await this.space.combine(1, x, 0, copy);
    return { iteration, phi: phis[iteration]!, x: copy };
  }

  #requireFit({ shape }: LinearOperator): void {
    if (shape[0] === this.size && shape[1] === this.size) return;
    throw new KronogradError('SHAPE', `the operator is [${shape}], the system has ${this.size} unknowns`, {
      where: 'conjugate gradients',
      fix: `give an operator of shape [${this.size}, ${this.size}]`,
    });
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

/** x'A x / 2 - b'x, from the residual r = b - A x. */
const phiOf = ({ xbr }: CgReport): number => -xbr / 2;

/** Martens 2010, section 4.4, where i > k, phi(x_i) < 0 and (phi(x_i) - phi(x_{i-k})) / phi(x_i) < k epsilon. */
function isSlow(phis: readonly number[], epsilon: number): boolean {
  const i = phis.length - 1;
  const k = Math.max(10, Math.ceil(i / 10));
  if (i <= k) return false;
  const phi = phis[i]!;
  return phi < 0 && (phi - phis[i - k]!) / phi < k * epsilon;
}

const indefinite = (iteration: number, curvature: number) =>
  new KronogradError(
    'INDEFINITE',
    `the operator is not positive definite: p'Ap = ${curvature} in a direction p`,
    {
      where: `conjugate gradients, iteration ${iteration}`,
      fix: "raise the shift, use the Gauss-Newton matrix, or ask for negativeCurvature: 'stop'",
    },
  );
