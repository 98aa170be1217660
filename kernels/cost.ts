/** What a stage costs: arithmetic and memory traffic, from its sizes alone. */
import { product } from './affine.js';
import type { Affine, Ref, Scalar, Stage } from './stage.js';

export interface Cost {
  /** Additions, multiplications and function calls, one each; a multiply-add is two. */
  readonly flops: number;
  /** Each distinct element read once and written once: what perfect caches would move. */
  readonly bytes: number;
}

/** Bytes of the distinct elements of an operand over a domain. */
const traffic = (shape: readonly number[], { strides }: Affine): number =>
  4 * product(shape.filter((_, axis) => strides[axis] !== 0));

function scalarTraffic(shape: readonly number[], scalars: readonly Scalar[]): number {
  let bytes = 0;
  for (const scalar of scalars) {
    if (scalar.kind === 'random') bytes += 8;
    if (scalar.kind !== 'load') continue;
    const { ref, gather } = scalar;
    if (gather === null) bytes += traffic(shape, ref);
    // Each element of the domain reads from a row of its own, at worst.
    else
      bytes +=
        traffic(shape, gather.ids) +
        4 * product(shape.filter((_, k) => ref.strides[k] !== 0 || gather.ids.strides[k] !== 0));
  }
  return bytes;
}

const calls = (scalars: readonly Scalar[]) =>
  scalars.filter(({ kind }) => kind === 'call' || kind === 'rowSum').length;
const storeTraffic = (shape: readonly number[], refs: readonly Ref[]) =>
  refs.reduce((bytes, ref) => bytes + traffic(shape, ref), 0);

export function costOf(stage: Stage): Cost {
  switch (stage.kind) {
    case 'pointwise':
    case 'rows': {
      const { shape, scalars, stores } = stage;
      return {
        flops: product(shape) * calls(scalars),
        bytes:
          scalarTraffic(shape, scalars) +
          storeTraffic(
            shape,
            stores.map(({ ref }) => ref),
          ),
      };
    }
    case 'gemm': {
      const { batch, rows, columns, terms, scalars, stores } = stage;
      const domain = [batch, rows, columns];
      let flops = batch * rows * columns * calls(scalars);
      let bytes = scalarTraffic(domain, scalars);
      bytes += storeTraffic(
        domain,
        stores.map(({ ref }) => ref),
      );
      for (const { depth, a, b, slots } of terms) {
        flops += 2 * batch * rows * columns * depth * slots.length;
        bytes += traffic([batch, rows, depth], a);
        bytes += traffic([batch, depth, columns], b) * new Set(slots.map(({ offset }) => offset)).size;
      }
      return { flops, bytes };
    }
    case 'reduce': {
      const { kept, reduced, scalars, stores } = stage;
      const domain = [...kept, ...reduced];
      return {
        flops: product(domain) * (calls(scalars) + 1),
        bytes: scalarTraffic(domain, scalars) + storeTraffic(kept, stores),
      };
    }
    case 'softmax': {
      const { rows, columns } = stage;
      // max, subtract, exp, sum, scale
      return { flops: 5 * rows * columns, bytes: 8 * rows * columns };
    }
    case 'softmaxCrossEntropy': {
      const { rows, columns, target, loss, gradient } = stage;
      const cells = rows * columns;
      const dense = target.kind === 'dense' ? cells : rows;
      return {
        // max, subtract, exp, sum, and t.o; scale, subtract, weigh for the gradient
        flops: cells * (gradient === null ? 6 : 9),
        bytes: 4 * (cells + dense + rows + (loss === null ? 0 : rows) + (gradient === null ? 0 : cells)),
      };
    }
    case 'scatterAdd': {
      const { count, size, width } = stage;
      return { flops: count * width, bytes: 4 * (count + count * width + size * width) };
    }
  }
}
