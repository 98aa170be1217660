/**
 * Matrix products: B packed into panels, row blocks of A against blocks of columns, the sums in a scratch
 * block that stays in the cache until the stage's scalars have been evaluated on it.
 */
import type { GemmStage, GemmTerm, Ref, Scalar } from '../../../../kernels/stage.js';
import { startAddress } from './addresses.js';
import type { Expression, FunctionBuilder } from './assembler.js';
import type { CompiledStage, Environment } from './environment.js';
import { affine, i32 } from './expression.js';
import { microkernel, PANEL, TILE_ROWS } from './microkernel.js';
import { pack } from './pack.js';
import { Rows } from './rows.js';
import { type Range, share, stageFunction, timeOf } from './share.js';

/** Inner indices per pass over a tile: a panel of B of this depth takes half of a small first-level cache, 8 KiB. */
const DEPTH_BLOCK = 256;
/** Rows of A that are packed together at most. */
const ROW_BLOCK = 64;
/** Elements of packed A at most (unless four tiles have more): a quarter of a small second-level cache. */
const PACKED_A = 1 << 16;
/** Elements of the block of sums at most: a first-level cache of 32 KiB. */
const SUMS = 1 << 13;

const roundUp = (x: number, multiple: number): number => Math.ceil(x / multiple) * multiple;
const roundDown = (x: number, multiple: number): number => Math.floor(x / multiple) * multiple;
const bytes = (elements: number): number => 4 * elements;

/** The order and the sizes of the blocks. */
interface Blocking {
  readonly rows: number;
  /** A multiple of PANEL, as is the distance between the slots of a row of sums. */
  readonly columns: number;
  /** Elements between the rows of sums. */
  readonly sumsStride: number;
}

/** One term with the places where its packed operands go. */
interface Operand {
  readonly term: GemmTerm;
  /** The byte address of A's first element. */
  readonly a: Expression;
  /** Byte offset of A's packed row block in scratch memory; null when A is used where it is. */
  readonly packedA: number | null;
  /** The byte address of packed B, [slot of the term][batch][panel][depth][PANEL]. */
  readonly packedB: Expression;
  /** 1 when all batches share B. */
  readonly batchesOfB: number;
  readonly elementsOfB: number;
}

const isFed = (stage: GemmStage, slot: number): boolean =>
  stage.terms.some((term) => term.depth > 0 && term.slots.some((fed) => fed.slot === slot));

function chooseBlocks(stage: GemmStage): Blocking {
  const packedDepth = stage.terms.reduce((sum, term) => sum + (isRowMajor(term.a) ? 0 : term.depth), 0);
  const packable = Math.max(roundDown(PACKED_A / Math.max(packedDepth, 1), TILE_ROWS), 4 * TILE_ROWS);
  const rows = Math.min(ROW_BLOCK, packable, roundUp(stage.rows, TILE_ROWS));
  const summable = Math.max(roundDown(SUMS / (rows * stage.slots), PANEL), PANEL);
  const columns = Math.min(summable, roundUp(stage.columns, PANEL));
  return { rows, columns, sumsStride: stage.slots * columns };
}

/** Whether the microkernel can read A as it is: rows are contiguous. */
const isRowMajor = (a: Ref): boolean => a.strides[2] === 1 && a.strides[1]! >= 0;

/**
 * The stores must not overlap what the terms read: blocks are stored while others are yet to be computed.
 *
 * @param isInvariant Whether an operand's elements are the same in all iterations of the loop around the stage.
 */
export function compileGemm(
  stage: GemmStage,
  environment: Environment,
  isInvariant: (ref: Ref, shape: readonly number[]) => boolean,
): CompiledStage {
  const { module, scratch, packed } = environment;
  const { batch, columns, slots } = stage;
  const blocks = chooseBlocks(stage);
  const f = stageFunction(module);
  const t = timeOf(f);
  let prepare: FunctionBuilder | null = null;
  let packEachTime: FunctionBuilder | null = null;

  scratch.reset();
  const sums = f.let('i32', i32.plus(scratch.base, scratch.take(bytes(blocks.rows * blocks.sumsStride))));
  if (Array.from({ length: slots }, (_, slot) => isFed(stage, slot)).includes(false)) {
    f.zero(sums, i32.constant(bytes(blocks.rows * blocks.sumsStride)));
  }
  const operands = stage.terms
    .filter((term) => term.depth > 0)
    .map((term): Operand => {
      const batchesOfB = term.b.strides[0] === 0 ? 1 : batch;
      const elementsOfB = roundUp(columns, PANEL) * term.depth;
      const packedB = i32.plus(packed.base, packed.take(bytes(term.slots.length * batchesOfB * elementsOfB)));
      const invariant = term.slots.every(({ offset }) =>
        isInvariant({ ...term.b, offset: term.b.offset + offset }, [batch, term.depth, columns]),
      );
      const packer = invariant
        ? (prepare ??= stageFunction(module))
        : (packEachTime ??= stageFunction(module));
      packB(packer, term, columns, batchesOfB, packedB);
      const packedA = isRowMajor(term.a) ? null : scratch.take(bytes(blocks.rows * term.depth));
      return {
        term,
        a: f.let('i32', startAddress(term.a, t)),
        packedA,
        packedB: f.let('i32', packedB),
        batchesOfB,
        elementsOfB,
      };
    });

  const epilogue = compileEpilogue(f, stage, environment, blocks, sums);
  const mine = shareOf(f, stage);
  f.for(i32.constant(0), i32.constant(batch), 1, (b) =>
    f.for(mine.rows.from, mine.rows.to, blocks.rows, (i0) => {
      const rows = f.let('i32', i32.min(i32.sub(mine.rows.to, i0), i32.constant(blocks.rows)));
      const strips = operands.map((operand) => rowBlock(f, operand, b, i0, rows, environment));
      f.for(mine.columns.from, mine.columns.to, blocks.columns, (j0) => {
        const end = f.let('i32', i32.min(i32.plus(j0, blocks.columns), mine.columns.to));
        operands.forEach((operand, k) => {
          const isFirst = (slot: number) =>
            !operands.slice(0, k).some(({ term }) => term.slots.some((fed) => fed.slot === slot));
          multiplyBlock(f, stage, blocks, operand, strips[k]!, { b, rows, j0, end, sums, isFirst });
        });
        epilogue(b, i0, rows, j0, end);
      });
    }),
  );
  return { prepare, execute: packEachTime === null ? [f] : [packEachTime, f] };
}

/** Rows are divided where there are blocks of them, otherwise columns, so that each thread reads its panels of B only. */
function shareOf(f: FunctionBuilder, { rows, columns }: GemmStage): { rows: Range; columns: Range } {
  const all = (extent: number): Range => ({ from: i32.constant(0), to: i32.constant(extent) });
  return rows >= 2 * ROW_BLOCK
    ? { rows: share(f, rows, TILE_ROWS), columns: all(columns) }
    : { rows: all(rows), columns: share(f, columns, PANEL) };
}

function packB(
  f: FunctionBuilder,
  term: GemmTerm,
  columns: number,
  batchesOfB: number,
  packedB: Expression,
): void {
  const [batchStride, along, across] = term.b.strides;
  const size = roundUp(columns, PANEL) * term.depth;
  const { from, to } = share(f, columns, PANEL);
  term.slots.forEach(({ offset }, k) => {
    const start = startAddress({ ...term.b, offset: term.b.offset + offset }, timeOf(f));
    f.for(i32.constant(0), i32.constant(batchesOfB), 1, (b) =>
      pack(f, {
        source: affine(start, [b, from], [bytes(batchStride!), bytes(across!)]),
        destination: affine(
          i32.plus(packedB, bytes(k * batchesOfB * size)),
          [b, from],
          [bytes(size), bytes(term.depth)],
        ),
        across: { stride: across!, extent: i32.sub(to, from) },
        along: { stride: along!, extent: term.depth },
        width: PANEL,
      }),
    );
  });
}

/** A block of rows of A as the microkernel reads it, in elements. */
interface RowBlock {
  readonly address: Expression;
  /** From the tile that begins at row i to the one that begins at row i + TILE_ROWS, divided by TILE_ROWS. */
  readonly rowStep: number;
  /** Within a tile. */
  readonly strides: { readonly row: number; readonly inner: number };
}

/** Packs the rows where that is needed. */
function rowBlock(
  f: FunctionBuilder,
  operand: Operand,
  b: Expression,
  i0: Expression,
  rows: Expression,
  { scratch }: Environment,
): RowBlock {
  const [batchStride, row, inner] = operand.term.a.strides;
  const source = f.let('i32', affine(operand.a, [b, i0], [bytes(batchStride!), bytes(row!)]));
  if (operand.packedA === null) {
    return { address: source, rowStep: row!, strides: { row: row!, inner: inner! } };
  }
  const address = i32.plus(scratch.base, operand.packedA);
  const { depth } = operand.term;
  pack(f, {
    source,
    destination: address,
    across: { stride: row!, extent: rows },
    along: { stride: inner!, extent: depth },
    width: TILE_ROWS,
  });
  return { address, rowStep: depth, strides: { row: 1, inner: TILE_ROWS } };
}

/** Adds one term's product to the sums of rows x [j0, end); starts them where the term is a slot's first. */
function multiplyBlock(
  f: FunctionBuilder,
  stage: GemmStage,
  blocks: Blocking,
  { term, packedB, batchesOfB, elementsOfB }: Operand,
  strip: RowBlock,
  at: {
    b: Expression;
    rows: Expression;
    j0: Expression;
    end: Expression;
    sums: Expression;
    isFirst: (slot: number) => boolean;
  },
): void {
  const kernel = (rows: number) =>
    microkernel(f.module, { rows, aStrides: strip.strides, cStride: blocks.sumsStride });
  const full = kernel(TILE_ROWS);
  const lastRows = stage.rows % TILE_ROWS;
  const last = lastRows === 0 ? null : kernel(lastRows);
  const { depth } = term;

  f.for(i32.constant(0), i32.constant(depth), DEPTH_BLOCK, (k0) => {
    const count = f.let('i32', i32.min(i32.sub(i32.constant(depth), k0), i32.constant(DEPTH_BLOCK)));
    const aStart = f.let('i32', affine(strip.address, [k0], [bytes(strip.strides.inner)]));
    f.for(at.j0, at.end, PANEL, (j) => {
      term.slots.forEach(({ slot }, k) => {
        const batchStride = batchesOfB === 1 ? 0 : elementsOfB;
        const panel = affine(
          i32.plus(packedB, bytes(k * batchesOfB * elementsOfB)),
          [at.b, j, k0],
          [bytes(batchStride), bytes(depth), bytes(PANEL)],
        );
        const bStart = f.let('i32', panel);
        const block = i32.plus(at.sums, bytes(slot * blocks.columns));
        const cStart = f.let('i32', affine(block, [i32.sub(j, at.j0)], [4]));
        const accumulates = at.isFirst(slot) ? i32.greater(k0, i32.constant(0)) : i32.constant(1);
        const tile = (callee: FunctionBuilder, i: Expression) =>
          f.call(
            callee,
            affine(aStart, [i], [bytes(strip.rowStep)]),
            bStart,
            affine(cStart, [i], [bytes(blocks.sumsStride)]),
            count,
            accumulates,
          );
        const lastTile = i32.plus(at.rows, 1 - TILE_ROWS);
        f.for(i32.constant(0), lastTile, TILE_ROWS, (i) => tile(full, i));
        if (last !== null) {
          const rest = i32.remainder(at.rows, i32.constant(TILE_ROWS));
          f.if(rest, () => tile(last, i32.sub(at.rows, rest)));
        }
      });
    });
  });
}

type Epilogue = (b: Expression, i0: Expression, rows: Expression, j0: Expression, end: Expression) => void;

/** The stage's scalars over a block, its sums taken from scratch memory. */
function compileEpilogue(
  f: FunctionBuilder,
  stage: GemmStage,
  environment: Environment,
  blocks: Blocking,
  sums: Expression,
): Epilogue {
  // The block of sums is addressed as if it were the whole matrix, in a buffer of its own.
  const sumsBuffer = environment.buffers.length;
  const origin = f.local('i32');
  const scalars = stage.scalars.map((scalar): Scalar => {
    if (scalar.kind !== 'accumulator') return scalar;
    const strides = [0, blocks.sumsStride, 1];
    const ref: Ref = { buffer: sumsBuffer, offset: scalar.slot * blocks.columns, strides, time: null };
    return { kind: 'load', ref, gather: null };
  });
  const rows = new Rows(
    f,
    environment,
    scalars,
    stage.stores.map(({ value }) => value),
    new Map([[sumsBuffer, f.variable(origin)]]),
  );
  const stores = stage.stores.map(({ ref, value }) => ({ to: rows.access(ref), value }));
  return (b, i0, count, j0, end) => {
    f.set(origin, affine(sums, [i0, j0], [-bytes(blocks.sumsStride), -bytes(1)]));
    rows.enter(timeOf(f));
    f.for(i0, i32.add(i0, count), 1, (i) =>
      rows.row([b, i], j0, end, (lanes, value) => {
        for (const store of stores) store.to.store(lanes, value(store.value));
      }),
    );
  };
}
