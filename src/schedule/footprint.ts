/**
 * Sets of elements, and whether they can meet. A footprint is everything that an operand touches in the course of
 * some steps:
 *
 *     { from + sum_k strides[k] * x_k : 0 <= x_k < counts[k] }      strides > 0
 *
 * The answers are exact where they say "never", and cautious where they do not.
 */
import type { StageAccess } from './accesses.js';

export interface Footprint {
  readonly buffer: number;
  readonly from: number;
  /** Behind its last element. */
  readonly to: number;
  readonly axes: readonly FootprintAxis[];
}

interface FootprintAxis {
  readonly stride: number;
  readonly count: number;
}

/** The times at which a stage runs. */
export interface Times {
  readonly first: number;
  readonly last: number;
}

export const once: Times = { first: 0, last: 0 };

/**
 * What an access touches at all of the times.
 * @param rowAxis an axis of the domain to hold at 0.
 */
export function footprintOf(access: StageAccess, times: Times, rowAxis?: number): Footprint {
  const { ref, shape, beside, inDomain } = access;
  let from = ref.offset;
  const axes: FootprintAxis[] = [];
  const add = (stride: number, count: number) => {
    if (stride === 0 || count === 1) return;
    if (stride < 0) from += stride * (count - 1);
    axes.push({ stride: Math.abs(stride), count });
  };
  shape.forEach((size, axis) => {
    if (!(inDomain && axis === rowAxis)) add(ref.strides[axis]!, size);
  });
  add(beside.stride, beside.count);
  if (ref.time !== null && ref.time.stride !== 0) {
    const { stride, shift, ring } = ref.time;
    const [low, high] = [Math.min(times.first, times.last), Math.max(times.first, times.last)];
    if (ring > 0) add(stride, ring);
    else {
      from += stride * (low + shift);
      add(stride, high - low + 1);
    }
  }
  return { buffer: ref.buffer, from, to: from + extent(axes), axes };
}

/** Elements from the first to the last, both counted. */
const extent = (axes: readonly FootprintAxis[]): number =>
  axes.reduce((sum, { stride, count }) => sum + stride * (count - 1), 1);

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));
const modulo = (a: number, m: number): number => ((a % m) + m) % m;

/** A footprint modulo m: what axes of multiples of m do is gone. Null when what is left does not fit below m. */
function residue({ from, axes }: Footprint, m: number): { start: number; length: number } | null {
  const length = extent(axes.filter(({ stride }) => stride % m !== 0));
  return length > m ? null : { start: modulo(from, m), length };
}

/** Whether two footprints have no element in common. */
export function areDisjoint(a: Footprint, b: Footprint): boolean {
  if (a.buffer !== b.buffer) return true;
  if (a.to <= b.from || b.to <= a.from) return true;
  // Columns of one matrix: apart modulo its width, or that of a larger block.
  const strides = new Set([...a.axes, ...b.axes].map(({ stride }) => stride));
  for (const stride of strides) {
    const m = [...strides].filter((other) => other >= stride).reduce(gcd);
    const [x, y] = [residue(a, m), residue(b, m)];
    if (x === null || y === null) continue;
    const between = modulo(y.start - x.start, m);
    if (between >= x.length && m - between >= y.length) return true;
  }
  return false;
}

/**
 * Whether a and b have no element in common when they are moved by different numbers of rows, 0 <= i, j < rows and
 * i != j, a row being `pitch` elements.
 *
 * Both must lie in one window of `pitch` elements, modulo some m of at least rows * pitch of which every larger stride
 * is a multiple: then row i is in window i, and the windows of all rows are apart.
 */
export function rowsAreDisjoint(a: Footprint, b: Footprint, pitch: number, rows: number): boolean {
  const width = Math.abs(pitch);
  if (width === 0) return rows === 1;
  const outer = [...a.axes, ...b.axes].map(({ stride }) => stride).filter((stride) => stride >= rows * width);
  const apart = Math.max(a.to - a.from, b.to - b.from) + Math.abs(a.from - b.from) + rows * width;
  // Without larger strides there is nothing to wrap around.
  const m = outer.length === 0 ? 2 * apart : outer.reduce(gcd);
  if (m < rows * width) return false;
  const [x, y] = [residue(a, m), residue(b, m)];
  if (x === null || y === null) return false;
  const between = modulo(y.start - x.start, m);
  // One window that begins where a does, or where b does.
  return (
    Math.max(x.length, between + y.length) <= width || Math.max(y.length, m - between + x.length) <= width
  );
}
