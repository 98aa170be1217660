/**
 * L-BFGS (Liu and Nocedal 1989; Nocedal and Wright 2006, algorithms 7.4 and 7.5): the two-loop recursion on the backend,
 * in one program, and a line search for the strong Wolfe conditions. Both gradients of a curvature pair are of the same
 * batch: with the whole set as the batch of every step this is the classical method, and with others each pair is still
 * that of one function (Schraudolph, Yu and Guenter 2007).
 */
import type { Numbers, Tensor } from '../backend/backend.js';
import type { CurvatureBatch } from '../curvature/batch-products.js';
import type { VectorSpace } from '../curvature/vector-space.js';
import { Scope } from '../dispose.js';
import type { Model } from '../model/model.js';
import type { Builder } from '../program/builder.js';
import { float, type Value } from '../program/program.js';
import { requireInteger, requireNumber } from '../ranges.js';
import { vectorsOf } from './memory.js';
import { type GradientFigures, Objective } from './objective.js';
import type { SecondOrderOptimizer, SecondOrderStep } from './second-order.js';
import { type LinePoint, strongWolfe } from './strong-wolfe.js';

export interface LbfgsOptions {
  /** m: curvature pairs that are kept. */
  readonly pairs?: number;
  /** c1 of the Wolfe conditions. */
  readonly decrease?: number;
  /** c2 of the Wolfe conditions, above c1. */
  readonly flatness?: number;
  /** Gradients that the line search of a step may take. */
  readonly maxEvaluations?: number;
}

/** Nocedal and Wright 2006, sections 3.1 and 7.2. */
export const LBFGS_DEFAULTS: Required<LbfgsOptions> = {
  pairs: 10,
  decrease: 1e-4,
  flatness: 0.9,
  maxEvaluations: 20,
};

/** A pair counts only if s'y > this |s| |y|: with less, y is rounding, or the curvature is not positive. */
const LEAST_COSINE = 1e-6;

export interface LbfgsStep extends SecondOrderStep {
  /** Gradients taken by the line search. */
  readonly evaluations: number;
  /** Along the direction; 0: no step, and the pairs are forgotten. */
  readonly distance: number;
  /** Whether the step gave a pair that was kept. */
  readonly isPairKept: boolean;
}

/** s = theta after less theta before, y the same of gradients, and their products. */
interface Pair {
  readonly s: Tensor;
  readonly y: Tensor;
  sy: number;
  yy: number;
}

export class Lbfgs implements SecondOrderOptimizer {
  readonly name = 'lbfgs';
  readonly #scope = new Scope();
  readonly #objective: Objective;
  readonly #options: Required<LbfgsOptions>;
  /** Oldest first. */
  #pairs: Pair[] = [];
  /** Memory for more; one at least. */
  readonly #spare: Pair[];
  /** The gradient before a step, and at the point of the line that was looked at last. */
  #before: Tensor;
  #after: Tensor;
  /** What is known of the gradient behind the last step: that of its batch, in `#after`. */
  #known: { readonly batch: CurvatureBatch; readonly point: LinePoint & GradientFigures } | null = null;
  readonly #direction: Tensor;
  readonly #scalars: Tensor;
  readonly #figures: Tensor;
  readonly #distance: Tensor;

  /** @throws KronogradError OPTION */
  constructor(
    private readonly space: VectorSpace,
    private readonly model: Model,
    private readonly theta: Tensor,
    options: LbfgsOptions = {},
  ) {
    this.#options = { ...LBFGS_DEFAULTS, ...options };
    requireInteger(this.#options.pairs, 'pairs', { min: 1 });
    requireNumber(this.#options.decrease, 'decrease', { above: 0, below: 1 });
    requireNumber(this.#options.flatness, 'flatness', { above: this.#options.decrease, below: 1 });
    requireInteger(this.#options.maxEvaluations, 'maxEvaluations', { min: 1 });
    const { size } = model.parameters;
    const own = (length: number) => this.#scope.own(space.vector(length));
    this.#objective = this.#scope.own(new Objective(space, model, theta));
    this.#spare = Array.from({ length: this.#options.pairs + 1 }, () => ({
      ...{ s: own(size), y: own(size), sy: 0, yy: 0 },
    }));
    [this.#before, this.#after, this.#direction] = [own(size), own(size), own(size)];
    [this.#scalars, this.#figures, this.#distance] = [own(1 + this.#options.pairs), own(3), own(1)];
  }

  /** A batch of the very arrays of the one before needs no new gradient to begin with. */
  async step(batch: CurvatureBatch): Promise<LbfgsStep> {
    const objective = this.#objective;
    const { loss, norm } = await this.#begin(batch);
    const state = await objective.stateBehind(batch);
    const before = { loss, gradientNorm: norm, state };
    const slope = await this.#direct();
    const points: (LinePoint & GradientFigures)[] = [];
    const at = async (distance: number): Promise<LinePoint> => {
      const along = { direction: this.#direction, distance };
      const point = { ...(await objective.gradient(batch, this.#after, along)), distance };
      points.push(point);
      return point;
    };
    // Without pairs the direction has no scale: the first step has a length of at most 1.
    const first = this.#pairs.length === 0 ? Math.min(1, 1 / norm) : 1;
    const isDownhill = Number.isFinite(loss) && slope < 0;
    const found = isDownhill
      ? await strongWolfe(at, { distance: 0, loss, slope }, first, this.#options)
      : null;
    if (found === null) {
      this.#spare.push(...this.#pairs);
      this.#pairs = [];
      return { ...before, evaluations: points.length, distance: 0, isPairKept: false };
    }
    const { distance } = found;
    // The gradient of the pair is that of the point found.
    if (found !== points.at(-1)) await at(distance);
    await this.space.combine(distance, this.#direction, 1, this.theta);
    this.#known = { batch, point: points.at(-1)! };
    return { ...before, evaluations: points.length, distance, isPairKept: await this.#keepPair(distance) };
  }

  /** Loss and gradient before the step. */
  async #begin(batch: CurvatureBatch): Promise<GradientFigures> {
    const known = this.#known;
    this.#known = null;
    if (known === null || !isSame(known.batch, batch)) return this.#objective.gradient(batch, this.#before);
    [this.#before, this.#after] = [this.#after, this.#before];
    return known.point;
  }

  /** direction <- -H g, and its slope g'd. */
  async #direct(): Promise<number> {
    const { pairs: most } = this.#options;
    const { size } = this.model.parameters;
    const newest = this.#pairs.at(-1);
    const rhos = Array.from({ length: most }, (_, i) =>
      i < this.#pairs.length ? 1 / this.#pairs[i]!.sy : 0,
    );
    this.#scalars.write([newest ? newest.sy / newest.yy : 1, ...rhos]);
    const bound = [...this.#pairs, ...this.#spare].slice(0, most).flatMap(({ s, y }, i) => [
      [`s${i}`, s],
      [`y${i}`, y],
    ]);
    await this.space.programs.run(`lbfgs direction ${size} ${most}`, (on) => twoLoops(on, size, most), {
      ...Object.fromEntries(bound),
      ...{ g: this.#before, scalars: this.#scalars, d: this.#direction, figures: this.#figures },
    });
    const [slope] = await this.#figures.read();
    return slope!;
  }

  /** Keeps s = distance * direction and y, instead of the oldest pair where there are enough; false: rejected. */
  async #keepPair(distance: number): Promise<boolean> {
    const { size } = this.model.parameters;
    const pair = this.#spare.at(-1)!;
    this.#distance.write([distance]);
    await this.space.programs.run(`lbfgs pair ${size}`, (on) => difference(on, size), {
      ...{ distance: this.#distance, d: this.#direction, before: this.#before, after: this.#after },
      ...{ s: pair.s, y: pair.y, figures: this.#figures },
    });
    const [sy, yy, ss] = await this.#figures.read();
    if (!(sy! > LEAST_COSINE * Math.sqrt(ss! * yy!))) return false;
    this.#spare.pop();
    this.#pairs.push(Object.assign(pair, { sy, yy }));
    if (this.#pairs.length > this.#options.pairs) this.#spare.push(this.#pairs.shift()!);
    return true;
  }

  /** The pairs, oldest first: `s0`, `y0`, ..., and of each s'y and y'y in `figures`. */
  async memory(): Promise<Record<string, Numbers>> {
    const vectors = this.#pairs.flatMap(({ s, y }, i) => [[`s${i}`, s] as const, [`y${i}`, y] as const]);
    const reads = vectors.map(async ([name, tensor]) => [name, await tensor.read()] as const);
    const figures = Float64Array.from(this.#pairs.flatMap(({ sy, yy }) => [sy, yy]));
    return { ...Object.fromEntries(await Promise.all(reads)), figures };
  }

  restore(memory: Readonly<Record<string, Numbers>>, where: string): void {
    const count = Math.min(Math.floor((memory.figures?.length ?? 0) / 2), this.#options.pairs);
    const { size } = this.model.parameters;
    const names = Array.from({ length: count }, (_, i) => [`s${i}`, `y${i}`]).flat();
    const lengths: Record<string, number> = Object.fromEntries(names.map((name) => [name, size]));
    const vectors: Record<string, Numbers> = vectorsOf(memory, { ...lengths, figures: 2 * count }, where);
    this.#known = null;
    this.#spare.push(...this.#pairs);
    this.#pairs = this.#spare.splice(0, count);
    this.#pairs.forEach((pair, i) => {
      pair.s.write(vectors[`s${i}`]!);
      pair.y.write(vectors[`y${i}`]!);
      Object.assign(pair, { sy: vectors.figures![2 * i], yy: vectors.figures![2 * i + 1] });
    });
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

/** Whether two batches are made of the same arrays. */
function isSame(a: CurvatureBatch, b: CurvatureBatch): boolean {
  const arrays = ({ parts, state }: CurvatureBatch) => [
    ...Object.values(parts),
    ...Object.values(state ?? {}),
  ];
  const others = arrays(b);
  return a.weight === b.weight && arrays(a).every((each, i) => each === others[i]);
}

/**
 * Algorithm 7.4 over all places for pairs, s0 the oldest; `scalars` are gamma and each pair's rho = 1 / s'y, or 0 for a
 * place without a pair, which then adds nothing.
 */
function twoLoops(on: Builder, size: number, places: number) {
  const vector = (name: string) => on.input(name, float(size));
  const dot = (u: Value, v: Value) => on.sumAll(on.mul(u, v));
  const scalars = on.split(on.input('scalars', float(1 + places)), 0, 1 + places);
  const [gamma, ...rhos] = scalars.map((each) => on.reshape(each, [])) as [Value, ...Value[]];
  const pairs = rhos.map((rho, i) => ({ rho, s: vector(`s${i}`), y: vector(`y${i}`) }));
  const g = vector('g');
  let q = g;
  const alphas = new Map<Value, Value>();
  for (const { rho, s, y } of [...pairs].reverse()) {
    const alpha = on.mul(rho, dot(s, q));
    alphas.set(rho, alpha);
    q = on.sub(q, on.mul(alpha, y));
  }
  let r = on.mul(gamma, q);
  for (const { rho, s, y } of pairs) {
    const beta = on.mul(rho, dot(y, r));
    r = on.add(r, on.mul(on.sub(alphas.get(rho)!, beta), s));
  }
  const d = on.call('neg', r);
  return { d, figures: on.concat([on.reshape(dot(g, d), [1]), on.full([2], 0)], 0) };
}

/** s = distance * d, y = after - before, and s'y, y'y, s's. */
function difference(on: Builder, size: number) {
  const s = on.mul(on.input('distance', float(1)), on.input('d', float(size)));
  const y = on.sub(on.input('after', float(size)), on.input('before', float(size)));
  const dots = [on.mul(s, y), on.mul(y, y), on.mul(s, s)].map((each) => on.reshape(on.sumAll(each), [1]));
  return { s, y, figures: on.concat(dots, 0) };
}
