/** What a stage costs: arithmetic and memory traffic, from its sizes alone. */
import { product } from './affine.js';
import type { KernelLimits } from './kernel.js';
import { type BufferSpec, bytesEach, type Ref, type Scalar, type Stage } from './stage.js';

export interface Cost {
  /** Additions, multiplications and function calls, one each; a multiply-add is two. */
  readonly flops: number;
  /** Each distinct element read once and written once: what perfect caches would move. */
  readonly bytes: number;
}

/** Bytes of an element of a buffer. */
export type ElementBytes = (buffer: number) => number;

/** Halves have 2 bytes where shaders know them. */
export const elementBytes =
  (buffers: readonly BufferSpec[], { halves }: Pick<KernelLimits, 'halves'>): ElementBytes =>
  (buffer) =>
    bytesEach(buffers[buffer]!, halves);

const calls = (scalars: readonly Scalar[]) =>
  scalars.filter(({ kind }) => kind === 'call' || kind === 'rowSum').length;

/** @param bytesOf 4 for all buffers unless given. */
export function costOf(stage: Stage, bytesOf: ElementBytes = () => 4): Cost {
  /** Bytes of the distinct elements of operands over a domain. */
  const traffic = (shape: readonly number[], ...refs: readonly Ref[]): number =>
    refs.reduce(
      (bytes, { buffer, strides }) =>
        bytes + bytesOf(buffer) * product(shape.filter((_, axis) => strides[axis] !== 0)),
      0,
    );
  const scalarTraffic = (shape: readonly number[], scalars: readonly Scalar[]): number => {
    let bytes = 0;
    for (const scalar of scalars) {
      if (scalar.kind === 'random') bytes += 8;
      if (scalar.kind !== 'load') continue;
      const { ref, gather } = scalar;
      if (gather === null) bytes += traffic(shape, ref);
      // Each element of the domain reads from a row of its own, at worst.
      else {
        const { ids } = gather;
        const strides = ref.strides.map((stride, k) => stride || ids.strides[k]!);
        bytes += traffic(shape, ids, { ...ref, strides });
      }
    }
    return bytes;
  };
  switch (stage.kind) {
    case 'pointwise':
    case 'rows': {
      const { shape, scalars, stores } = stage;
      const stored = stores.map(({ ref }) => ref);
      return {
        flops: product(shape) * calls(scalars),
        bytes: scalarTraffic(shape, scalars) + traffic(shape, ...stored),
      };
    }
    case 'gemm': {
      const { batch, rows, columns, terms, scalars, stores } = stage;
      const domain = [batch, rows, columns];
      const stored = stores.map(({ ref }) => ref);
      let flops = batch * rows * columns * calls(scalars);
      let bytes = scalarTraffic(domain, scalars) + traffic(domain, ...stored);
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
        bytes: scalarTraffic(domain, scalars) + traffic(kept, ...stores),
      };
    }
    case 'softmax': {
      const { rows, columns, input, output } = stage;
      // max, subtract, exp, sum, scale
      return { flops: 5 * rows * columns, bytes: traffic([rows, columns], input, output) };
    }
    case 'softmaxCrossEntropy': {
      const { rows, columns, logits, target, weight, loss, gradient } = stage;
      const cells = [rows, columns];
      return {
        // max, subtract, exp, sum, and t.o; scale, subtract, weigh for the gradient
        flops: rows * columns * (gradient === null ? 6 : 9),
        bytes:
          traffic(cells, logits, ...(gradient === null ? [] : [gradient])) +
          traffic(target.kind === 'dense' ? cells : [rows], target.ref) +
          traffic([rows], weight, ...(loss === null ? [] : [loss])),
      };
    }
    case 'scatterAdd': {
      const { count, size, width, ids, source, target } = stage;
      return {
        flops: count * width,
        bytes: traffic([count], ids) + traffic([count, width], source) + traffic([size, width], target),
      };
    }
  }
}
