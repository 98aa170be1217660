/**
 * The pointwise functions: the whole vocabulary of `map`. Each has its meaning in float64 and, symbolically,
 * its partial derivatives. Backends translate the names; nothing else in the engine knows a function by itself.
 *
 * Derivatives may use the arguments x[i] and the function's own result z, so that BPTT stores z where the
 * papers do (tanh' = 1 - z^2, math.md 0.3) and never recomputes a transcendental.
 */
import { roundToHalf } from './half.js';

export type FunctionName =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'neg'
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'tanh'
  | 'sigmoid'
  | 'relu'
  | 'softplus'
  | 'max'
  | 'min'
  | 'greater'
  | 'equal'
  | 'select'
  | 'half';

/** What a derivative is written in: values of any kind, numbers as constants. */
export interface Algebra<V> {
  call(name: FunctionName, ...args: V[]): V;
  constant(value: number): V;
}

/** Numbers as they are, in float64. */
export const numbers: Algebra<number> = {
  call: (name, ...args) => functions[name].evaluate(...args),
  constant: (value) => value,
};

export interface PointwiseFunction {
  readonly arity: 1 | 2 | 3;
  /** The value, in float64. Predicates give 1 or 0. */
  readonly evaluate: (...x: number[]) => number;
  /** d result / d x[i]; null where it is zero everywhere it exists. */
  readonly derivative: <V>(i: number, x: V[], z: V, on: Algebra<V>) => V | null;
}

const unary = (
  evaluate: (x: number) => number,
  derivative: <V>(x: V, z: V, on: Algebra<V>) => V | null,
): PointwiseFunction => ({
  arity: 1,
  evaluate: evaluate as (...x: number[]) => number,
  derivative: (_, x, z, on) => derivative(x[0]!, z, on),
});

const binary = (
  evaluate: (x: number, y: number) => number,
  derivative: <V>(i: number, x: V[], z: V, on: Algebra<V>) => V | null,
): PointwiseFunction => ({ arity: 2, evaluate: evaluate as (...x: number[]) => number, derivative });

const sigmoid = (y: number): number => {
  if (y >= 0) return 1 / (1 + Math.exp(-y));
  const e = Math.exp(y);
  return e / (1 + e);
};

/** The functions by name. relu and the extrema take the one-sided derivative 0 at ties, as math.md 0.3 does. */
export const functions: Readonly<Record<FunctionName, PointwiseFunction>> = {
  add: binary(
    (x, y) => x + y,
    (_, __, ___, on) => on.constant(1),
  ),
  sub: binary(
    (x, y) => x - y,
    (i, _, __, on) => on.constant(i === 0 ? 1 : -1),
  ),
  mul: binary(
    (x, y) => x * y,
    (i, x) => x[1 - i]!,
  ),
  div: binary(
    (x, y) => x / y,
    (i, x, z, on) =>
      i === 0 ? on.call('div', on.constant(1), x[1]!) : on.call('neg', on.call('div', z, x[1]!)),
  ),
  neg: unary(
    (x) => -x,
    (_, __, on) => on.constant(-1),
  ),
  exp: unary(Math.exp, (_, z) => z),
  log: unary(Math.log, (x, _, on) => on.call('div', on.constant(1), x)),
  sqrt: unary(Math.sqrt, (_, z, on) => on.call('div', on.constant(0.5), z)),
  tanh: unary(Math.tanh, (_, z, on) => on.call('sub', on.constant(1), on.call('mul', z, z))),
  sigmoid: unary(sigmoid, (_, z, on) => on.call('mul', z, on.call('sub', on.constant(1), z))),
  relu: unary(
    (x) => Math.max(x, 0),
    (_, z, on) => on.call('greater', z, on.constant(0)),
  ),
  softplus: unary(
    (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    (x, _, on) => on.call('sigmoid', x),
  ),
  max: binary(Math.max, (i, x, _, on) =>
    i === 0 ? on.call('greater', x[0]!, x[1]!) : on.call('greater', x[1]!, x[0]!),
  ),
  min: binary(Math.min, (i, x, _, on) =>
    i === 0 ? on.call('greater', x[1]!, x[0]!) : on.call('greater', x[0]!, x[1]!),
  ),
  greater: binary(
    (x, y) => (x > y ? 1 : 0),
    () => null,
  ),
  equal: binary(
    (x, y) => (x === y ? 1 : 0),
    () => null,
  ),
  /** select(condition, whenTrue, whenFalse): the condition holds where it is not 0. */
  select: {
    arity: 3,
    evaluate: (c: number, x: number, y: number) => (c !== 0 ? x : y),
    derivative: <V>(i: number, x: V[], _: V, on: Algebra<V>): V | null => {
      if (i === 0) return null;
      const isTrue = on.call('equal', x[0]!, on.constant(0));
      return i === 1 ? on.call('sub', on.constant(1), isTrue) : isTrue;
    },
  } as PointwiseFunction,
  /**
   * The nearest 16-bit float; its result has the dtype `half`. Derivatives pass straight through, as if nothing were
   * rounded: a staircase has none of use.
   */
  half: unary(roundToHalf, (_, __, on) => on.constant(1)),
};
