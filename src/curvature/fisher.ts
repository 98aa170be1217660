/**
 * The Fisher matrix: the mean outer product of the scores, the gradients of the log-likelihoods of sequences. With the
 * targets of the data it is the empirical one; with targets drawn from the model itself (`sampledTargets`) an unbiased
 * estimate of the true one, which is the Gauss-Newton matrix for every head of Kronograd.
 */
import { LOSSES } from '../model/losses.js';
import type { ModelHead } from '../model/model.js';
import { adjoint, gradient } from '../program/adjoint.js';
import type { Builder } from '../program/builder.js';
import type { Value } from '../program/program.js';
import { tangent } from '../program/tangent.js';
import type { CurvatureProblem } from './batch-products.js';
import { ModelOperator } from './model-operator.js';
import type { VectorSpace } from './vector-space.js';

/**
 * sum_s g_s g_s' over the sequences of all batches, never indefinite and of at most as many dimensions. The score of a
 * sequence, g_s = sum_t w[t, s]^1/2 dl[t, s] / d theta, takes the square root of what a step counts, so that the matrix
 * has the scale of the loss's own Hessian.
 * @throws KronogradError DATA for no batches, SHAPE for parts that do not fit
 */
export const fisherOperator = (space: VectorSpace, problem: CurvatureProblem): ModelOperator =>
  new ModelOperator(space, 'Fisher matrix', problem, (on, { theta, vectors, head }) =>
    fisherVector(on, head, theta, vectors),
  );

/** sum_s g_s (g_s . v): out along v, through the scores at the output, and back. No g_s is ever formed. */
function fisherVector(on: Builder, head: ModelHead, theta: Value, vectors: Value): Value {
  const { name, output, targets, weight } = head;
  const rooted = LOSSES[name](on, output, targets, on.call('sqrt', weight));
  const [score] = gradient(on, rooted, [output]) as [Value];
  const [moved] = tangent(on, [output], new Map([[theta, vectors]])) as [Value];
  const along = sumPerSequence(on, on.mul(score, moved), weight.type.shape.length);
  // J' is linear in what it is applied to: its tangent along the weighted scores is its product with them.
  const back = adjoint(on, [{ value: output, adjoint: score }], [theta]);
  return tangent(on, back, new Map([[score, on.mul(score, along)]]))[0]!;
}

/** x [k?, rows..., c], with sequences along the last axis of the rows: summed over all but k and them, axes kept. */
function sumPerSequence(on: Builder, x: Value, rowsRank: number): Value {
  const { shape } = x.type;
  const lead = shape.length - rowsRank - 1;
  const isKept = (axis: number) => axis < lead || axis === shape.length - 2;
  const sum = on.sum(
    x,
    shape.flatMap((_, axis) => (isKept(axis) ? [] : [axis])),
  );
  return on.reshape(
    sum,
    shape.map((d, axis) => (isKept(axis) ? d : 1)),
  );
}
