/**
 * Index arithmetic: which element of a tensor a point of a loop nest touches. An access is an affine function from
 * the nest's indices to the tensor's row-major element number; views turn accesses into accesses.
 */
import type { Node, Shape } from '../program/program.js';
import { sizeOf } from '../program/program.js';

export interface Access {
  readonly offset: number;
  /** One for each axis of the nest. */
  readonly strides: readonly number[];
}

export function rowMajor(shape: Shape): number[] {
  const strides = shape.map(() => 1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * shape[i + 1]!;
  return strides;
}

/** Strides of axes that do not move count as 0, so that equal accesses look equal. */
export function normal(access: Access, extents: Shape): Access {
  return { offset: access.offset, strides: access.strides.map((s, k) => (extents[k] === 1 ? 0 : s)) };
}

export function sameAccess(a: Access, b: Access): boolean {
  return a.offset === b.offset && a.strides.every((s, k) => s === b.strides[k]);
}

/**
 * The access, one coordinate for each axis of `shape`, or null when an axis of the nest runs over the end of one
 * axis into the next, so that no affine coordinates exist.
 */
export function split(access: Access, extents: Shape, shape: Shape): Access[] | null {
  const sizes = rowMajor(shape);
  const digits = (n: number): number[] => {
    let rest = n;
    return shape.map((d, j) => {
      if (d === 1) return 0;
      const q = Math.floor(rest / sizes[j]!);
      rest -= q * sizes[j]!;
      return q;
    });
  };
  const offset = digits(access.offset);
  const strides = access.strides.map((s, k) => (extents[k] === 1 ? shape.map(() => 0) : digits(s)));
  const coordinates = shape.map((_, j) => ({ offset: offset[j]!, strides: strides.map((s) => s[j]!) }));
  const fits = coordinates.every((c, j) => {
    const last = c.strides.reduce((n, s, k) => n + s * (extents[k]! - 1), c.offset);
    return last < shape[j]!;
  });
  return fits ? coordinates : null;
}

/** The element number, from coordinates and the stride of each. */
export function join(coordinates: readonly Access[], strides: readonly number[], offset = 0): Access {
  const rank = coordinates[0]?.strides.length ?? 0;
  const total = { offset, strides: new Array<number>(rank).fill(0) };
  coordinates.forEach((c, j) => {
    total.offset += c.offset * strides[j]!;
    c.strides.forEach((s, k) => (total.strides[k]! += s * strides[j]!));
  });
  return total;
}

/** A shape seen as [what is before the axis, the axis, what is behind it]. */
export const around = (shape: Shape, axis: number): [number, number, number] => [
  sizeOf(shape.slice(0, axis)),
  shape[axis]!,
  sizeOf(shape.slice(axis + 1)),
];

/** The access to a view's input that an access to the view is; null when it is not affine. */
export function throughView(node: Node, access: Access, extents: Shape): Access | null {
  const { op } = node;
  const from = node.inputs[0]!.type.shape;
  const to = node.outputs[0]!.type.shape;
  if (op.kind === 'reshape') return access;
  if (op.kind === 'slice') {
    const inner = around(from, op.axis);
    // Of the outermost axis a slice is a mere offset, whatever the nest's axes run over.
    if (inner[0] === 1) return { offset: access.offset + op.start * inner[2], strides: access.strides };
    const coordinates = split(access, extents, around(to, op.axis));
    return coordinates && join(coordinates, rowMajor(inner), op.start * inner[2]);
  }
  if (op.kind === 'transpose') {
    // Axes that stay neighbours move as one.
    const runs: number[][] = [];
    for (const p of op.permutation) {
      const run = runs[runs.length - 1];
      if (run !== undefined && p === run[run.length - 1]! + 1) run.push(p);
      else runs.push([p]);
    }
    const coordinates = split(
      access,
      extents,
      runs.map((run) => sizeOf(run.map((p) => from[p]!))),
    );
    const strides = rowMajor(from);
    return (
      coordinates &&
      join(
        coordinates,
        runs.map((run) => strides[run[run.length - 1]!]!),
      )
    );
  }
  if (op.kind === 'broadcast') return throughBroadcast(access, extents, from, to);
  throw new Error(`${op.kind} is not a view`);
}

/** The access to an operand of shape `from` that broadcasts to `to`. */
export function throughBroadcast(access: Access, extents: Shape, from: Shape, to: Shape): Access | null {
  const lead = to.length - from.length;
  const strides = rowMajor(from);
  // Neighbouring axes that all broadcast, or all do not, move as one.
  const runs: { size: number; stride: number }[] = [];
  let wasStretched: boolean | null = null;
  to.forEach((d, i) => {
    if (d === 1) return;
    const stretched = i < lead || from[i - lead] === 1;
    if (wasStretched === stretched) {
      const run = runs[runs.length - 1]!;
      run.size *= d;
      run.stride = stretched ? 0 : strides[i - lead]!;
    } else runs.push({ size: d, stride: stretched ? 0 : strides[i - lead]! });
    wasStretched = stretched;
  });
  const coordinates = split(
    access,
    extents,
    runs.map((run) => run.size),
  );
  if (coordinates === null) return null;
  return coordinates.length === 0
    ? { offset: 0, strides: access.strides.map(() => 0) }
    : join(
        coordinates,
        runs.map((run) => run.stride),
      );
}

/** The access, in a nest over `shape` (behind `outer` further axes), to the element at the nest's own place. */
export function identity(shape: Shape, outer = 0): Access {
  return { offset: 0, strides: [...new Array<number>(outer).fill(0), ...rowMajor(shape)] };
}
