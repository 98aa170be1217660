/** First-order optimizers as equations over the flat parameter vector: one pointwise pass, on every backend. */
import type { Builder } from '../program/builder.js';
import type { Algebra } from '../program/functions.js';
import type { Value } from '../program/program.js';

export interface Optimizer {
  readonly name: string;
  /** Vectors of theta's size that it keeps between steps; all start at zero. */
  readonly slots: readonly string[];
  /**
   * Scalars that change from step to step, for step = 1, 2, ... and the scheduled learning rate, as numbers or as values
   * of a program. Steps are proportional to one of them, `stepSize`, and that to the learning rate.
   */
  readonly scalars: <V>(on: Algebra<V>, at: StepOf<V>) => Readonly<Record<string, V>>;
  /** The new theta and slots. */
  readonly update: (on: Builder, at: UpdateInputs) => { theta: Value; slots: Record<string, Value> };
}

export interface StepOf<V> {
  /** Updates made, this one counted in. */
  readonly step: V;
  readonly learningRate: V;
}

export interface UpdateInputs {
  readonly theta: Value;
  readonly gradient: Value;
  readonly slots: Readonly<Record<string, Value>>;
  /** `stepSize` may be of theta's size instead: one for each element. */
  readonly scalars: Readonly<Record<string, Value>>;
  /** Of theta's size: the weight decay of each element. Absent: the optimizer's own for all of them. */
  readonly weightDecays?: Value | undefined;
}

/** theta times its weight decay; null where nothing decays. */
export function decayed(
  on: Builder,
  { theta, weightDecays }: UpdateInputs,
  weightDecay: number,
): Value | null {
  if (weightDecays === undefined && weightDecay === 0) return null;
  return on.mul(theta, weightDecays ?? on.constant(weightDecay));
}

/** The gradient of the loss with an L2 penalty: g + weightDecay * theta. */
export function withDecay(on: Builder, at: UpdateInputs, weightDecay: number): Value {
  const penalty = decayed(on, at, weightDecay);
  return penalty === null ? at.gradient : on.add(at.gradient, penalty);
}

/** Every element of the gradient limited to -limit .. limit; 0: left as it is. */
export function clipByValue(on: Builder, gradient: Value, limit: number): Value {
  return limit === 0 ? gradient : on.clamp(gradient, limit);
}

/**
 * The gradient scaled down to a norm of at most `limit`, and the norm it had: max|g| untouched below it.
 * @param scaled The gradient times `scale`, which is a power of two.
 */
export function clipByGlobalNorm(
  on: Builder,
  scaled: Value,
  limit: number,
  scale: Value = on.constant(1),
): { gradient: Value; norm: Value } {
  const norm = on.call('div', on.call('sqrt', on.sumAll(on.mul(scaled, scaled))), scale);
  // As PyTorch does it: limit / (norm + 1e-6), never above 1.
  const factor =
    limit === 0
      ? on.constant(1)
      : on.call('min', on.constant(1), on.call('div', on.constant(limit), on.add(norm, on.constant(1e-6))));
  return { gradient: on.mul(scaled, on.call('div', factor, scale)), norm };
}
