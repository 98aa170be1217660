/** Nested loops over constant extents. */
import type { Expression, FunctionBuilder } from './assembler.js';
import { i32 } from './expression.js';

export function nest(
  f: FunctionBuilder,
  shape: readonly number[],
  body: (indices: readonly Expression[]) => void,
): void {
  const [extent, ...inner] = shape;
  if (extent === undefined) body([]);
  else if (extent === 1) nest(f, inner, (indices) => body([i32.constant(0), ...indices]));
  else {
    f.for(i32.constant(0), i32.constant(extent), 1, (index) =>
      nest(f, inner, (indices) => body([index, ...indices])),
    );
  }
}
