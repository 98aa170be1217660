/** The choice of a gemm's tile: how much of the result a workgroup and an invocation own. */
import type { KernelLimits } from './kernel.js';
import type { GemmStage } from './stage.js';

export interface GemmTile {
  /** Invocations along columns and rows. */
  readonly threadsX: number;
  readonly threadsY: number;
  /** Sums of an invocation along rows and columns, in each slot. */
  readonly rowsEach: number;
  readonly columnsEach: number;
  /** Elements of the inner dimension in workgroup memory at a time. */
  readonly depth: number;
}

/** Neighbouring elements moved as one vector: as many of `each` as WGSL has vectors for. */
export const vectorOf = (each: number): 1 | 2 | 4 => (each % 4 === 0 ? 4 : each % 2 === 0 ? 2 : 1);

/** Sums an invocation can keep before registers spill. */
const REGISTERS = 64;

/** Read from workgroup memory a vector costs about as much as this many multiply-adds. */
const VECTOR_READ = 4;

/** And the two barriers around a block of the inner dimension as this many. */
const BARRIERS = 64;

/** Workgroup memory of one workgroup: more would keep others from running beside it. */
const MOST_BYTES = 16384;

function* candidates(): Generator<GemmTile> {
  for (const [threadsY, threadsX] of [
    [4, 16],
    [8, 8],
    [8, 16],
    [16, 16],
  ] as const)
    for (const rowsEach of [1, 2, 4, 8])
      for (const columnsEach of [1, 2, 4, 8])
        for (const depth of [8, 16, 32]) yield { threadsX, threadsY, rowsEach, columnsEach, depth };
}

/** Bytes of workgroup memory of a tile, padding included. `fed`: the slots whose B is there at once. */
export function tileBytes(tile: GemmTile, fed: number): number {
  const { threadsX, threadsY, rowsEach, columnsEach, depth } = tile;
  const rows = threadsY * rowsEach + vectorOf(rowsEach);
  const columns = threadsX * columnsEach + vectorOf(columnsEach);
  return 4 * depth * (rows + fed * columns);
}

/**
 * The tile with the least expected time: what one invocation does, times how often the device must be filled.
 * Large tiles read less workgroup memory for a multiply-add; small ones fill a device and waste less at edges.
 */
export function chooseTile(stage: GemmStage, limits: KernelLimits): GemmTile {
  const { batch, rows, columns, slots, terms } = stage;
  const fed = Math.max(...terms.map((term) => term.slots.length));
  const room = Math.min(MOST_BYTES, limits.maxComputeWorkgroupStorageSize);
  let best: GemmTile | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const tile of candidates()) {
    const { threadsX, threadsY, rowsEach, columnsEach } = tile;
    const threads = threadsX * threadsY;
    if (rowsEach * columnsEach * slots > REGISTERS) continue;
    if (threads > limits.maxComputeInvocationsPerWorkgroup || tileBytes(tile, fed) > room) continue;
    const groups =
      batch * Math.ceil(rows / (threadsY * rowsEach)) * Math.ceil(columns / (threadsX * columnsEach));
    const multiplies = rowsEach * columnsEach * fed;
    const reads = rowsEach / vectorOf(rowsEach) + (fed * columnsEach) / vectorOf(columnsEach);
    const copies = rowsEach / threadsX + (fed * columnsEach) / threadsY;
    const blocks = terms.reduce((sum, term) => sum + Math.ceil(term.depth / tile.depth), 0);
    const work =
      blocks * (tile.depth * (multiplies + VECTOR_READ * (reads + copies)) + BARRIERS) +
      rowsEach * columnsEach * slots;
    const time = work * Math.max(1, (groups * threads) / limits.parallelInvocations);
    if (time < least) {
      least = time;
      best = tile;
    }
  }
  if (best === undefined) throw new Error(`no gemm tile for ${slots} slots fits the device`);
  return best;
}
