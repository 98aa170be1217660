/** Which kernel a product has: subgroup matrices for halves where the device has them, else sums in registers. */
import { Bindings } from './bindings.js';
import { type Body, kernelOf, type Share } from './body.js';
import { costOf, elementBytes } from './cost.js';
import { gemmBody } from './gemm.js';
import type { MatrixTile } from './gemm_matrix_tile.js';
import { chooseTile, fastestTile, type GemmTile, isDirect, otherwise, tilesByTime } from './gemm_tile.js';
import type { Kernel, KernelLimits } from './kernel.js';
import { type IsHalf, productKey } from './product_key.js';
import { claimOf, grantedQuads } from './quads.js';
import type { BufferSpec, GemmStage } from './stage.js';

export type ProductTile = GemmTile | MatrixTile;

const isMatrixTile = (tile: ProductTile): tile is MatrixTile => 'matrix' in tile;

/** Of the buffers of a schedule. */
export const halvesAmong =
  (buffers: readonly BufferSpec[]): IsHalf =>
  (buffer) =>
    buffers[buffer]!.dtype === 'half';

/** A tile, and what it is expected to take in an invocation's multiply-adds. */
export interface TimedProductTile {
  readonly tile: ProductTile;
  readonly time: number;
}

/** Those by subgroup matrices, for a product all of whose operands are halves. */
function matricesByTime(
  stage: GemmStage,
  isHalf: IsHalf,
  limits: KernelLimits,
  share?: Share,
): TimedProductTile[] {
  const isOfHalves = stage.terms.every(({ a, b }) => isHalf(a.buffer) && isHalf(b.buffer));
  return (isOfHalves && limits.matrixKernels?.tilesByTime(stage, limits, share)) || [];
}

/** By expected time; a CPU that plays GPU has no units for matrices. */
const areFaster = (
  matrices: TimedProductTile | undefined,
  inRegisters: TimedProductTile | undefined,
  { directRead }: KernelLimits,
): boolean =>
  matrices !== undefined &&
  directRead === null &&
  (inRegisters === undefined || matrices.time <= inRegisters.time);

/** What was measured to be the fastest for a product with a dispatch to itself, else what is expected to be. */
function chooseProductTile(
  stage: GemmStage,
  isHalf: IsHalf,
  limits: KernelLimits,
  share?: Share,
): ProductTile {
  const measured = share === undefined ? limits.tiles?.get(productKey(stage, isHalf)) : undefined;
  if (measured !== undefined) return measured;
  const [byMatrices] = matricesByTime(stage, isHalf, limits, share);
  return areFaster(byMatrices, fastestTile(stage, limits, share), limits)
    ? byMatrices!.tile
    : chooseTile(stage, limits, share);
}

/** @param tile for a tuner; by default what is expected to be the fastest. */
export function productBody(
  stage: GemmStage,
  bindings: Bindings,
  limits: KernelLimits,
  share?: Share,
  tile?: ProductTile,
): Body {
  const isHalf: IsHalf = (buffer) => bindings.dtype(buffer) === 'half';
  const chosen = tile ?? chooseProductTile(stage, isHalf, limits, share);
  return isMatrixTile(chosen)
    ? limits.matrixKernels!.bodyOf(stage, bindings, chosen)
    : gemmBody(stage, bindings, chosen);
}

/** The kernel of one product. @param tile for a tuner. */
export function productKernel(
  stage: GemmStage,
  buffers: readonly BufferSpec[],
  limits: KernelLimits,
  tile?: ProductTile,
): Kernel {
  const generate = (bindings: Bindings) => productBody(stage, bindings, limits, undefined, tile);
  const bindings = new Bindings(buffers, grantedQuads([claimOf(generate, buffers)]));
  const cost = costOf(stage, elementBytes(buffers, limits));
  return kernelOf(generate(bindings), bindings, limits, cost);
}

/** Tiles of each kind that are tried for a product; matrices take longer to compile. */
const TRIED = { inRegisters: 6, byMatrices: 4 };

/** And those that copy operands where by rule they are read in place, or the other way round. */
const AGAINST_RULE = 2;

/** One way to do a product, for a tuner. */
export interface ProductWay extends TimedProductTile {
  readonly name: string;
}

/**
 * What is worth measuring, the rule's choice first. The rules know what tiles of one kind take beside each other, but hardly
 * how much faster a device multiplies matrices, or how near its caches are: the times of other kinds begin where those of
 * the first do.
 */
export function productWays(stage: GemmStage, isHalf: IsHalf, limits: KernelLimits): ProductWay[] {
  const byMatrices = matricesByTime(stage, isHalf, limits).slice(0, TRIED.byMatrices);
  const inRegisters = tilesByTime(stage, limits).slice(0, TRIED.inRegisters);
  const kinds = areFaster(byMatrices[0], inRegisters[0], limits)
    ? [byMatrices, inRegisters]
    : [inRegisters, byMatrices];
  kinds.push(tilesByTime(stage, otherwise(limits)).slice(0, AGAINST_RULE));
  const least = kinds[0]![0]!.time;
  return kinds.flatMap((tiles) =>
    tiles.map(({ tile, time }) => ({ tile, name: tileName(tile), time: (time / tiles[0]!.time) * least })),
  );
}

function tileName(tile: ProductTile): string {
  const { rowsEach, columnsEach, depth } = tile;
  const each = `${rowsEach} x ${columnsEach}`;
  if (!isMatrixTile(tile)) {
    const how = isDirect(tile) ? 'in place' : `${depth} deep`;
    return `${tile.threadsY} x ${tile.threadsX} invocations of ${each}, ${how}`;
  }
  const { M, N, K } = tile.matrix;
  return `${tile.subgroupsY} x ${tile.subgroupsX} subgroups of ${each} matrices ${M} x ${N} x ${K}, ${depth} deep`;
}
