/**
 * Structural damping (Martens and Sutskever 2011): a Gauss-Newton matrix that also counts how much a change
 * of the parameters changes the hidden states, G + c S with S = J_h' J_h summed over the steps and averaged over the
 * samples. J_h is the Jacobian of what the recurrent layers put out. The distance of hidden states is half their squared
 * distance, whose own Hessian L_h is the identity; the paper takes the loss that matches the units' nonlinearity.
 */
import { KronogradError } from '../errors.js';
import { adjoint, gradient } from '../program/adjoint.js';
import type { Builder } from '../program/builder.js';
import type { Value } from '../program/program.js';
import { tangent } from '../program/tangent.js';
import { type CurvatureProblem, ModelOperator, type ProductParts } from './model-operator.js';
import type { VectorSpace } from './vector-space.js';

/** `structural` is c, lambda mu in the paper. */
export type StructuralDamping = { readonly structural: number };

/**
 * G + c S, at the cost of G. The damping is read at every product, so that it may change.
 * @throws KronogradError OPTION, at the first product, for a model without recurrent layers, and as `ModelOperator`
 */
export const structurallyDampedOperator = (
  space: VectorSpace,
  problem: CurvatureProblem,
  damping: StructuralDamping,
): ModelOperator =>
  new ModelOperator(space, 'structurally damped Gauss-Newton matrix', problem, product, damping);

function product(
  on: Builder,
  { theta, vectors, loss, prediction, layers, coefficients }: ProductParts,
): Value {
  const hidden = layers.map(({ output }) => output);
  if (hidden.length === 0)
    throw new KronogradError('OPTION', 'structural damping needs hidden states, and the model has none', {
      where: 'structural damping',
      fix: 'leave it out, or use a recurrent model',
    });
  const [moved, ...movedHidden] = tangent(on, [prediction, ...hidden], new Map([[theta, vectors]]));
  // Of each head the gradient at what it reads, and how that changes as what it reads moves: L J v.
  const heads = [
    { read: prediction, moved: moved!, gradient: gradient(on, loss, [prediction])[0]! },
    ...hidden.map((h, i) => {
      const share = on.mul(coefficients.structural!, on.constant(1 / h.type.shape[1]!));
      return { read: h, moved: movedHidden[i]!, gradient: on.mul(share, h) };
    }),
  ];
  const changes = heads.map(({ read, moved, gradient }) => {
    const [change] = tangent(on, [gradient], new Map([[read, moved]]));
    return [gradient, change!] as const;
  });
  const back = adjoint(
    on,
    heads.map(({ read, gradient }) => ({ value: read, adjoint: gradient })),
    [theta],
  );
  // J' is linear in what it is applied to, so this is J' L J v, for one vector or many.
  return tangent(on, back, new Map(changes))[0]!;
}
