/** Affine indices as WGSL expressions, and domains with fewer axes. */
import type { Affine } from './stage.js';

/** The loop's time in generated WGSL: the uniform's field. */
const timeName = 'time.t';

/**
 * An index as an i32 expression. `axes` are the expressions of the domain's indices; literals are baked in,
 * zeros and ones are left out.
 */
export function indexExpression(index: Affine, axes: readonly string[]): string {
  let offset = index.offset;
  const summands: string[] = [];
  const add = (stride: number, place: string) => {
    if (stride === 0 || place === '0') return;
    summands.push(stride === 1 ? place : `${stride} * ${place}`);
  };
  axes.forEach((axis, k) => {
    add(index.strides[k] ?? 0, axis);
  });
  const time = index.time;
  if (time !== null && time.stride !== 0) {
    if (time.ring > 0) {
      // % truncates in WGSL; t >= 0 and a shift in [0, ring) keep it away from negative numbers.
      const shift = ((time.shift % time.ring) + time.ring) % time.ring;
      const place = shift === 0 ? timeName : `(${timeName} + ${shift})`;
      if (time.ring > 1) add(time.stride, `(${place} % ${time.ring})`);
    } else {
      offset += time.stride * time.shift;
      add(time.stride, timeName);
    }
  }
  if (offset !== 0 || summands.length === 0) summands.unshift(String(offset));
  return summands.join(' + ');
}

/** Whether the expression of an index mentions the time. */
export const dependsOnTime = ({ time }: Affine): boolean =>
  time !== null && time.stride !== 0 && time.ring !== 1;

/** Whether an index is a multiple of 4 wherever its axis `contiguous`, of stride 1, is. */
export function isQuadAligned(index: Affine, contiguous: number): boolean {
  const multiple = (n: number) => n % 4 === 0;
  return (
    index.strides[contiguous] === 1 &&
    index.strides.every((stride, k) => k === contiguous || multiple(stride)) &&
    multiple(index.offset) &&
    (index.time === null || multiple(index.time.stride))
  );
}

export interface Domain {
  readonly shape: readonly number[];
  /** An index of the old domain over the new one. */
  readonly narrow: <T extends Affine>(index: T) => T;
}

/**
 * The same elements in the same order under fewer axes: axes of size 1 go, and neighbours that every index walks
 * as one become one. Every axis saved is a division saved for every element.
 * @param outermost the axis to walk slowest; by default the first.
 */
export function collapseAxes(shape: readonly number[], indices: readonly Affine[], outermost = 0): Domain {
  const sizes: number[] = [];
  const last: number[] = []; // the old axis whose stride a new axis has
  const order = [...shape.keys()].sort((a, b) => Number(b === outermost) - Number(a === outermost) || a - b);
  for (const axis of order) {
    const size = shape[axis]!;
    if (size === 1) continue;
    const outer = last.at(-1);
    const joins =
      outer !== undefined && indices.every(({ strides }) => strides[outer] === strides[axis]! * size);
    if (joins) {
      sizes[sizes.length - 1]! *= size;
      last[last.length - 1] = axis;
    } else {
      sizes.push(size);
      last.push(axis);
    }
  }
  return {
    shape: sizes,
    narrow: (index) => ({ ...index, strides: last.map((axis) => index.strides[axis]!) }),
  };
}

/**
 * Statements that take a row-major linear index apart: `let <prefix>0 = ...; let <prefix>1 = ...;`, the last axis
 * fastest. Returns the statements and the names.
 * @param each neighbours along the last axis that share an index; a divisor of its size.
 */
export function unravel(
  linear: string,
  shape: readonly number[],
  prefix: string,
  each = 1,
): [string[], string[]] {
  const names = shape.map((_, k) => `${prefix}${k}`);
  let inner = 1;
  const statements: string[] = [];
  for (let k = shape.length - 1; k >= 0; k--) {
    const isLast = k === shape.length - 1;
    const size = isLast ? shape[k]! / each : shape[k]!;
    const quotient = inner === 1 ? linear : `${linear} / ${inner}`;
    const place = k === 0 ? quotient : `(${quotient}) % ${size}`;
    const scaled = isLast && each > 1 ? `${each} * (${place})` : place;
    statements.unshift(`let ${names[k]} = ${scaled};`);
    inner *= size;
  }
  return [statements, names];
}

export const product = (sizes: readonly number[]): number => sizes.reduce((all, size) => all * size, 1);
