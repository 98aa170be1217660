/** How a product is computed: as a whole, or in slots, one for each of the slices that are all that is read of it. */
import type { Node, Value } from '../program/program.js';
import { type Access, normal, sameAccess } from './access.js';

/** How one product's result is seen by its group: a slot for each slice of its columns. */
export interface GemmView {
  readonly batch: number;
  readonly rows: number;
  /** Columns of the product, and of a slot. */
  readonly width: number;
  readonly columns: number;
  /** The first column of each slot. */
  readonly starts: readonly number[];
}

/** More running sums a thread than this would spill registers. */
export const MAX_SLOTS = 8;

/** The view of a product, from the nodes that read it and whether it must be stored as a whole. */
export function gemmView(product: Value, users: readonly Node[], isPinned: boolean): GemmView {
  const { shape } = product.type;
  const [rows, width] = shape.slice(-2) as [number, number];
  const batch = shape.length === 3 ? shape[0]! : 1;
  const slices = users.map(({ op }) => (op.kind === 'slice' && op.axis === shape.length - 1 ? op : null));
  const size = slices[0]?.size;
  const starts = [...new Set(slices.map((s) => s?.start ?? 0))].sort((a, b) => a - b);
  const sliced =
    size !== undefined &&
    !isPinned &&
    starts.length <= MAX_SLOTS &&
    slices.every((s) => s !== null && s.size === size);
  return { batch, rows, width, columns: sliced ? size : width, starts: sliced ? starts : [0] };
}

/** The slot that an access to a product reads at its nest's own place; the nest may have time in front. */
export function slotIn(
  { rows, width, starts }: GemmView,
  access: Access,
  extents: readonly number[],
): number | null {
  const outer = new Array<number>(extents.length - 3).fill(0);
  const slot = starts.findIndex((start) => {
    const own = normal({ offset: start, strides: [...outer, rows * width, width, 1] }, extents);
    return sameAccess(own, normal(access, extents));
  });
  return slot < 0 ? null : slot;
}
