/**
 * Products with the block of one weight in the papers' structure (math.md 1.2). For W at the node a_s = W phi_s + ...
 *
 *     H_W = sum over s, zeta of C(s,zeta) (x) phi_s phi_zeta'  +  M + M'
 *
 * with C(s,zeta) = d2E / da_s da_zeta per sample, and M only where phi is a past state. C is never formed: with e added
 * to the node, C u is the Hessian-vector product by e, for all steps and samples at once.
 */
import { adjoint, gradient } from '../program/adjoint.js';
import type { Builder } from '../program/builder.js';
import { dependents } from '../program/dependence.js';
import { perturb } from '../program/perturb.js';
import { sizeOf, type Value } from '../program/program.js';
import { tangent } from '../program/tangent.js';
import type { CurvatureProblem } from './batch-products.js';
import { BlockOperator } from './blocks.js';
import { gaussNewtonVector, hessianVector } from './products.js';
import type { VectorSpace } from './vector-space.js';

/** A weight's node: what it sees, e, and the loss and the prediction as functions of e. */
export interface WeightNode {
  /** [m, n] */
  readonly shape: readonly [m: number, n: number];
  /** phi, [..., n] or classes [...]; its rows, all but the last axis, are steps and samples. */
  readonly seen: Value;
  /** [..., m] */
  readonly perturbation: Value;
  readonly loss: Value;
  readonly prediction: Value;
}

/** Opens a weight's product. @throws KronogradError OPTION where there is not exactly one (see `perturb`) */
export function weightNode(
  on: Builder,
  weight: Value,
  { loss, prediction }: { readonly loss: Value; readonly prediction: Value },
  name: string,
): WeightNode {
  const { of, seen, perturbation } = perturb(on, weight, [loss, prediction], name);
  const shape = weight.type.shape.slice(-2) as [number, number];
  return { shape, seen, perturbation, loss: of[0]!, prediction: of[1]! };
}

/** (sum C (x) phi phi') V for vectors V [k, m, n]: out to u = V phi, C u, and back as the sum of (C u) phi'. */
export function kroneckerSum(on: Builder, node: WeightNode, vectors: Value): Value {
  const { loss, perturbation: e } = node;
  const { product } = hessianVector(on, loss, [e], [images(on, node, vectors)]);
  return outer(on, product[0]!, node);
}

/** The same with the C of the Gauss-Newton matrix: its whole block, for every weight. */
export function gaussNewtonSum(on: Builder, node: WeightNode, vectors: Value): Value {
  const { loss, prediction, perturbation: e } = node;
  const [product] = gaussNewtonVector(on, prediction, loss, [e], [images(on, node, vectors)]);
  return outer(on, product!, node);
}

/**
 * M V + M'V for vectors V [k, m, n], zero where phi is no function of the node itself:
 * M V is the sum of v_s R{phi_s}', with phi moved by e = V phi, and M'V that of w_s phi_s', with w what V'v at phi pulls
 * back to e.
 */
export function recurrentTerms(on: Builder, node: WeightNode, vectors: Value): Value {
  const { seen, perturbation: e, loss } = node;
  const [k, m, n] = vectors.type.shape as [number, number, number];
  if (!dependents(on.nodes, new Set([e])).has(seen)) return on.full([k, m, n], 0);
  const rows = sizeOf(seen.type.shape) / n;
  const v = gradient(on, loss, [e])[0]!;
  const flat = on.reshape(v, [rows, m]);
  const [moved] = tangent(on, [seen], new Map([[e, images(on, node, vectors)]]));
  // sum v R{phi}' for all k at once: [m, rows] x [rows, k n].
  const beside = on.reshape(on.transpose(on.reshape(moved!, [k, rows, n]), [1, 0, 2]), [rows, k * n]);
  const first = on.transpose(on.reshape(on.gemm(flat, beside, { transA: true }), [m, k, n]), [1, 0, 2]);
  const columns = on.reshape(on.transpose(vectors, [1, 0, 2]), [m, k * n]);
  const atSeen = on.transpose(on.reshape(on.gemm(flat, columns), [rows, k, n]), [1, 0, 2]);
  // Pulling back is linear: its tangent along all k adjoints, at any of them, is each of them pulled back.
  const any = on.reshape(on.gemm(flat, on.reshape(on.slice(vectors, 0, 0, 1), [m, n])), seen.type.shape);
  const back = adjoint(on, [{ value: seen, adjoint: any }], [e]);
  const [pulled] = tangent(on, back, new Map([[any, on.reshape(atSeen, [k, ...seen.type.shape])]]));
  return on.add(first, outer(on, pulled!, node));
}

/** V phi for each of the vectors V [k, m, n] and all rows of phi: [k, ..., m]. */
export function images(on: Builder, { seen, perturbation }: WeightNode, vectors: Value): Value {
  const [k, m, n] = vectors.type.shape as [number, number, number];
  const { shape } = perturbation.type;
  const rows = sizeOf(shape) / m;
  const below = on.reshape(vectors, [k * m, n]);
  const products =
    seen.type.dtype === 'int'
      ? on.gather(below, on.reshape(seen, [rows]), 1)
      : on.gemm(on.reshape(seen, [rows, n]), below, { transB: true });
  return on.reshape(on.transpose(on.reshape(products, [rows, k, m]), [1, 0, 2]), [k, ...shape]);
}

/** sum over rows of u phi' for each u [..., m] of `vectors` [k, ..., m]: [k, m, n]. */
export function outer(on: Builder, vectors: Value, { seen, perturbation, shape: [m, n] }: WeightNode): Value {
  const k = vectors.type.shape[0]!;
  const rows = sizeOf(perturbation.type.shape) / m;
  const beside = on.reshape(on.transpose(on.reshape(vectors, [k, rows, m]), [1, 0, 2]), [rows, k * m]);
  const sum =
    seen.type.dtype === 'int'
      ? on.scatterAdd(on.reshape(seen, [rows]), beside, n, 1)
      : on.gemm(beside, on.reshape(seen, [rows, n]), { transA: true });
  return on.reshape(sum, [k, m, n]);
}

/** Which matrix a product is with. */
export type KroneckerPart =
  /** The Hessian's block, exact. */
  | 'hessian'
  /** sum C (x) phi phi' alone: the Hessian's block for input weights, without M + M' for recurrent ones. */
  | 'hessian-sum'
  /** The Gauss-Newton matrix's block, which is such a sum for every weight. */
  | 'gauss-newton'
  /** M + M' alone. */
  | 'recurrent-terms';

const PRODUCTS: Readonly<Record<KroneckerPart, (on: Builder, node: WeightNode, vectors: Value) => Value>> = {
  hessian: (on, node, vectors) => on.add(kroneckerSum(on, node, vectors), recurrentTerms(on, node, vectors)),
  'hessian-sum': kroneckerSum,
  'gauss-newton': gaussNewtonSum,
  'recurrent-terms': recurrentTerms,
};

/**
 * The block of one weight [m, n], of which there is a single product W phi in the model, by that structure.
 * @throws KronogradError OPTION for an unknown parameter, and at the first product for one that is no such weight; DATA,
 * SHAPE as `hessianBlock`
 */
export const kroneckerBlock = (
  space: VectorSpace,
  problem: CurvatureProblem,
  weight: string,
  part: KroneckerPart = 'hessian',
): BlockOperator =>
  new BlockOperator(space, `Kronecker block (${part})`, problem, weight, weight, (on, parts) => {
    const { row, vectors } = parts;
    const node = weightNode(on, row, parts, weight);
    const product = PRODUCTS[part](
      on,
      node,
      on.reshape(vectors, [sizeOf(vectors.type.shape) / sizeOf(row.type.shape), ...node.shape]),
    );
    return on.reshape(product, vectors.type.shape);
  });
