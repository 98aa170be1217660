/** Pieces of the softmax derivatives that both transforms use. */
import type { Builder } from './builder.js';
import type { Value } from './program.js';

/** [..., c] -> [..., 1] */
export function rowSum(on: Builder, x: Value): Value {
  return column(on, on.sum(x, [x.type.shape.length - 1]));
}

/** [...] -> [..., 1] */
export function column(on: Builder, x: Value): Value {
  return on.reshape(x, [...x.type.shape, 1]);
}

/**
 * The head's Hessian action w s (p u - p (p.u)) (math.md 0.4), symmetric in u. `spread` makes a value of the head meet
 * a u of another layout.
 */
export function crossEntropyCurvature(
  on: Builder,
  [logits, target, weight]: readonly Value[],
  u: Value,
  spread: (value: Value) => Value = (value) => value,
): Value {
  const p = spread(on.softmax(logits!));
  const scale =
    target!.type.dtype === 'int'
      ? weight!
      : on.mul(weight!, on.sum(target!, [target!.type.shape.length - 1]));
  return on.mul(spread(column(on, scale)), on.mul(p, on.sub(u, rowSum(on, on.mul(p, u)))));
}
