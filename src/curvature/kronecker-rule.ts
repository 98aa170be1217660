/**
 * Whether the products with a weight's sum of Kronecker products shall be made from stored C(s,zeta) or without C. The
 * rule: from C if that takes fewer flops for all the vectors together, making C included, and C fits into the backend.
 *
 * Flops are those of the matrix products in the very programs that would run. For stacked layers of equal widths m they
 * are the papers' (math.md 2.4, 3.4), for q vectors with block k of l:
 *
 *     feed-forward  without C  r m^2 (4 + 4 (l - k)) q          from C  r m^2 6 q + 4 (l - k) r m^3
 *     recurrent     without C  r T m^2 (8 + 8 (l - k)) q        from C  r T m^2 (4 + 2 T) q + (4 + 8 (l - k)) r T^2 m^3
 *
 * and a gradient, which both of them need. So C pays for many products with a layer well below the top, for short
 * sequences; for long ones never. What needs C itself, the diagonal, the trace and the dense block, is not asked here.
 */
import { Builder } from '../program/builder.js';
import { gemmFlops } from '../program/flops.js';
import type { Value } from '../program/program.js';
import type { CurvatureProblem } from './batch-products.js';
import { gaussNewtonSum, kroneckerBlock, kroneckerSum, type WeightNode } from './kronecker.js';
import { ExplicitKronecker } from './kronecker-explicit.js';
import {
  curvatureBytes,
  curvatureRows,
  type ExplicitPart,
  factorSizes,
  hasRoom,
  nodeOf,
  nodeSizes,
} from './kronecker-factors.js';
import type { LinearOperator } from './linear-operator.js';
import type { VectorSpace } from './vector-space.js';

/** Flops once, and for each vector. */
export interface ProductFlops {
  readonly once: number;
  readonly each: number;
}

export interface KroneckerCosts {
  /** All the vectors in one pass. */
  readonly implicit: ProductFlops;
  /** Once: C. */
  readonly explicit: ProductFlops;
  /** From how many vectors on C takes fewer flops; Infinity: from none. */
  readonly breakEven: number;
  /** Of C. */
  readonly bytes: number;
  /** Whether there is room for C. */
  readonly fits: boolean;
}

/** What the two ways cost. @throws KronogradError OPTION for what is no weight with one product */
export function kroneckerCosts(
  space: VectorSpace,
  problem: CurvatureProblem,
  weight: string,
  part: ExplicitPart = 'hessian-sum',
): KroneckerCosts {
  const product = part === 'hessian-sum' ? kroneckerSum : gaussNewtonSum;
  const total = { implicit: { once: 0, each: 0 }, explicit: { once: 0, each: 0 } };
  for (const batch of problem.batches) {
    const count = (build: (on: Builder, node: WeightNode) => Value): number => {
      const on = new Builder();
      const node = nodeOf(on, problem, { batch, weight });
      return gemmFlops(on.build({ out: build(on, node), seen: node.seen }));
    };
    const [one, two] = [1, 2].map((k) =>
      count((on, node) => product(on, node, on.full([k, ...node.shape], 0.5))),
    ) as [number, number];
    const [row, rows] = [1, 2].map((rows) =>
      count((on, node) =>
        curvatureRows(on, node, { r: batch.samples, part, first: on.constant(0), count: rows }),
      ),
    ) as [number, number];
    const { r, T, m, n } = nodeSizes(nodeOf(new Builder(), problem, { batch, weight }), batch);
    total.implicit.once += one - (two - one);
    total.implicit.each += two - one;
    total.explicit.once += row + (T * m - 1) * (rows - row);
    total.explicit.each += r * T * (4 * m * n + 2 * T * m * m);
  }
  const { implicit, explicit } = total;
  const gain = implicit.each - explicit.each;
  const bytes = curvatureBytes(factorSizes(problem, weight), space.backend);
  return {
    ...total,
    breakEven: gain > 0 ? Math.max(0, (explicit.once - implicit.once) / gain) : Number.POSITIVE_INFINITY,
    bytes: bytes.total,
    fits: hasRoom(bytes, space.backend),
  };
}

/**
 * The operator of the sum for `vectors` products by the rule of this file, and whether it has stored C.
 * @throws KronogradError OPTION for what is no weight with one product; DATA, SHAPE as `hessianBlock`
 */
export async function kroneckerSumFor(
  space: VectorSpace,
  problem: CurvatureProblem,
  weight: string,
  { vectors, part = 'hessian-sum' }: { readonly vectors: number; readonly part?: ExplicitPart },
): Promise<{ operator: LinearOperator; explicit: boolean }> {
  const { breakEven, fits } = kroneckerCosts(space, problem, weight, part);
  if (fits && vectors > breakEven)
    return { operator: await ExplicitKronecker.create(space, problem, weight, part), explicit: true };
  return { operator: kroneckerBlock(space, problem, weight, part), explicit: false };
}
