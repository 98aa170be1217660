/**
 * What a cell is written in: functions on terms, so that a file of `src/cells/` reads like its paper. A term is a
 * value of one time step, [r, features]; parameters are [m, n] or [m].
 */
import { KronogradError } from '../errors.js';
import type { Builder } from '../program/builder.js';
import type { FunctionName } from '../program/functions.js';
import { sizeOf, type Value } from '../program/program.js';

export class Term {
  #argument: Term | undefined;

  /**
   * @param inProducts The value as matrices see it, where that is another: with recurrent dropout.
   * @param limit Of a parameter and of the sums and products it is in, the papers' accumulations a: what each element
   * of the derivative by an accumulation is limited to, where a nonlinearity reads it. 0: no limit.
   * @param name Of what a step is given, for messages.
   */
  constructor(
    readonly on: Builder,
    readonly value: Value,
    readonly inProducts: Value = value,
    readonly limit = 0,
    readonly name?: string,
  ) {}

  /** The term as a nonlinearity reads it: with its derivative limited, if it is an accumulation. */
  asArgument(): Term {
    const { on, value, inProducts, limit } = this;
    this.#argument ??=
      limit === 0 ? this : new Term(on, on.clipAdjoint(value, limit), on.clipAdjoint(inProducts, limit));
    return this.#argument;
  }

  /** Whether a nonlinearity has read it. */
  get isArgument(): boolean {
    return this.#argument !== undefined;
  }
}

/** @throws KronogradError SHAPE, by the name of a term that does not fit the others. */
function requireFit(fn: string, terms: readonly Term[]): void {
  const shapes = terms.map((t) => t.value.type.shape);
  const features = new Set(shapes.map((shape) => shape.at(-1) ?? 1).filter((d) => d !== 1));
  const stranger = terms.findIndex((t) => t.name !== undefined);
  if (features.size < 2 || stranger < 0) return;
  const others = shapes.filter((_, i) => i !== stranger).map((shape) => `[${shape.join(', ')}]`);
  throw new KronogradError(
    'SHAPE',
    `${terms[stranger]!.name}, [${shapes[stranger]!.join(', ')}], does not fit ${others.join(' and ')}`,
    {
      where: fn,
      fix: 'give both as many features, or one of them 1',
    },
  );
}

/** Sums and products: an accumulation stays one. */
const call = (fn: 'add' | 'sub' | 'mul', ...terms: [Term, ...Term[]]): Term => {
  requireFit(fn, terms);
  const { on } = terms[0];
  const value = on.call(fn, ...terms.map((t) => t.value));
  const inProducts = on.call(fn, ...terms.map((t) => t.inProducts));
  return new Term(on, value, inProducts, Math.max(...terms.map((t) => t.limit)));
};

const nonlinear = (fn: FunctionName, a: Term): Term => {
  const { on, value, inProducts } = a.asArgument();
  return new Term(on, on.call(fn, value), on.call(fn, inProducts));
};

/** The sum of all terms, elementwise; a bias [m] is added to each row. */
export const add = (first: Term, ...rest: Term[]): Term =>
  rest.reduce((sum, term) => call('add', sum, term), first);

export const sub = (a: Term, b: Term): Term => call('sub', a, b);

/** The elementwise product of all terms. */
export const mul = (first: Term, ...rest: Term[]): Term =>
  rest.reduce((product, term) => call('mul', product, term), first);

export const sigmoid = (a: Term): Term => nonlinear('sigmoid', a);

export const tanh = (a: Term): Term => nonlinear('tanh', a);

export type ActivationName = 'identity' | 'tanh' | 'sigmoid' | 'relu' | 'softplus';

/** An activation by its name (math.md 0.3). */
export const activation =
  (name: ActivationName) =>
  (a: Term): Term =>
    name === 'identity' ? a.asArgument() : nonlinear(name, a);

/** What is linear in a parameter or an accumulation is one itself. */
const sumOf = ({ on, limit }: Term, value: Value): Term => new Term(on, value, value, limit);

/** 1 - a */
export const complement = (a: Term): Term => new Term(a.on, a.on.sub(a.on.constant(1), a.value));

/** W z for each sample: [r, n] and W [m, n] give [r, m]. Integers z [r] stand for one-hot vectors: a column of W. */
export const linear = (z: Term, weight: Term): Term => {
  if (z.value.type.dtype === 'int') return sumOf(weight, z.on.gather(weight.value, z.value, 1));
  const features = z.value.type.shape.at(-1);
  const { shape } = weight.value.type;
  if (shape.length !== 2 || shape[1] !== features)
    throw new KronogradError(
      'SHAPE',
      `${weight.name ?? 'a weight'}, [${shape.join(', ')}], does not fit ${z.name ?? 'a term'} of ${features} features`,
      {
        where: 'linear',
        fix: `make it [m, ${features}]`,
      },
    );
  return sumOf(weight, z.on.linear(z.inProducts, weight.value));
};

/** sum_l W[l] z_l for filters W [L, m, n] and a window z = [z_0, ..., z_{L-1}] of [r, L n]. */
export const windowed = (z: Term, filters: Term): Term => {
  const [length, m, n] = filters.value.type.shape as [number, number, number];
  const { on } = z;
  const taps = Array.from({ length }, (_, l) => {
    const filter = on.reshape(on.slice(filters.value, 0, l, 1), [m, n]);
    // A one-hot window would be integers: only dense inputs have one.
    return linear(
      new Term(on, length === 1 ? z.value : on.slice(z.value, 1, l * n, n)),
      sumOf(filters, filter),
    );
  });
  return add(...(taps as [Term, ...Term[]]));
};

/**
 * The parts of W z where W is block diagonal and each head sees only its own features of z: blocks [heads, parts d, e]
 * and z [r, heads e] give `parts` terms [r, heads d].
 */
export const byHead = (z: Term, blocks: Term, parts: number): Term[] => {
  const { on } = z;
  const [heads, m, e] = blocks.value.type.shape as [number, number, number];
  const r = sizeOf(z.value.type.shape) / (heads * e);
  const each = on.transpose(on.reshape(z.inProducts, [r, heads, e]), [1, 0, 2]);
  const products = on.split(on.gemm(each, blocks.value, { transB: true }), 2, parts);
  const d = m / parts;
  return products.map((v) => sumOf(blocks, on.reshape(on.transpose(v, [1, 0, 2]), [r, heads * d])));
};

/** The features in equal parts: the gates of a stacked product. */
export const split = (a: Term, parts: number): Term[] =>
  a.on.split(a.value, a.value.type.shape.length - 1, parts).map((v) => sumOf(a, v));

/** The features of all terms side by side. */
export const join = (...terms: [Term, ...Term[]]): Term =>
  new Term(
    terms[0].on,
    terms[0].on.concat(
      terms.map((t) => t.value),
      1,
    ),
  );

/** The mean over the features of each sample, [r, 1]. */
export const mean = (a: Term): Term => {
  const { on, value } = a;
  const n = value.type.shape[1]!;
  const total = on.reshape(on.sum(value, [1]), [sizeOf(value.type.shape) / n, 1]);
  return new Term(on, on.mul(total, on.constant(1 / n)));
};

/** W less the mean of each column: what it makes of any z, W z, has the mean 0. */
export const centred = (weight: Term): Term => {
  const { on, value } = weight;
  const [m] = value.type.shape as [number, number];
  return sumOf(weight, on.sub(value, on.mul(on.sum(value, [0]), on.constant(1 / m))));
};

/** 1 / sqrt(a + epsilon) */
export const inverseRoot = (a: Term, epsilon: number): Term => {
  const { on, value } = a;
  return new Term(on, on.call('div', on.constant(1), on.call('sqrt', on.add(value, on.constant(epsilon)))));
};
