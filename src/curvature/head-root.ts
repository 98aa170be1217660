/** A square root S of a head's Hessian, L = S S' by the output: what factors of the Gauss-Newton matrix start from. */
import type { ModelHead } from '../model/model.js';
import type { Builder } from '../program/builder.js';
import type { Value } from '../program/program.js';
import { column, rowSum } from '../program/softmax.js';

/**
 * S u for u of the output's shape [..., c] (math.md 0.4), with what each row counts in it: I for half the squared error,
 * (2 / c)^1/2 I for the mean, diag(p (1 - p))^1/2 for sigmoid and s^1/2 (diag(p)^1/2 - p (p^1/2)') for softmax
 * cross-entropy.
 */
export function headRoot(on: Builder, head: ModelHead, u: Value): Value {
  return on.mul(column(on, on.call('sqrt', head.weight)), rowRoot(on, head, u));
}

function rowRoot(on: Builder, { name, output, targets }: ModelHead, u: Value): Value {
  const root = (x: Value) => on.call('sqrt', x);
  switch (name) {
    case 'half-squared-error':
      return u;
    case 'mean-squared-error':
      return on.mul(u, on.constant(Math.sqrt(2 / output.type.shape.at(-1)!)));
    case 'sigmoid-cross-entropy': {
      const p = on.call('sigmoid', output);
      return on.mul(root(on.mul(p, on.sub(on.constant(1), p))), u);
    }
    case 'softmax-cross-entropy': {
      const p = on.softmax(output);
      const spread = on.mul(root(p), u);
      const product = on.sub(spread, on.mul(p, rowSum(on, spread)));
      // Classes have the sum 1.
      return targets.type.dtype === 'int' ? product : on.mul(root(rowSum(on, targets)), product);
    }
  }
}
