/** Exact curvature-vector products by program transforms (math.md 1.1), for every model and loss. */
import { adjoint, gradient } from '../program/adjoint.js';
import type { Builder } from '../program/builder.js';
import type { Value } from '../program/program.js';
import { tangent } from '../program/tangent.js';

/**
 * H v for each of `wrt`: the tangent, along v, of the gradient (Pearlmutter). The gradients come with it. For k vectors
 * at once each of `vector` is [k, ...], and so is each product. With `of`, the rows of H that belong to other parameters
 * than the columns do: a block.
 */
export function hessianVector(
  on: Builder,
  loss: Value,
  wrt: readonly Value[],
  vector: readonly Value[],
  of: readonly Value[] = wrt,
): { gradient: Value[]; product: Value[] } {
  const gradients = gradient(on, loss, of);
  const product = tangent(on, gradients, new Map(wrt.map((v, i) => [v, vector[i]!])));
  return { gradient: gradients, product };
}

/**
 * J' L J v: out along v to the network's output, through the head's own Hessian L, and back. Never indefinite. For k
 * vectors at once as `hessianVector`.
 */
export function gaussNewtonVector(
  on: Builder,
  output: Value,
  loss: Value,
  wrt: readonly Value[],
  vector: readonly Value[],
  of: readonly Value[] = wrt,
): Value[] {
  const [moved] = tangent(on, [output], new Map(wrt.map((v, i) => [v, vector[i]!])));
  const [atOutput] = adjoint(on, [{ value: loss, adjoint: on.full(loss.type.shape, 1) }], [output]);
  const [curved] = tangent(on, [atOutput!], new Map([[output, moved!]]));
  // J' is linear in what it is applied to: its tangent along L J v is J' L J v, for one vector or many.
  const back = adjoint(on, [{ value: output, adjoint: atOutput! }], of);
  return tangent(on, back, new Map([[atOutput!, curved!]]));
}
