/** Tiles by rule and by measurement, and what tells products apart that want different ones. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseTile, fastestTile, tilesByTime } from '../../kernels/gemm_tile.js';
import { defaultLimits } from '../../kernels/kernel.js';
import { productKey } from '../../kernels/product_key.js';
import type { GemmStage, Ref } from '../../kernels/stage.js';

const ref = (buffer: number, strides: number[], offset = 0): Ref => ({ buffer, offset, strides, time: null });

interface Sizes {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly slots?: number;
}

function product(
  { rows, columns, depth, slots = 1 }: Sizes,
  terms: Partial<GemmStage['terms'][0]> = {},
): GemmStage {
  return {
    ...{ kind: 'gemm', batch: 1, rows, columns, slots },
    terms: [
      {
        depth,
        a: ref(0, [0, depth, 1]),
        b: ref(1, [0, slots * columns, 1]),
        slots: Array.from({ length: slots }, (_, slot) => ({ slot, offset: slot * columns })),
        ...terms,
      },
    ],
    scalars: [{ kind: 'accumulator', slot: 0 }],
    stores: [{ ref: ref(2, [0, columns, 1]), value: 0 }],
  };
}

const size = fc.integer({ min: 1, max: 300 });
const sizes = fc.record({ rows: size, columns: size, depth: size, slots: fc.integer({ min: 1, max: 4 }) });

describe('the tiles of a product', () => {
  it('by time begin with the rule’s, and are different divisions', () => {
    fc.assert(
      fc.property(sizes, (each) => {
        const stage = product(each);
        const tiles = tilesByTime(stage, defaultLimits);
        expect(tiles[0]!.tile).toEqual(chooseTile(stage, defaultLimits));
        expect(tiles.map(({ time }) => time)).toEqual(tiles.map(({ time }) => time).sort((a, b) => a - b));
        const divisions = tiles.map(({ tile: { depth: _, ...division } }) => JSON.stringify(division));
        expect(new Set(divisions).size).toBe(divisions.length);
      }),
    );
  });

  it('copies nothing where workgroup memory is no nearer, and then keeps what it read for many sums', () => {
    const stage = product({ rows: 512, columns: 512, depth: 64 });
    const software = { ...defaultLimits, parallelInvocations: 16, coreInvocations: 8, directRead: 8 };
    expect(chooseTile(stage, software)).toMatchObject({ rowsEach: 8, columnsEach: 8, depth: 0 });
    expect(tilesByTime(stage, defaultLimits).every(({ tile }) => tile.depth > 0)).toBe(true);
  });

  it('is the measured one where there is one, alone but not in a shared workgroup', () => {
    const stage = product({ rows: 64, columns: 64, depth: 64 });
    const other = tilesByTime(stage, defaultLimits)[3]!.tile;
    const limits = { ...defaultLimits, tiles: new Map([[productKey(stage), other]]) };
    expect(chooseTile(stage, limits)).toEqual(other);
    const share = { threads: 256, room: 16384, tile: null };
    expect(fastestTile(stage, limits, share)).toEqual(fastestTile(stage, defaultLimits, share));
    const wider = product({ rows: 64, columns: 65, depth: 64 });
    expect(chooseTile(wider, limits)).toEqual(chooseTile(wider, defaultLimits));
  });
});

describe('the key of a product', () => {
  const plain = { rows: 32, columns: 48, depth: 64 };

  it('says its sizes and layouts', () => {
    expect(productKey(product(plain))).toBe('gemm [1, 32, 48], depth 64, N4 N4, then 1');
    expect(productKey(product(plain, { a: ref(0, [0, 1, 32]), b: ref(1, [0, 1, 64]) }))).toMatch(/ T4 T4,/);
    expect(productKey(product({ ...plain, slots: 4 }))).toMatch(/\] x 4, depth 64, N4 N4 of 4,/);
    expect(productKey(product({ ...plain, columns: 47 }))).toMatch(/, N4 N,/);
    expect(productKey(product(plain, { a: ref(0, [0, 128, 2]) }))).toMatch(/, S N4,/);
    expect(productKey(product({ ...plain, columns: 46, slots: 2 }))).toMatch(/, N4 N4 of 2, uneven,/);
  });

  it('is the same wherever the operands lie, as long as they are aligned', () => {
    const elsewhere = product(plain, { a: ref(5, [0, 128, 1], 64), b: ref(0, [0, 96, 1], 1024) });
    expect(productKey(elsewhere)).toBe(productKey(product(plain)));
    expect(productKey(product(plain, { a: ref(0, [0, 64, 1], 3) }))).not.toBe(productKey(product(plain)));
  });
});
