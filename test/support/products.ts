/** Products of awkward sizes: what a gemm must do at any shape, transposition and alignment. */
import fc from 'fast-check';
import type { GemmStage, Ref } from '../../kernels/stage.js';
import { type Buffer, floats, halves, magnitude, numbers } from './stages.js';

export const ref = (buffer: number, strides: readonly number[], offset = 0): Ref => ({
  ...{ buffer, offset, strides },
  time: null,
});

export interface ProductShape {
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Elements before the first of each operand. */
  readonly offset: number;
}

export interface Product {
  readonly stage: GemmStage;
  readonly buffers: Buffer[];
  /** What the rounding of its sums is relative to; as long to find as the product. */
  readonly scale: number;
}

const withScale = (stage: GemmStage, buffers: Buffer[]): Product => ({
  stage,
  buffers,
  get scale() {
    return magnitude(stage, buffers, 3);
  },
});

/** C = A B + C over buffers A, B, C. */
export function product(shape: ProductShape): Product {
  const { batch, rows, columns, depth, transposeA, transposeB, offset } = shape;
  const a = transposeA ? [rows * depth, 1, rows] : [rows * depth, depth, 1];
  const b = transposeB ? [depth * columns, 1, depth] : [depth * columns, columns, 1];
  const c = ref(3, [rows * columns, columns, 1], offset);
  const stage: GemmStage = {
    kind: 'gemm',
    ...{ batch, rows, columns },
    slots: 1,
    terms: [{ depth, a: ref(1, a, offset), b: ref(2, b, offset), slots: [{ slot: 0, offset: 0 }] }],
    scalars: [
      { kind: 'accumulator', slot: 0 },
      { kind: 'load', ref: c, gather: null },
      { kind: 'call', fn: 'add', args: [0, 1] },
    ],
    stores: [{ ref: c, value: 2 }],
  };
  const buffers = [
    floats('arena', [0]),
    floats('a', numbers(offset + batch * rows * depth, 1)),
    floats('b', numbers(offset + batch * depth * columns, 2)),
    floats('c', numbers(offset + batch * rows * columns, 3)),
  ];
  return withScale(stage, buffers);
}

/** The same of operands that are halves, C of floats. */
export function productOfHalves(shape: ProductShape): Product {
  const { stage, buffers } = product(shape);
  return withScale(
    stage,
    buffers.map((each, n) => (n === 1 || n === 2 ? halves(each.name, each.data) : each)),
  );
}

const awkward = fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 12, 13, 16, 17, 31, 33, 64, 67);

export const productShapes = fc.record<ProductShape>({
  batch: fc.constantFrom(1, 1, 2, 3),
  rows: awkward,
  columns: awkward,
  depth: awkward,
  transposeA: fc.boolean(),
  transposeB: fc.boolean(),
  offset: fc.constantFrom(0, 0, 1, 4),
});
