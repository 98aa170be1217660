/** What decides how fast a product is with a given tile, as text: equal keys want equal tiles. */
import { isQuadAligned } from './affine.js';
import { describeStage } from './describe.js';
import type { GemmStage, Ref } from './stage.js';

/** Whether a buffer holds halves. */
export type IsHalf = (buffer: number) => boolean;

/**
 * The matrix of a reference over [batch, ., .] as BLAS says it, S where neither axis has stride 1; 4: read by fours, h: of
 * halves.
 */
function layout(ref: Ref, isHalf: IsHalf): string {
  const [, rows, columns] = ref.strides;
  const order = Math.abs(columns!) === 1 ? 'N' : Math.abs(rows!) === 1 ? 'T' : 'S';
  const quads = isQuadAligned(ref, 1) || isQuadAligned(ref, 2) ? '4' : '';
  return `${order}${quads}${isHalf(ref.buffer) ? 'h' : ''}`;
}

/**
 * The sizes, then of each term the layouts of A and B and the number of blocks of B where there are several, then how
 * long the epilogue is: `gemm [1, 32, 128] x 4, depth 128, N4 T4 of 4, then 23`.
 */
export function productKey(stage: GemmStage, isHalf: IsHalf = () => false): string {
  const terms = stage.terms.map(({ a, b, slots }) => {
    const blocks = new Set(slots.map(({ offset }) => offset));
    const isUneven = [...blocks].some((offset) => offset % 4 !== 0);
    return `${layout(a, isHalf)} ${layout(b, isHalf)}${blocks.size > 1 ? ` of ${blocks.size}` : ''}${isUneven ? ', uneven' : ''}`;
  });
  return `${describeStage(stage)}, ${terms.join(' + ')}, then ${stage.scalars.length}`;
}
