/** Iteration domains in the form that loops like best: few axes, the innermost with stride 1. */
import type { Affine, Ref, Scalar } from '../../../../kernels/stage.js';

export interface Domain {
  readonly shape: readonly number[];
  /** For each axis the original axis whose stride it has; null for one that stands for no axis at all. */
  readonly axes: readonly (number | null)[];
}

/**
 * Moves the axis along which most operands are contiguous to the end, drops axes of extent 1 and joins
 * neighbours that every operand steps through as if they were one. The result has at least one axis.
 */
export function simplify(shape: readonly number[], operands: readonly Affine[]): Domain {
  const axes = shape.map((_, axis) => axis).filter((axis) => shape[axis] !== 1);
  const contiguous = (axis: number) => operands.filter(({ strides }) => strides[axis] === 1).length;
  let inner = axes.at(-1);
  if (inner === undefined) return { shape: [1], axes: [null] };
  for (const axis of axes) if (contiguous(axis) > contiguous(inner)) inner = axis;
  const ordered = [...axes.filter((axis) => axis !== inner), inner];

  const joined: { extent: number; axis: number }[] = [];
  for (const axis of ordered) {
    const extent = shape[axis]!;
    const outer = joined.at(-1);
    const asOne =
      outer !== undefined && operands.every(({ strides }) => strides[outer.axis] === strides[axis]! * extent);
    if (asOne) joined.splice(-1, 1, { extent: outer.extent * extent, axis });
    else joined.push({ extent, axis });
  }
  return { shape: joined.map(({ extent }) => extent), axes: joined.map(({ axis }) => axis) };
}

/** The same operand with the strides of a simplified domain. */
export const inDomain = <A extends Affine>(operand: A, domain: Domain): A => ({
  ...operand,
  strides: domain.axes.map((axis) => (axis === null ? 0 : operand.strides[axis]!)),
});

/** A scalar with its operands replaced. */
export function mapOperands(scalar: Scalar, map: <A extends Affine>(operand: A) => A): Scalar {
  switch (scalar.kind) {
    case 'load': {
      const gather = scalar.gather && { ...scalar.gather, ids: map(scalar.gather.ids) };
      return { ...scalar, ref: map(scalar.ref), gather };
    }
    case 'coordinate':
      return { ...scalar, index: map(scalar.index) };
    case 'random':
      return { ...scalar, key: map(scalar.key), index: map(scalar.index) };
    default:
      return scalar;
  }
}

/** The operands in memory that scalars read. */
function loadedRefs(scalars: readonly Scalar[]): Ref[] {
  return scalars.flatMap((scalar) => {
    if (scalar.kind === 'load') return scalar.gather ? [scalar.ref, scalar.gather.ids] : [scalar.ref];
    return scalar.kind === 'random' ? [scalar.key] : [];
  });
}

/** Everything in scalars that has strides. */
export function operandsOf(scalars: readonly Scalar[]): Affine[] {
  const indices = scalars.flatMap((scalar) =>
    scalar.kind === 'coordinate' || scalar.kind === 'random' ? [scalar.index] : [],
  );
  return [...loadedRefs(scalars), ...indices];
}
