/** Where the values that one group computes stand in its nest: at each element, once for each row, or at parts of it. */
import type { Node, Shape, Value } from '../program/program.js';
import { sizeOf } from '../program/program.js';
import { type Access, around, identity, join, rowMajor, split } from './access.js';

/** The most parts of a row that a nest holds side by side: more would spill registers. */
const MAX_PARTS = 8;

/** Whether a nest can hold rows as equal parts of a width side by side. */
const canPart = (rowWidth: number, width: number): boolean =>
  width > 1 && rowWidth % width === 0 && rowWidth / width <= MAX_PARTS;

/**
 * The accesses of a nest's own place to a tensor whose rows are so many times as wide as the nest's: one for each part.
 * @param outer axes of the nest in front of `shape`.
 */
export function rowParts(shape: Shape, rowWidth: number, outer: number): Access[] {
  const columns = shape.at(-1)!;
  const { strides } = identity([...shape.slice(0, -1), rowWidth], outer);
  return Array.from({ length: rowWidth / columns }, (_, part) => ({ offset: part * columns, strides }));
}

/**
 * The width of the equal parts in which the rows that a sum takes in are read elsewhere, or made, like the gates of a
 * cell: then the sum and the cell can share a nest. The width of the rows where there are none.
 */
export function partWidth(
  value: Value,
  users: ReadonlyMap<Value, readonly Node[]>,
  isInline: (value: Value) => boolean,
): number {
  const { node, type } = value;
  const rowWidth = type.shape.at(-1)!;
  const isLast = ({ op }: Node) => 'axis' in op && op.axis === type.shape.length - 1;
  const slices = (users.get(value) ?? []).filter((u) => u.op.kind === 'slice' && isLast(u));
  const parts = node.op.kind === 'concat' && isLast(node) ? node.inputs : slices.map((u) => u.outputs[0]!);
  const [width, ...others] = new Set(parts.map((part) => part.type.shape.at(-1)!));
  if (width !== undefined && others.length === 0 && canPart(rowWidth, width)) return width;
  if (!isInline(value)) return rowWidth;
  const operands = node.inputs.filter((v) => v.type.shape.at(-1) === rowWidth);
  return Math.min(rowWidth, ...operands.map((v) => partWidth(v, users, isInline)));
}

/**
 * The accesses of a nest's own place to a value which its group may compute: one where there are as many elements.
 * Where there are sums along rows, also one to a value of one for each row, and several to a value of wider rows.
 * None to any other.
 */
export function placesOf(value: Value, shape: Shape, hasSums: boolean, outer: number): Access[] {
  const size = sizeOf(value.type.shape);
  const elements = sizeOf(shape);
  if (size === elements) return [identity(shape, outer)];
  const columns = shape.at(-1)!;
  const rowWidth = value.type.shape.at(-1)!;
  if (!hasSums) return [];
  if (size * columns === elements) {
    const perRow = identity(shape.slice(0, -1), outer);
    return [{ offset: perRow.offset, strides: [...perRow.strides, 0] }];
  }
  const isWider = size * columns === elements * rowWidth && canPart(rowWidth, columns);
  return isWider ? rowParts(shape, rowWidth, outer) : [];
}

/** The part of a concat that an access to it stays within, and the access to that; null when there is none such. */
export function partAt(
  concat: Node,
  axis: number,
  access: Access,
  extents: Shape,
): { value: Value; access: Access } | null {
  const coordinates = split(access, extents, around(concat.outputs[0]!.type.shape, axis));
  if (coordinates === null) return null;
  const [before, along, behind] = coordinates as [Access, Access, Access];
  const last = along.strides.reduce((n, s, k) => n + s * (extents[k]! - 1), along.offset);
  let start = 0;
  for (const value of concat.inputs) {
    const from = along.offset - start;
    const { shape } = value.type;
    start += shape[axis]!;
    if (from < 0 || last >= start) continue;
    const strides = rowMajor(around(shape, axis));
    return { value, access: join([before, { ...along, offset: from }, behind], strides) };
  }
  return null;
}
