/**
 * Hessian-free optimisation: a step d that makes q(d) = g'd + d'Gd/2 small, found by conjugate gradients on
 * (G + lambda I + lambda mu S) d = -g, with products of the Gauss-Newton matrix G and never its elements.
 *
 * Martens, "Deep learning via Hessian-free optimization" (2010), algorithm 2; for recurrent networks, with structural
 * damping S, Martens and Sutskever, "Learning recurrent neural networks with Hessian-free optimization" (2011); both
 * again in "Training deep and recurrent networks with Hessian-free optimization" (2012).
 */
import type { Numbers, Tensor } from '../backend/backend.js';
import type { CurvatureBatch } from '../curvature/batch-products.js';
import { ConjugateGradient, type ConjugateGradientResult } from '../curvature/conjugate-gradient.js';
import { Diagonal } from '../curvature/diagonal.js';
import { gaussNewtonOperator, type ModelOperator } from '../curvature/model-operator.js';
import { structurallyDampedOperator } from '../curvature/structural-damping.js';
import type { VectorSpace } from '../curvature/vector-space.js';
import { Scope } from '../dispose.js';
import type { Model } from '../model/model.js';
import type { Builder } from '../program/builder.js';
import { float } from '../program/program.js';
import { requireInteger, requireNumber } from '../ranges.js';
import { adaptedDamping, reductionRatio } from './damping.js';
import { vectorsOf } from './memory.js';
import { Objective } from './objective.js';
import { firstSamples } from './part-of-batch.js';
import type { SecondOrderOptimizer, SecondOrderStep } from './second-order.js';

export interface HessianFreeOptions {
  /** lambda at the beginning; from then on it follows the reduction ratio (Martens 2010, section 4.1). */
  readonly damping?: number;
  /** mu of structural damping (Martens and Sutskever 2011); 0: none. */
  readonly structuralDamping?: number;
  /** Samples of the batch, its first, that G is taken on (Martens 2010, section 4.3). All unless given. */
  readonly curvatureSamples?: number;
  /** The most iterations of conjugate gradients in a step (Martens 2010, section 5). */
  readonly cgIterations?: number;
  /** epsilon of the relative-progress stop (Martens 2010, section 4.4). */
  readonly cgProgress?: number;
  /**
   * The share of a step that the next one's conjugate gradients begin with (Martens 2010, section 4.5; the share, Martens
   * and Sutskever 2012).
   */
  readonly warmStart?: number;
  /**
   * Probes of the preconditioner diag(mean over samples of squared gradients + lambda)^0.75 (Martens 2010, section 4.7),
   * each at the cost of a gradient, since one backward pass gives no samples' gradients apart (see
   * `Objective.addSquares`). 0, and so by default: no preconditioner. On an RNN that learns the adding problem
   * and on a text it saved no iterations.
   */
  readonly probes?: number;
  /** Of the probes. */
  readonly seed?: number;
}

export const HESSIAN_FREE_DEFAULTS: Required<Omit<HessianFreeOptions, 'curvatureSamples'>> = {
  damping: 0.1,
  structuralDamping: 0,
  cgIterations: 250,
  cgProgress: 5e-4,
  warmStart: 0.95,
  probes: 0,
  seed: 1,
};

/** Martens 2010, section 4.1: how lambda follows rho. */
const DAMPING = { boost: 3 / 2, drop: 2 / 3 };
/** Martens 2010, section 4.6: spacing of the iterates that may be gone back to. */
const KEEP_EVERY = 1.3;
/** Martens 2010, section 4.7. */
const PRECONDITIONER_POWER = 0.75;
/** Martens and Sutskever 2012: Armijo's condition, and by what and how often a step is shortened. */
const LINE_SEARCH = { armijo: 1e-2, shorten: 0.8, most: 60 };

export interface HessianFreeStep extends SecondOrderStep {
  /** Iterations of conjugate gradients, and how many of them made the step. */
  readonly cgIterations: number;
  readonly cgTaken: number;
  /** rho: the reduction of the loss over that of q without damping; NaN where q has none. */
  readonly reductionRatio: number;
  /** lambda after the step. */
  readonly damping: number;
  /** The share of the step that was made; 0: none. */
  readonly distance: number;
}

export class HessianFree implements SecondOrderOptimizer {
  readonly name = 'hf';
  readonly #scope = new Scope();
  readonly #space: VectorSpace;
  readonly #objective: Objective;
  readonly #solver: ConjugateGradient;
  readonly #options: Required<HessianFreeOptions>;
  readonly #problem: { model: Model; theta: Tensor; batches: CurvatureBatch[] };
  /** lambda mu */
  readonly #coefficients = { structural: 0 };
  #operator: ModelOperator | null = null;
  readonly #gradient: Tensor;
  /** -g */
  readonly #downhill: Tensor;
  /** What conjugate gradients found last. */
  readonly #direction: Tensor;
  readonly #product: Tensor;
  readonly #squares: Tensor;
  readonly #inverse: Tensor;
  readonly #lambda: Tensor;
  #damping: number;
  #steps = 0;

  /** @throws KronogradError OPTION */
  constructor(space: VectorSpace, model: Model, theta: Tensor, options: HessianFreeOptions = {}) {
    this.#options = { ...HESSIAN_FREE_DEFAULTS, curvatureSamples: Number.MAX_SAFE_INTEGER, ...options };
    requireOptions(this.#options);
    this.#space = space;
    const { size } = model.parameters;
    this.#objective = this.#scope.own(new Objective(space, model, theta));
    this.#solver = this.#scope.own(new ConjugateGradient(space, size));
    this.#problem = { model, theta, batches: [] };
    const own = (length: number) => this.#scope.own(space.vector(length));
    [this.#gradient, this.#downhill, this.#direction] = [own(size), own(size), own(size)];
    [this.#product, this.#squares, this.#inverse] = [own(size), own(size), own(size)];
    this.#lambda = own(1);
    this.#damping = this.#options.damping;
  }

  /** @throws KronogradError DIVERGED when a gradient or a product is not finite */
  async step(batch: CurvatureBatch): Promise<HessianFreeStep> {
    const objective = this.#objective;
    const { loss, norm } = await objective.gradient(batch, this.#gradient);
    const state = await objective.stateBehind(batch);
    const before = { loss, gradientNorm: norm, state };
    this.#steps += 1;
    if (!Number.isFinite(loss))
      return {
        ...before,
        cgIterations: 0,
        cgTaken: 0,
        reductionRatio: Number.NaN,
        damping: this.#damping,
        distance: 0,
      };
    const found = await this.#solve(batch);
    const taken = await this.#bestIterate(batch, found, loss);
    const slope = await this.#space.dot(this.#gradient, taken.direction);
    const rho = reductionRatio(taken.loss - loss, await this.#modelled(taken.direction, slope));
    this.#damping = adaptedDamping(this.#damping, rho, DAMPING);
    const distance = await this.#search(batch, taken, loss, slope);
    if (distance > 0) await this.#space.combine(distance, taken.direction, 1, this.#problem.theta);
    return {
      ...before,
      cgIterations: found.iterations,
      cgTaken: taken.iteration,
      reductionRatio: rho,
      damping: this.#damping,
      distance,
    };
  }

  /** Conjugate gradients on (G + lambda I + lambda mu S) d = -g, from what is left of the last step. */
  async #solve(batch: CurvatureBatch): Promise<ConjugateGradientResult> {
    const { curvatureSamples, structuralDamping, warmStart, cgIterations, cgProgress, probes } =
      this.#options;
    this.#problem.batches = [firstSamples(this.#problem.model, batch, curvatureSamples)];
    this.#coefficients.structural = this.#damping * structuralDamping;
    await this.#space.combine(-1, this.#gradient, 0, this.#downhill);
    await this.#space.scale(warmStart, this.#direction);
    const preconditioner = probes > 0 ? await this.#preconditioner(batch) : undefined;
    return this.#solver.solve(this.#curvature(), this.#downhill, this.#direction, {
      shift: this.#damping,
      preconditioner,
      maxIterations: cgIterations,
      progress: cgProgress,
      keepEvery: KEEP_EVERY,
      // G is positive semi-definite; what rounding makes of it need not be.
      negativeCurvature: 'stop',
    });
  }

  /** G + c S. */
  #curvature(): ModelOperator {
    this.#operator ??= this.#scope.own(
      this.#options.structuralDamping > 0
        ? structurallyDampedOperator(this.#space, this.#problem, this.#coefficients)
        : gaussNewtonOperator(this.#space, this.#problem),
    );
    return this.#operator;
  }

  /** diag(squares + lambda)^-0.75 */
  async #preconditioner(batch: CurvatureBatch): Promise<Diagonal> {
    const { probes, seed } = this.#options;
    for (let probe = 0; probe < probes; probe++)
      await this.#objective.addSquares(batch, this.#squares, {
        key: [seed, (this.#steps * probes + probe) % 2 ** 31],
        kept: probe === 0 ? 0 : 1,
        share: 1 / probes,
      });
    const { size } = this.#problem.model.parameters;
    this.#lambda.write([this.#damping]);
    const build = (on: Builder) => {
      const damped = on.add(on.input('squares', float(size)), on.input('lambda', float(1)));
      const power = on.mul(on.constant(-PRECONDITIONER_POWER), on.call('log', damped));
      return { inverse: on.call('exp', power) };
    };
    const tensors = { squares: this.#squares, lambda: this.#lambda, inverse: this.#inverse };
    await this.#space.programs.run(`hf preconditioner ${size}`, build, tensors);
    return new Diagonal(this.#space, this.#inverse);
  }

  /** Backtracking through the iterates (Martens 2010, section 4.6): from the last one back as long as the loss falls. */
  async #bestIterate(
    batch: CurvatureBatch,
    { iterates }: ConjugateGradientResult,
    loss: number,
  ): Promise<Candidate> {
    let best: Candidate | null = null;
    for (const { x: direction, iteration } of [...iterates].reverse()) {
      const there = await this.#objective.loss(batch, { direction, distance: 1 });
      if (best !== null && !(there < best.loss) && best.loss < loss) break;
      if (best === null || there < best.loss || !Number.isFinite(best.loss))
        best = { direction, iteration, loss: there };
    }
    return best!;
  }

  /** q(d) = g'd + d'Gd/2, without damping. */
  async #modelled(direction: Tensor, slope: number): Promise<number> {
    this.#coefficients.structural = 0;
    await this.#curvature().apply(direction, this.#product);
    return slope + (await this.#space.dot(direction, this.#product)) / 2;
  }

  /** The first distance 1, 0.8, 0.64, ... with a sufficient decrease of the loss; 0 if there is none. */
  async #search(batch: CurvatureBatch, taken: Candidate, loss: number, slope: number): Promise<number> {
    const { direction } = taken;
    let distance = 1;
    for (let i = 0; i < LINE_SEARCH.most; i++) {
      const there = i === 0 ? taken.loss : await this.#objective.loss(batch, { direction, distance });
      if (there <= loss + LINE_SEARCH.armijo * distance * Math.min(slope, 0)) return distance;
      distance *= LINE_SEARCH.shorten;
    }
    return 0;
  }

  /** `direction` [P], and `figures`: lambda and the number of steps. */
  async memory(): Promise<Record<string, Numbers>> {
    return {
      direction: await this.#direction.read(),
      figures: Float64Array.of(this.#damping, this.#steps),
    };
  }

  restore(memory: Readonly<Record<string, Numbers>>, where: string): void {
    const { size } = this.#problem.model.parameters;
    const { direction, figures } = vectorsOf(memory, { direction: size, figures: 2 }, where);
    this.#direction.write(direction!);
    [this.#damping, this.#steps] = figures as unknown as [number, number];
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

interface Candidate {
  readonly direction: Tensor;
  /** Of conjugate gradients. */
  readonly iteration: number;
  /** After the whole step. */
  readonly loss: number;
}

function requireOptions(options: Required<HessianFreeOptions>): void {
  requireNumber(options.damping, 'damping', { above: 0 });
  requireNumber(options.structuralDamping, 'structuralDamping', { min: 0 });
  requireInteger(options.curvatureSamples, 'curvatureSamples', { min: 1 });
  requireInteger(options.cgIterations, 'cgIterations', { min: 1 });
  requireNumber(options.cgProgress, 'cgProgress', { min: 0 });
  requireNumber(options.warmStart, 'warmStart', { min: 0, max: 1 });
  requireInteger(options.probes, 'probes', { min: 0 });
  requireInteger(options.seed, 'seed', { min: 0, max: 2 ** 31 - 1 });
}
