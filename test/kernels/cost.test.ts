import { describe, expect, it } from 'vitest';
import { costOf } from '../../kernels/cost.js';
import type { Ref, Stage } from '../../kernels/stage.js';
import { normalisedRows } from '../support/row-stages.js';

const ref = (strides: readonly number[]): Ref => ({ buffer: 0, offset: 0, strides, time: null });

describe('cost', () => {
  it.each<[string, Stage, { flops: number; bytes: number }]>([
    [
      'a gemm with four slots: 2 flops a multiply-add, A read once for all slots, an epilogue of one call',
      {
        ...{ kind: 'gemm', batch: 1, rows: 3, columns: 5, slots: 4 },
        terms: [
          {
            depth: 7,
            a: ref([0, 7, 1]),
            b: ref([0, 5, 1]),
            slots: [0, 1, 2, 3].map((slot) => ({ slot, offset: 35 * slot })),
          },
        ],
        scalars: [
          { kind: 'accumulator', slot: 0 },
          { kind: 'load', ref: ref([0, 0, 1]), gather: null },
          { kind: 'call', fn: 'add', args: [0, 1] },
        ],
        stores: [{ ref: ref([0, 5, 1]), value: 2 }],
      },
      { flops: 2 * 3 * 5 * 7 * 4 + 15, bytes: 4 * (3 * 7 + 4 * 7 * 5 + 5 + 15) },
    ],
    [
      'a pointwise stage that broadcasts and gathers',
      {
        ...{ kind: 'pointwise', shape: [6, 8] },
        scalars: [
          { kind: 'load', ref: ref([0, 1]), gather: { ids: ref([1, 0]), stride: 8, size: 100 } },
          { kind: 'load', ref: ref([0, 1]), gather: null },
          { kind: 'call', fn: 'mul', args: [0, 1] },
        ],
        stores: [{ ref: ref([8, 1]), value: 2 }],
      },
      { flops: 48, bytes: 4 * (6 + 48 + 8 + 48) },
    ],
    [
      'a sum of squares',
      {
        ...{ kind: 'reduce', kept: [4], reduced: [10], value: 1 },
        scalars: [
          { kind: 'load', ref: ref([10, 1]), gather: null },
          { kind: 'call', fn: 'mul', args: [0, 0] },
        ],
        stores: [ref([1])],
      },
      { flops: 80, bytes: 4 * 44 },
    ],
    [
      'rows: a sum is an addition an element, what is stored once for each row moves once',
      normalisedRows([4, 10], { x: ref([10, 1]), y: ref([10, 1]), variance: ref([1, 0]) }),
      { flops: 40 * (10 + 3), bytes: 4 * (40 + 40 + 4) },
    ],
    [
      'scatter-add',
      {
        ...{ kind: 'scatterAdd', count: 9, size: 4, width: 5 },
        ...{ ids: ref([1]), source: ref([5, 1]), target: ref([5, 1]) },
      },
      { flops: 45, bytes: 4 * (9 + 45 + 20) },
    ],
  ])('%s', (_, stage, cost) => {
    expect(costOf(stage)).toEqual(cost);
  });
});
