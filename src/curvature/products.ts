/** Exact curvature-vector products by program transforms (math.md 1.1), for every model and loss. */
import { adjoint, gradient } from '../program/adjoint.js';
import type { Builder } from '../program/builder.js';
import type { Value } from '../program/program.js';
import { tangent } from '../program/tangent.js';

/** H v for each of `wrt`: the tangent, along v, of the gradient (Pearlmutter). The gradients come with it. */
export function hessianVector(
  on: Builder,
  loss: Value,
  wrt: readonly Value[],
  vector: readonly Value[],
): { gradient: Value[]; product: Value[] } {
  const gradients = gradient(on, loss, wrt);
  const product = tangent(on, gradients, new Map(wrt.map((v, i) => [v, vector[i]!])));
  return { gradient: gradients, product };
}

/** J' L J v: out along v to the network's output, through the head's own Hessian L, and back. Never indefinite. */
export function gaussNewtonVector(
  on: Builder,
  output: Value,
  loss: Value,
  wrt: readonly Value[],
  vector: readonly Value[],
): Value[] {
  const [moved] = tangent(on, [output], new Map(wrt.map((v, i) => [v, vector[i]!])));
  const atOutput = adjoint(on, [{ value: loss, adjoint: on.full(loss.type.shape, 1) }], [output]);
  const [curved] = tangent(on, atOutput, new Map([[output, moved!]]));
  return adjoint(on, [{ value: output, adjoint: curved! }], wrt);
}
