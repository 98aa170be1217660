/**
 * K-FAC (Martens and Grosse 2015, algorithm 2): steps of the damped inverse of a Kronecker-factored Fisher matrix, its
 * factors averaged over the steps, with the learning rate and the momentum that minimise the quadratic model of the exact
 * Gauss-Newton matrix. There is no rate to tune. On recurrent networks the steps of a sequence count as vectors of their
 * own or as one (`time`; Eschenhagen et al. 2023).
 */
import type { Numbers, Tensor } from '../backend/backend.js';
import type { CurvatureBatch } from '../curvature/batch-products.js';
import { KfacOperator } from '../curvature/kfac.js';
import { factorTensors, KfacFactors, type KfacOptions, named } from '../curvature/kfac-factors.js';
import { invertFactors } from '../curvature/kfac-inverse.js';
import { gaussNewtonOperator, type ModelOperator } from '../curvature/model-operator.js';
import type { VectorSpace } from '../curvature/vector-space.js';
import { Scope } from '../dispose.js';
import type { Model } from '../model/model.js';
import type { Builder } from '../program/builder.js';
import { float, sizeOf, type Value } from '../program/program.js';
import { requireBoolean, requireChoice, requireInteger, requireNumber } from '../ranges.js';
import { adaptedDamping, reductionRatio } from './damping.js';
import { vectorsOf } from './memory.js';
import { Objective } from './objective.js';
import type { SecondOrderOptimizer, SecondOrderStep } from './second-order.js';

export interface KfacTrainingOptions extends Pick<KfacOptions, 'time' | 'seed'> {
  /** What flows back into the factors. `exact`, of so many passes, is for the operator alone. */
  readonly source?: 'sampled' | 'empirical';
  /** lambda at the beginning; from then on it follows the reduction ratio. */
  readonly damping?: number;
  /** eta: eta/2 |theta|^2 joins the loss, and eta I its curvature. */
  readonly weightDecay?: number;
  /** The share of the factors that a step keeps, once so many steps have been that the mean of all keeps no more. */
  readonly averaging?: number;
  /** T3: steps from one inverse to the next; the first three have one each. */
  readonly invertEvery?: number;
  /** T1: steps from one adaptation of lambda to the next. */
  readonly adaptEvery?: number;
  /** Whether the last step joins the next one, by as much as the quadratic model says (section 7). */
  readonly momentum?: boolean;
}

/** Martens and Grosse 2015, sections 5, 6.5 and 8; but lambda is for losses of order 1, where they begin at 150. */
export const KFAC_DEFAULTS: Required<KfacTrainingOptions> = {
  source: 'sampled',
  time: 'expand',
  seed: 0,
  damping: 0.1,
  weightDecay: 0,
  averaging: 0.95,
  invertEvery: 20,
  adaptEvery: 5,
  momentum: true,
};

/** Section 6.5: by a step's 19/20 down where the model is good, up where it is not. */
const DROP = 19 / 20;
/** Below this share of what it could be, a determinant is that of two directions that are one. */
const LEAST_DETERMINANT = 1e-6;

export interface KfacStep extends SecondOrderStep {
  /** alpha and mu: how much of the direction and of the last step is in the step. */
  readonly rate: number;
  readonly momentum: number;
  /** rho, of the steps that adapt lambda (NaN where the model said no reduction); null of others. */
  readonly reductionRatio: number | null;
  /** lambda after the step. */
  readonly damping: number;
}

export class Kfac implements SecondOrderOptimizer {
  readonly name = 'kfac';
  readonly #scope = new Scope();
  readonly #options: Required<KfacTrainingOptions>;
  readonly #objective: Objective;
  readonly #factors: KfacFactors;
  readonly #problem: { model: Model; theta: Tensor; batches: CurvatureBatch[] };
  #curvature: ModelOperator | null = null;
  /** Of the damped factors; made with the first batch, which shows what the blocks are. */
  #inverse: KfacOperator | null = null;
  /** What `restore` was given, until there is where it belongs. */
  #restored: { readonly memory: Readonly<Record<string, Numbers>>; readonly where: string } | null = null;
  readonly #gradient: Tensor;
  /** K^-1 g */
  readonly #direction: Tensor;
  /** delta: the last step. */
  readonly #update: Tensor;
  /** What the next step is made of, -K^-1 g and delta, [2, P], and its products with the Gauss-Newton matrix. */
  readonly #pair: Tensor;
  readonly #products: Tensor;
  readonly #figures: Tensor;
  #damping: number;
  #steps = 0;

  /** @throws KronogradError OPTION */
  constructor(
    private readonly space: VectorSpace,
    model: Model,
    theta: Tensor,
    options: KfacTrainingOptions = {},
  ) {
    this.#options = { ...KFAC_DEFAULTS, ...options };
    requireOptions(this.#options);
    const { size } = model.parameters;
    const own = (...shape: number[]) => this.#scope.own(space.vector(...shape));
    this.#objective = this.#scope.own(new Objective(space, model, theta));
    this.#factors = this.#scope.own(new KfacFactors(space, model, theta, this.#options));
    this.#problem = { model, theta, batches: [] };
    [this.#gradient, this.#direction, this.#update] = [own(size), own(size), own(size)];
    [this.#pair, this.#products, this.#figures] = [own(2, size), own(2, size), own(12)];
    this.#damping = this.#options.damping;
  }

  /**
   * @throws KronogradError PROGRAM for a parameter that is not used linearly, MEMORY, and, in the first step after
   * `restore`, CHECKPOINT
   */
  async step(batch: CurvatureBatch): Promise<KfacStep> {
    const { weightDecay, invertEvery, adaptEvery } = this.#options;
    const { space } = this;
    const { theta } = this.#problem;
    const inverse = await this.#prepare(batch);
    const { loss, norm } = await this.#objective.gradient(batch, this.#gradient);
    const state = await this.#objective.stateBehind(batch);
    const before = { loss, gradientNorm: norm, state };
    this.#steps += 1;
    if (!Number.isFinite(loss))
      return { ...before, rate: 0, momentum: 0, reductionRatio: null, damping: this.#damping };
    if (weightDecay > 0) await space.combine(weightDecay, theta, 1, this.#gradient);
    await this.#gather(batch);
    if (this.#steps <= 3 || this.#steps % invertEvery === 0)
      await invertFactors(space, this.#factors.tensors, inverse.factors, this.#damping + weightDecay);
    await inverse.apply(this.#gradient, this.#direction);
    const model = await this.#quadraticModel(batch);
    const { rate, momentum } = minimum(model, this.#options.momentum);
    await space.combine(-rate, this.#direction, momentum, this.#update);
    await space.combine(1, this.#update, 1, theta);
    const adapts = this.#steps % adaptEvery === 0;
    const rho = adapts ? await this.#reductionRatio(batch, loss, model, [rate, momentum]) : null;
    if (rho !== null) {
      const drop = DROP ** adaptEvery;
      this.#damping = adaptedDamping(this.#damping, rho, { boost: 1 / drop, drop });
    }
    return { ...before, rate, momentum, reductionRatio: rho, damping: this.#damping };
  }

  /** What batches of that shape need. */
  async #prepare(batch: CurvatureBatch): Promise<KfacOperator> {
    await this.#factors.prepare(batch);
    if (this.#inverse === null) {
      const { blocks } = this.#factors;
      const tensors = factorTensors(this.space, blocks, this.#scope);
      const { size } = this.#problem.model.parameters;
      this.#inverse = new KfacOperator(this.space, size, blocks, tensors, this.#scope);
    }
    if (this.#restored !== null) this.#load(this.#restored.memory, this.#restored.where);
    this.#restored = null;
    return this.#inverse;
  }

  /** The batch's factors into the averages (section 5): the mean of all so far, and then one that forgets. */
  async #gather(batch: CurvatureBatch): Promise<void> {
    const kept = Math.min(1 - 1 / this.#steps, this.#options.averaging);
    const fresh = 1 - kept;
    const { counts } = await this.#factors.prepare(batch);
    const shares = counts.map((count) => fresh / count);
    await this.#factors.add(batch, this.#steps, { kept, fresh, shares });
  }

  /** M(c) = b'c + c'A c / 2, for the steps c[0] (-K^-1 g) + c[1] delta (sections 6.4 and 7). */
  async #quadraticModel(batch: CurvatureBatch): Promise<QuadraticModel> {
    const { model, theta } = this.#problem;
    const { size } = model.parameters;
    const pair = this.#pair;
    const [direction, update] = [this.#direction, this.#update];
    const stack = (on: Builder) => {
      const row = (name: string) => on.reshape(on.input(name, float(size)), [1, size]);
      return { pair: on.concat([on.call('neg', row('direction')), row('update')], 0) };
    };
    await this.space.programs.run(`kfac pair ${size}`, stack, { direction, update, pair });
    this.#problem.batches = [batch];
    this.#curvature ??= this.#scope.own(gaussNewtonOperator(this.space, this.#problem));
    await this.#curvature.apply(pair, this.#products);
    await this.space.programs.run(`kfac figures ${size}`, (on) => ({ figures: figures(on, size) }), {
      ...{ pair, theta, gradient: this.#gradient, products: this.#products, figures: this.#figures },
    });
    const numbers = Array.from(await this.#figures.read());
    const shift = this.#damping + this.#options.weightDecay;
    const squares = numbers.slice(4, 8);
    return {
      curvature: squares.map((n, i) => numbers[i]! + shift * n),
      slope: numbers.slice(8, 10),
      squares,
      alongTheta: numbers.slice(10),
    };
  }

  /** rho = what the loss with its penalty has fallen by over what the model said, after a step c from the loss before. */
  async #reductionRatio(
    batch: CurvatureBatch,
    before: number,
    model: QuadraticModel,
    c: readonly number[],
  ): Promise<number> {
    const after = await this.#objective.loss(batch);
    const penalty = this.#options.weightDecay * (dot(model.alongTheta, c) + quadratic(model.squares, c) / 2);
    return reductionRatio(after + penalty - before, dot(model.slope, c) + quadratic(model.curvature, c) / 2);
  }

  /** The last step, `figures`, lambda and the number of steps, and the factors and inverses of every block. */
  async memory(): Promise<Record<string, Numbers>> {
    if (this.#restored !== null) return { ...this.#restored.memory };
    const tensors = Object.entries({ update: this.#update, ...this.#kept() });
    const reads = tensors.map(async ([name, tensor]) => [name, await tensor.read()] as const);
    const figures = Float64Array.of(this.#damping, this.#steps);
    return { ...Object.fromEntries(await Promise.all(reads)), figures };
  }

  /** Checked in the next step, when there is a batch that shows what the blocks are. */
  restore(memory: Readonly<Record<string, Numbers>>, where: string): void {
    this.#restored = { memory, where };
  }

  #load(memory: Readonly<Record<string, Numbers>>, where: string): void {
    const tensors = { update: this.#update, ...this.#kept() };
    const lengths = Object.entries(tensors).map(([name, { type }]) => [name, sizeOf(type.shape)]);
    const found = vectorsOf(memory, { ...Object.fromEntries(lengths), figures: 2 }, where);
    for (const [name, tensor] of Object.entries(tensors)) tensor.write(found[name]!);
    [this.#damping, this.#steps] = found.figures as unknown as [number, number];
  }

  /** Factors and inverses by their names in `memory`. */
  #kept(): Record<string, Tensor> {
    const inverses = Object.entries(named(this.#inverse?.factors ?? []));
    return {
      ...named(this.#factors.tensors),
      ...Object.fromEntries(inverses.map(([name, tensor]) => [`inverse.${name}`, tensor])),
    };
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

/** Of steps c[0] D[0] + c[1] D[1]: matrices [2, 2] row by row, and vectors [2]. */
interface QuadraticModel {
  /** A = D (G + (lambda + eta) I) D' */
  readonly curvature: readonly number[];
  /** b = D g */
  readonly slope: readonly number[];
  /** D D' */
  readonly squares: readonly number[];
  /** D theta */
  readonly alongTheta: readonly number[];
}

/** D G D', D D', D g and D theta, one behind the other, [12]. */
function figures(on: Builder, size: number): Value {
  const [pair, products] = [on.input('pair', float(2, size)), on.input('products', float(2, size))];
  const row = (name: string) => on.reshape(on.input(name, float(size)), [1, size]);
  const along = (other: Value) => {
    const inner = on.gemm(pair, other, { transB: true });
    return on.reshape(inner, [sizeOf(inner.type.shape)]);
  };
  return on.concat([products, pair, row('gradient'), row('theta')].map(along), 0);
}

const dot = (x: readonly number[], y: readonly number[]) => x.reduce((sum, each, i) => sum + each * y[i]!, 0);

const quadratic = ([a, b, c, d]: readonly number[], [x, y]: readonly number[]) =>
  x! * (a! * x! + b! * y!) + y! * (c! * x! + d! * y!);

/**
 * The c of the least M(c). c[1] is 0 without momentum, where delta is 0 or along the direction, and instead of less: that
 * would take back what another batch has asked for.
 */
function minimum(
  { curvature, slope }: QuadraticModel,
  momentum: boolean,
): { rate: number; momentum: number } {
  const [a, b, , d] = curvature as [number, number, number, number];
  const [p, q] = slope as [number, number];
  const determinant = a * d - b * b;
  const along = (b * p - a * q) / determinant;
  if (momentum && determinant > LEAST_DETERMINANT * a * d && along > 0)
    return { rate: (b * q - d * p) / determinant, momentum: along };
  return { rate: a > 0 ? -p / a : 0, momentum: 0 };
}

function requireOptions(options: Required<KfacTrainingOptions>): void {
  requireChoice(options.source, 'source', ['sampled', 'empirical']);
  requireChoice(options.time, 'time', ['expand', 'reduce']);
  requireNumber(options.damping, 'damping', { above: 0 });
  requireNumber(options.weightDecay, 'weightDecay', { min: 0 });
  requireNumber(options.averaging, 'averaging', { min: 0, below: 1 });
  requireInteger(options.invertEvery, 'invertEvery', { min: 1 });
  requireInteger(options.adaptEvery, 'adaptEvery', { min: 1 });
  requireBoolean(options.momentum, 'momentum');
}
