/** The choice of how subgroup matrices share a product: what of the result a workgroup and a subgroup own. */
import type { Share } from './body.js';
import { timesFilled } from './gemm_tile.js';
import type { KernelLimits, SubgroupMatrix } from './kernel.js';
import type { GemmStage } from './stage.js';

export interface MatrixTile {
  /** What one instruction of a subgroup multiplies. */
  readonly matrix: Pick<SubgroupMatrix, 'M' | 'N' | 'K'>;
  /** Invocations of a subgroup. */
  readonly subgroup: number;
  /** Subgroups of a workgroup along columns and rows. */
  readonly subgroupsX: number;
  readonly subgroupsY: number;
  /** Matrices of sums of a subgroup along rows and columns, in each slot. */
  readonly rowsEach: number;
  readonly columnsEach: number;
  /** Elements of the inner dimension in workgroup memory at a time. */
  readonly depth: number;
}

/** Halves that a line of a block in workgroup memory is longer than it has elements. */
export const PAD = 8;

/** Sums of a subgroup's invocation that leave registers for the operands. */
const REGISTERS = 128;

/**
 * A subgroup's instruction does this many multiply-adds of an invocation in the time of one: 2 where it has no units of its
 * own or sums in f32 at half speed, 16 on a GPU made for it.
 */
const MATRIX_SPEED = 4;

/** Read from workgroup memory 8 halves cost about as much as this many multiply-adds, copied into it one of them. */
const READ = 4;

/** And the two barriers around a block of the inner dimension, or around a matrix that is handed over, this many. */
const BARRIERS = 64;

/** Workgroup memory of one workgroup: more would keep others from running beside it. */
const MOST_BYTES = 32768;

const arrangements = [
  [1, 1],
  [1, 2],
  [2, 1],
  [2, 2],
  [1, 4],
  [4, 1],
  [2, 4],
  [4, 2],
] as const;

/** Rows and columns of the result that a workgroup owns. */
export const sizesOf = ({ matrix, subgroupsX, subgroupsY, rowsEach, columnsEach }: MatrixTile) => ({
  rows: subgroupsY * rowsEach * matrix.M,
  columns: subgroupsX * columnsEach * matrix.N,
});

function* candidates(limits: KernelLimits): Generator<MatrixTile> {
  const { halves, subgroups, subgroupMatrices } = limits;
  // Of subgroups of any size a workgroup would not know how many it has.
  if (!halves || subgroups === null || subgroups.min !== subgroups.max) return;
  const subgroup = subgroups.max;
  for (const { componentType, resultComponentType, M, N, K } of subgroupMatrices) {
    if (componentType !== 'f16' || resultComponentType !== 'f32') continue;
    // Blocks are read by fours, and a matrix begins at a multiple of 16 bytes.
    if ([M, N, K].some((size) => size % 8 !== 0)) continue;
    for (const [subgroupsY, subgroupsX] of arrangements)
      for (const rowsEach of [1, 2, 4])
        for (const columnsEach of [1, 2, 4])
          for (const depth of new Set([16, 32, 64].map((n) => Math.ceil(n / K) * K)))
            yield { matrix: { M, N, K }, subgroup, subgroupsX, subgroupsY, rowsEach, columnsEach, depth };
  }
}

/** Blocks of B that are in workgroup memory at once. */
const blocksOf = ({ terms }: GemmStage): number =>
  Math.max(...terms.map(({ slots }) => new Set(slots.map(({ offset }) => offset)).size));

/** Bytes of workgroup memory at most, however its operands lie. */
export function matrixTileBytes(stage: GemmStage, tile: MatrixTile): number {
  const { rows, columns } = sizesOf(tile);
  const { matrix, subgroupsX, subgroupsY, depth } = tile;
  const block = (lines: number) => Math.max(lines * (depth + PAD), depth * (lines + PAD));
  const results = stage.slots * subgroupsX * subgroupsY * matrix.M * matrix.N;
  return 2 * (block(rows) + blocksOf(stage) * block(columns)) + 4 * results;
}

export interface TimedMatrixTile {
  readonly tile: MatrixTile;
  /** What it is expected to take in an invocation's multiply-adds. */
  readonly time: number;
}

function timedTile(
  stage: GemmStage,
  tile: MatrixTile,
  limits: KernelLimits,
  share: Share | undefined,
): TimedMatrixTile | undefined {
  const { batch, slots, terms } = stage;
  const { matrix, subgroup, subgroupsX, subgroupsY, rowsEach, columnsEach, depth } = tile;
  const { rows, columns } = sizesOf(tile);
  const threads = subgroupsX * subgroupsY * subgroup;
  const own = (matrix.M * matrix.N) / subgroup;
  const room = share?.room ?? Math.min(MOST_BYTES, limits.maxComputeWorkgroupStorageSize);
  if (rowsEach * columnsEach * slots * own > REGISTERS) return undefined;
  if (threads > limits.maxComputeInvocationsPerWorkgroup || matrixTileBytes(stage, tile) > room)
    return undefined;
  if (share !== undefined && (threads !== share.threads || (share.tile && rows !== share.tile.rows)))
    return undefined;

  let work = rowsEach * columnsEach * (slots * own + BARRIERS);
  for (const term of terms) {
    const fed = term.slots.length;
    const blocks = new Set(term.slots.map(({ offset }) => offset)).size;
    const multiplies = (rowsEach * columnsEach * fed * own) / MATRIX_SPEED;
    const reads = (rowsEach * matrix.M + blocks * columnsEach * matrix.N) / subgroup / 8;
    const copies = (rows + blocks * columns) / threads;
    work += Math.ceil(term.depth / depth) * (depth * (multiplies + READ * (reads + copies)) + BARRIERS);
  }
  const rowTiles = Math.ceil(stage.rows / rows);
  const columnTiles = Math.ceil(stage.columns / columns);
  const inTurn = share?.tile ? batch * columnTiles : 1;
  const beside = (batch * rowTiles * columnTiles) / inTurn;
  return { tile, time: work * inTurn * timesFilled(beside, threads, limits) };
}

/**
 * The ways to do a product of halves by subgroup matrices, by expected time, the least first: of each division of the
 * result the one of the best depth. None where the device has no such matrices, or where one is larger than the product.
 */
export function matrixTilesByTime(stage: GemmStage, limits: KernelLimits, share?: Share): TimedMatrixTile[] {
  const deepest = Math.max(...stage.terms.map(({ depth }) => depth));
  const best = new Map<string, TimedMatrixTile>();
  for (const tile of candidates(limits)) {
    const { M, N, K } = tile.matrix;
    if (stage.rows < M || stage.columns < N || deepest < K) continue;
    const timed = timedTile(stage, tile, limits, share);
    if (timed === undefined) continue;
    const { depth: _, ...division } = tile;
    const key = JSON.stringify(division);
    const before = best.get(key);
    if (before === undefined || timed.time < before.time) best.set(key, timed);
  }
  return [...best.values()].sort((a, b) => a.time - b.time);
}
