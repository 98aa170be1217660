/** A step of a cell as one product: what gates are, for every kernel of products. */
import type { GemmStage, Ref, Scalar } from '../../kernels/stage.js';
import { ref } from '../support/products.js';
import { floats, numbers } from './gpu.js';

export const accumulator = (slot = 0): Scalar => ({ kind: 'accumulator', slot });
const load = (from: Ref): Scalar => ({ kind: 'load', ref: from, gather: null });
const call = (fn: Extract<Scalar, { kind: 'call' }>['fn'], ...args: number[]): Scalar => ({
  ...{ kind: 'call', fn, args },
});

/** Two terms into three slots, the second into two of them, from operands of each layout; a cell as the epilogue. */
export function gates(
  operands: typeof floats,
  [rows, columns, depth0, depth1]: readonly [number, number, number, number],
) {
  const slots = 3;
  const stage: GemmStage = {
    ...{ kind: 'gemm', batch: 1, rows, columns, slots },
    terms: [
      {
        depth: depth0,
        a: ref(1, [0, depth0, 1]),
        b: ref(2, [0, slots * columns, 1]),
        slots: [0, 1, 2].map((slot) => ({ slot, offset: slot * columns })),
      },
      {
        depth: depth1,
        a: ref(3, [0, 1, rows]),
        b: ref(4, [0, 1, depth1]),
        slots: [
          { slot: 0, offset: 0 },
          { slot: 2, offset: depth1 * columns },
        ],
      },
    ],
    scalars: [
      ...[0, 1, 2].map(accumulator),
      load(ref(5, [0, 0, 1])),
      call('add', 0, 3),
      call('sigmoid', 4),
      call('tanh', 1),
      call('mul', 5, 6),
      call('sub', 7, 2),
    ],
    stores: [
      { ref: ref(6, [0, columns, 1]), value: 8 },
      { ref: ref(6, [0, 1, rows], rows * columns), value: 5 },
    ],
  };
  const buffers = [
    floats('arena', [0]),
    operands('x', numbers(rows * depth0, 1)),
    operands('w', numbers(depth0 * slots * columns, 2)),
    operands('h', numbers(rows * depth1, 3)),
    operands('u', numbers(2 * depth1 * columns, 4)),
    floats('bias', numbers(columns, 5)),
    floats('y', numbers(2 * rows * columns, 6)),
  ];
  return { stage, buffers };
}
