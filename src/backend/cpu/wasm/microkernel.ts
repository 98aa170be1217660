/**
 * The innermost loops of a matrix product: a tile of C stays in registers while a strip of A (a few rows) and a
 * panel of B (PANEL columns) stream by. Goto and van de Geijn, "Anatomy of high-performance matrix
 * multiplication", 2008.
 */
import type { Expression, FunctionBuilder, Local, ModuleBuilder } from './assembler.js';
import { f32x4, i32, load, store } from './expression.js';

/** Rows of a tile. */
export const TILE_ROWS = 4;
/** Columns of a tile, and of a panel of B: two vectors. 4 x 2 sums, and what feeds them, fit 16 registers. */
export const PANEL = 8;
const VECTORS = PANEL / 4;
/** Inner indices per round of the loop. */
const UNROLL = 4;

export interface TileShape {
  readonly rows: number;
  /** Elements between A's rows, and between its successive inner indices; not negative. */
  readonly aStrides: { readonly row: number; readonly inner: number };
  /** Elements between C's rows. */
  readonly cStride: number;
}

/**
 * The function (a, b, c, depth, accumulates): C = A B, or C += A B where `accumulates` is 1. `a`, `b` and `c`
 * are byte addresses; B is a panel, [depth, PANEL].
 */
export function microkernel(module: ModuleBuilder, shape: TileShape): FunctionBuilder {
  return module.once(`microkernel ${JSON.stringify(shape)}`, () => {
    const f = module.function('i32', 'i32', 'i32', 'i32', 'i32');
    const [a, b, c, depth] = [0, 1, 2, 3];
    const get = (local: Local): Expression => f.variable(local);
    const sums = Array.from({ length: shape.rows * VECTORS }, () => f.local('v128'));
    const cOffset = (k: number) => 4 * (Math.floor(k / VECTORS) * shape.cStride + 4 * (k % VECTORS));

    f.if(get(4), () => {
      sums.forEach((sum, k) => {
        f.set(sum, load('v128.load', get(c), cOffset(k)));
      });
    });

    const { row, inner } = shape.aStrides;
    const step = (u: number): void => {
      const columns = Array.from({ length: VECTORS }, (_, v) =>
        f.let('v128', load('v128.load', get(b), 4 * (u * PANEL + 4 * v))),
      );
      for (let i = 0; i < shape.rows; i++) {
        const element = f.let('v128', load('v128.load32_splat', get(a), 4 * (i * row + u * inner)));
        columns.forEach((column, v) => {
          const sum = sums[i * VECTORS + v]!;
          f.set(sum, f32x4.add(get(sum), f32x4.mul(element, column)));
        });
      }
    };
    f.while(i32.greater(get(depth), i32.constant(0)), () => {
      for (let u = 0; u < UNROLL; u++) {
        // The exit also keeps the rounds apart: V8 would move the loads of all rounds to the front, and spill
        // sums to make room for them.
        if (u > 0) f.breakIf(i32.less(get(depth), i32.constant(u + 1)));
        step(u);
      }
      f.set(a, i32.plus(get(a), 4 * UNROLL * inner));
      f.set(b, i32.plus(get(b), 4 * UNROLL * PANEL));
      f.set(depth, i32.plus(get(depth), -UNROLL));
    });

    sums.forEach((sum, k) => {
      store(f, 'v128.store', get(c), cOffset(k), get(sum));
    });
    return f;
  });
}
