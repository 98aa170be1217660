/** The choice of a gemm's tile: how much of the result a workgroup and an invocation own. */
import type { Share } from './body.js';
import type { KernelLimits } from './kernel.js';
import { productKey } from './product_key.js';
import type { GemmStage } from './stage.js';

export interface GemmTile {
  /** Invocations along columns and rows. */
  readonly threadsX: number;
  readonly threadsY: number;
  /** Sums of an invocation along rows and columns, in each slot. */
  readonly rowsEach: number;
  readonly columnsEach: number;
  /** Elements of the inner dimension in workgroup memory at a time; 0 for operands that are read where they are. */
  readonly depth: number;
}

/** Whether nothing is copied into workgroup memory. */
export const isDirect = ({ depth }: GemmTile): boolean => depth === 0;

/** Neighbouring elements moved as one vector: as many of `each` as WGSL has vectors for. */
export const vectorOf = (each: number): 1 | 2 | 4 => (each % 4 === 0 ? 4 : each % 2 === 0 ? 2 : 1);

/** Sums an invocation can keep before registers spill. */
const REGISTERS = 64;

/** Read from workgroup memory a vector costs about as much as this many multiply-adds. */
const VECTOR_READ = 4;

/** And the two barriers around a block of the inner dimension as this many. */
const BARRIERS = 64;

/** Read in place a number costs this many where it is not known: on a GPU, that only a tuner would have do so. */
const READ = 8;

/** Workgroup memory of one workgroup: more would keep others from running beside it. */
const MOST_BYTES = 16384;

const arrangements = [
  [4, 16],
  [8, 8],
  [8, 16],
  [16, 16],
] as const;

/** Of a workgroup that shares its shader: it may own few rows and all columns, or have few invocations. */
const sharedArrangements = [
  [2, 16],
  [4, 32],
  [4, 64],
  [8, 32],
] as const;

/** Of invocations that each read what they need: the more of it is in one row, the less. */
const directArrangements = [
  ...arrangements,
  ...sharedArrangements,
  ...[8, 16, 32].map((threads) => [1, threads] as const),
  ...[4, 8].map((threads) => [2, threads] as const),
  ...[4, 8].map((threads) => [4, threads] as const),
] as const;

function* candidates(isShared: boolean, { directRead }: KernelLimits): Generator<GemmTile> {
  const staged = isShared ? [...arrangements, ...sharedArrangements] : arrangements;
  for (const [threadsY, threadsX] of directRead === null ? staged : directArrangements)
    for (const rowsEach of [1, 2, 4, 8])
      for (const columnsEach of [1, 2, 4, 8])
        for (const depth of directRead === null ? [8, 16, 32] : [0])
          yield { threadsX, threadsY, rowsEach, columnsEach, depth };
}

/** What a workgroup keeps of an operand in its memory. */
export interface Block {
  /** Which operand, and of which type its elements are: blocks of one kind can share memory. */
  readonly kind: string;
  readonly bytes: number;
}

/** The blocks of a tile, padding included. `fed`: the slots whose B is there at once. */
export function tileBlocks(tile: GemmTile, fed: number): [a: Block, b: Block] {
  const { threadsX, threadsY, rowsEach, columnsEach, depth } = tile;
  const block = (operand: string, threads: number, each: number) => ({
    kind: `${operand}${vectorOf(each)}`,
    bytes: 4 * depth * (threads * each + vectorOf(each)),
  });
  const b = block('b', threadsX, columnsEach);
  return [block('a', threadsY, rowsEach), { ...b, bytes: b.bytes * fed }];
}

/** Bytes of workgroup memory of a tile. */
export const tileBytes = (tile: GemmTile, fed: number): number =>
  tileBlocks(tile, fed).reduce((sum, { bytes }) => sum + bytes, 0);

/** What an invocation does for its part of one tile of the result, in multiply-adds. */
function workOf(
  { terms, slots }: GemmStage,
  fed: number,
  tile: GemmTile,
  { directRead }: KernelLimits,
): number {
  const { threadsX, threadsY, rowsEach, columnsEach } = tile;
  const multiplies = rowsEach * columnsEach * fed;
  if (isDirect(tile)) {
    const depth = terms.reduce((sum, term) => sum + term.depth, 0);
    const reads = (directRead ?? READ) * (rowsEach + fed * columnsEach);
    return depth * (multiplies + reads) + rowsEach * columnsEach * slots;
  }
  const reads = rowsEach / vectorOf(rowsEach) + (fed * columnsEach) / vectorOf(columnsEach);
  const copies = rowsEach / threadsX + (fed * columnsEach) / threadsY;
  const blocks = terms.reduce((sum, term) => sum + Math.ceil(term.depth / tile.depth), 0);
  return (
    blocks * (tile.depth * (multiplies + VECTOR_READ * (reads + copies)) + BARRIERS) +
    rowsEach * columnsEach * slots
  );
}

/** Whether a tile is one that a workgroup of a composition can have. */
const suits = ({ threadsX, threadsY, rowsEach }: GemmTile, { threads, tile }: Share) =>
  threadsX * threadsY === threads && (tile === null || threadsY * rowsEach === tile.rows);

/** A tile, and what it is expected to take in an invocation's multiply-adds. */
export interface TimedTile {
  readonly tile: GemmTile;
  readonly time: number;
  /** Workgroups that may run beside each other. */
  readonly beside: number;
  readonly blocks: readonly Block[];
}

/** A tile with what it is expected to take; undefined when it does not suit. */
function timedTile(
  stage: GemmStage,
  tile: GemmTile,
  limits: KernelLimits,
  share: Share | undefined,
): TimedTile | undefined {
  const { batch, rows, columns, slots, terms } = stage;
  const fed = Math.max(...terms.map((term) => term.slots.length));
  const room = share?.room ?? Math.min(MOST_BYTES, limits.maxComputeWorkgroupStorageSize);
  const { threadsX, threadsY, rowsEach, columnsEach } = tile;
  const threads = threadsX * threadsY;
  if (rowsEach * columnsEach * slots > REGISTERS) return undefined;
  if (threads > limits.maxComputeInvocationsPerWorkgroup || tileBytes(tile, fed) > room) return undefined;
  if (share !== undefined && !suits(tile, share)) return undefined;
  const rowTiles = Math.ceil(rows / (threadsY * rowsEach));
  const groups = batch * rowTiles * Math.ceil(columns / (threadsX * columnsEach));
  const inTurn = share?.tile ? groups / rowTiles : 1;
  const beside = groups / inTurn;
  const idle = share?.tile ? 1 : timesIdle(beside, threads, limits);
  const time = workOf(stage, fed, tile, limits) * inTurn * timesFilled(beside, threads, limits) * idle;
  return { tile, time, beside, blocks: tileBlocks(tile, fed) };
}

/**
 * The tile that was measured to be the fastest, else the one with the least expected time: what one invocation does,
 * times how often the device must be filled. Large tiles read less workgroup memory for a multiply-add; small ones fill
 * a device and waste less at edges. Of a tile of rows, a workgroup does all columns one after the other.
 * @returns undefined when no tile suits.
 */
export function fastestTile(stage: GemmStage, limits: KernelLimits, share?: Share): TimedTile | undefined {
  const measured = share === undefined ? limits.tiles?.get(productKey(stage)) : undefined;
  if (measured !== undefined && 'threadsX' in measured) return timedTile(stage, measured, limits, share);
  let best: TimedTile | undefined;
  for (const tile of candidates(share !== undefined, limits)) {
    const timed = timedTile(stage, tile, limits, share);
    if (timed !== undefined && (best === undefined || timed.time < best.time)) best = timed;
  }
  return best;
}

/** The same device were its workgroup memory no nearer than storage, or nearer where it is not. */
export const otherwise = (limits: KernelLimits): KernelLimits => ({
  ...limits,
  directRead: limits.directRead === null ? READ : null,
});

/**
 * Tiles for a product that has a dispatch to itself, by expected time, the least first: of each division of the result
 * among invocations the one of the best depth.
 */
export function tilesByTime(stage: GemmStage, limits: KernelLimits): TimedTile[] {
  const best = new Map<string, TimedTile>();
  for (const tile of candidates(false, limits)) {
    const timed = timedTile(stage, tile, limits, undefined);
    if (timed === undefined) continue;
    const { depth: _, ...division } = tile;
    const key = Object.values(division).join();
    const before = best.get(key);
    if (before === undefined || timed.time < before.time) best.set(key, timed);
  }
  return [...best.values()].sort((a, b) => a.time - b.time);
}

/** How often a device must be filled by workgroups that run beside each other. */
export const timesFilled = (groups: number, threads: number, limits: KernelLimits): number =>
  Math.max(1, (groups * threads) / limits.parallelInvocations);

/** How much longer it takes when the workgroups are so few that cores have nothing to do. */
export const timesIdle = (groups: number, threads: number, limits: KernelLimits): number =>
  Math.max(1, threads / limits.coreInvocations / timesFilled(groups, threads, limits));

/** @throws Error when no tile suits. */
export function chooseTile(stage: GemmStage, limits: KernelLimits, share?: Share): GemmTile {
  const best = fastestTile(stage, limits, share);
  if (best === undefined) throw new Error(`no gemm tile for ${stage.slots} slots fits the device`);
  return best.tile;
}
