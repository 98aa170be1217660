/**
 * Products with the block of one weight in the papers' structure (math.md 1.2). For W at the node a_s = W phi_s + ...
 *
 *     H_W = sum over s, zeta of C(s,zeta) (x) phi_s phi_zeta'  +  M + M'
 *
 * with C(s,zeta) = d2E / da_s da_zeta per sample, and M only where phi is a past state. C is never formed: with e added
 * to the node, C u is the Hessian-vector product by e, for all steps and samples at once.
 */
import { adjoint } from '../program/adjoint.js';
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

/**
 * (sum C (x) phi phi') V for a vector V [m, n] or k of them, [k, m, n]: out to u = V phi, through C, and back as the sum
 * of (C u) phi'.
 */
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
 * M V + M'V for a vector V [m, n] or k of them, [k, m, n], zero where phi is no function of the node itself. M V is the
 * sum of v_s R{phi_s}', with phi moved by e = V phi; M'V is that of w_s phi_s', with w what V'v at phi pulls back to e.
 */
function recurrentTerms(on: Builder, node: WeightNode, vectors: Value): Value {
  const back = backOf(on, node);
  if (back === null) return on.full(vectors.type.shape, 0);
  const [moved] = tangent(on, [node.seen], new Map([[node.perturbation, images(on, node, vectors)]]));
  const [pulled] = tangent(on, [back.v], new Map([[back.atSeen, pulledImages(on, back, vectors)]]));
  return on.add(rowSums(on, back.v, moved!, node), outer(on, pulled!, node));
}

/** H_W V for a vector V [m, n] or k of them, [k, m, n]: the sum and M + M' of it in one pass forwards and one back. */
function kroneckerHessian(on: Builder, node: WeightNode, vectors: Value): Value {
  const back = backOf(on, node);
  if (back === null) return kroneckerSum(on, node, vectors);
  const along = new Map([
    [node.perturbation, images(on, node, vectors)],
    [back.atSeen, pulledImages(on, back, vectors)],
  ]);
  const [moved, curved] = tangent(on, [node.seen, back.v], along);
  return on.add(rowSums(on, back.v, moved!, node), outer(on, curved!, node));
}

/** What flows back through a node whose phi depends on it. */
interface Back {
  /** v = dE/de, with what `atSeen` pulls back to e. */
  readonly v: Value;
  /** Zero: an adjoint of phi besides what the loss gives it. v is linear in it. */
  readonly atSeen: Value;
}

/** null where phi is no function of the node. */
function backOf(on: Builder, { seen, perturbation: e, loss }: WeightNode): Back | null {
  if (!dependents(on.nodes, new Set([e])).has(seen)) return null;
  // A zero of its own: a constant would be one with every other zero of its shape.
  const { shape } = seen.type;
  const first = on.iota(
    shape.map(() => 1),
    0,
  );
  const atSeen = on.broadcast(first, shape);
  const seeds = [
    { value: loss, adjoint: on.full(loss.type.shape, 1) },
    { value: seen, adjoint: atSeen },
  ];
  return { v: adjoint(on, seeds, [e])[0]!, atSeen };
}

/** V'v for each of the vectors, of phi's shape: [k, ..., n], of a single one [..., n]. */
function pulledImages(on: Builder, { v, atSeen }: Back, vectors: Value): Value {
  const [m, n] = vectors.type.shape.slice(-2) as [number, number];
  const lead = vectors.type.shape.slice(0, -2);
  const k = sizeOf(lead);
  const rows = sizeOf(v.type.shape) / m;
  const beside = on.reshape(on.transpose(on.reshape(vectors, [k, m, n]), [1, 0, 2]), [m, k * n]);
  const products = on.reshape(on.gemm(on.reshape(v, [rows, m]), beside), [rows, k, n]);
  return on.reshape(on.transpose(products, [1, 0, 2]), [...lead, ...atSeen.type.shape]);
}

/** sum over rows of v z' for each z like phi, [k, ..., n] or a single one [..., n]: [k, m, n] or [m, n]. */
function rowSums(on: Builder, v: Value, z: Value, { seen, shape: [m, n] }: WeightNode): Value {
  const lead = z.type.shape.slice(0, -seen.type.shape.length);
  const k = sizeOf(lead);
  const rows = sizeOf(v.type.shape) / m;
  const beside = on.reshape(on.transpose(on.reshape(z, [k, rows, n]), [1, 0, 2]), [rows, k * n]);
  const sum = on.gemm(on.reshape(v, [rows, m]), beside, { transA: true });
  return on.reshape(on.transpose(on.reshape(sum, [m, k, n]), [1, 0, 2]), [...lead, m, n]);
}

/** V phi for each of the vectors and all rows of phi: [k, ..., m], of a single one [..., m]. */
function images(on: Builder, { seen, perturbation, shape: [m, n] }: WeightNode, vectors: Value): Value {
  const lead = vectors.type.shape.slice(0, -2);
  const k = sizeOf(lead);
  const { shape } = perturbation.type;
  const rows = sizeOf(shape) / m;
  const below = on.reshape(vectors, [k * m, n]);
  const products =
    seen.type.dtype === 'int'
      ? on.gather(below, on.reshape(seen, [rows]), 1)
      : on.gemm(on.reshape(seen, [rows, n]), below, { transB: true });
  return on.reshape(on.transpose(on.reshape(products, [rows, k, m]), [1, 0, 2]), [...lead, ...shape]);
}

/** sum over rows of u phi' for each u of `images`: [k, m, n], of a single one [m, n]. */
function outer(on: Builder, images: Value, { seen, perturbation, shape: [m, n] }: WeightNode): Value {
  const lead = images.type.shape.slice(0, -perturbation.type.shape.length);
  const k = sizeOf(lead);
  const rows = sizeOf(perturbation.type.shape) / m;
  const beside = on.reshape(on.transpose(on.reshape(images, [k, rows, m]), [1, 0, 2]), [rows, k * m]);
  const sum =
    seen.type.dtype === 'int'
      ? on.scatterAdd(on.reshape(seen, [rows]), beside, n, 1)
      : on.gemm(beside, on.reshape(seen, [rows, n]), { transA: true });
  return on.reshape(sum, [...lead, m, n]);
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
  hessian: kroneckerHessian,
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
    const lead = vectors.type.shape.slice(0, -row.type.shape.length);
    const product = PRODUCTS[part](on, node, on.reshape(vectors, [...lead, ...node.shape]));
    return on.reshape(product, vectors.type.shape);
  });
