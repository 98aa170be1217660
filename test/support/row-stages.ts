/** A rows stage with sums of what other sums went into. Needs no backend. */
import type { Ref, RowsStage } from '../../kernels/stage.js';

/**
 * z = (x - mean) / sqrt(variance + 1/10) of each row, and from it y = z + sum of tanh(z) x; the variances by themselves.
 * @param refs over `shape`; that of `variance` is 0 along the row.
 */
export function normalisedRows(
  shape: readonly number[],
  refs: { readonly x: Ref; readonly y: Ref; readonly variance: Ref },
): RowsStage {
  return {
    kind: 'rows',
    shape,
    scalars: [
      { kind: 'load', ref: refs.x, gather: null },
      { kind: 'constant', value: 1 / shape.at(-1)! },
      { kind: 'rowSum', value: 0 },
      { kind: 'call', fn: 'mul', args: [2, 1] },
      { kind: 'call', fn: 'sub', args: [0, 3] },
      { kind: 'call', fn: 'mul', args: [4, 4] },
      { kind: 'rowSum', value: 5 },
      { kind: 'call', fn: 'mul', args: [6, 1] },
      { kind: 'constant', value: 0.1 },
      { kind: 'call', fn: 'add', args: [7, 8] },
      { kind: 'call', fn: 'sqrt', args: [9] },
      { kind: 'call', fn: 'div', args: [4, 10] },
      { kind: 'call', fn: 'tanh', args: [11] },
      { kind: 'call', fn: 'mul', args: [12, 0] },
      { kind: 'rowSum', value: 13 },
      { kind: 'call', fn: 'add', args: [11, 14] },
    ],
    stores: [
      { ref: refs.y, value: 15 },
      { ref: refs.variance, value: 7 },
    ],
  };
}
