/** A matrix product as a plain triple loop, the innermost over neighbouring elements. */
export function naiveProduct(
  a: Float32Array,
  b: Float32Array,
  c: Float32Array,
  shape: {
    readonly rows: number;
    readonly columns: number;
    readonly depth: number;
    readonly transA: boolean;
  },
): void {
  const { rows, columns, depth, transA } = shape;
  c.fill(0);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < depth; k++) {
      const x = transA ? a[k * rows + i]! : a[i * depth + k]!;
      for (let j = 0; j < columns; j++) c[i * columns + j] = c[i * columns + j]! + x * b[k * columns + j]!;
    }
}
