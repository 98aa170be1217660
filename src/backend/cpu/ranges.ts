/** Which elements a stage writes, and whether an operand keeps its value throughout a loop. */
import type { Ref, Stage } from '../../../kernels/stage.js';
import type { Loop } from '../../schedule/schedule.js';

/** Elements [from, to] of a buffer, both inclusive: a bound, since strides leave gaps. */
interface Range {
  readonly buffer: number;
  readonly from: number;
  readonly to: number;
}

/** Everything that an operand over `shape` touches in the course of the loop. */
function rangeOf(ref: Ref, shape: readonly number[], loop: Loop): Range {
  let from = ref.offset;
  let to = ref.offset;
  const span = (a: number, b: number): void => {
    from += Math.min(a, b);
    to += Math.max(a, b);
  };
  shape.forEach((extent, axis) => {
    span(0, (extent - 1) * ref.strides[axis]!);
  });
  if (ref.time !== null) {
    const { stride, shift, ring } = ref.time;
    const last = loop.first + loop.direction * (loop.count - 1);
    if (ring > 0) span(0, (ring - 1) * stride);
    else span((loop.first + shift) * stride, (last + shift) * stride);
  }
  return { buffer: ref.buffer, from, to };
}

/** The operands that a stage writes, each with the domain it is written over. */
function writes(stage: Stage): { ref: Ref; shape: readonly number[] }[] {
  const over = (shape: readonly number[], ...refs: (Ref | null)[]) =>
    refs.flatMap((ref) => (ref === null ? [] : [{ ref, shape }]));
  switch (stage.kind) {
    case 'pointwise':
    case 'rows':
      return over(stage.shape, ...stage.stores.map(({ ref }) => ref));
    case 'gemm': {
      const { batch, rows, columns, stores } = stage;
      return over([batch, rows, columns], ...stores.map(({ ref }) => ref));
    }
    case 'reduce':
      return over(stage.kept, ...stage.stores);
    case 'softmax':
      return over([stage.rows, stage.columns], stage.output);
    case 'softmaxCrossEntropy':
      return [...over([stage.rows], stage.loss), ...over([stage.rows, stage.columns], stage.gradient)];
    case 'scatterAdd':
      return over([stage.size, stage.width], stage.target);
  }
}

/**
 * A test for operands of the loop's stages: true where no iteration changes what the operand reads, nor
 * where it reads. Different buffers are taken not to share memory.
 */
export function loopInvariance(loop: Loop): (ref: Ref, shape: readonly number[]) => boolean {
  const written = loop.stages.flatMap(({ stage }) =>
    writes(stage).map(({ ref, shape }) => rangeOf(ref, shape, loop)),
  );
  return (ref, shape) => {
    if (ref.time !== null) return false;
    const read = rangeOf(ref, shape, loop);
    return !written.some(
      ({ buffer, from, to }) => buffer === read.buffer && from <= read.to && read.from <= to,
    );
  };
}
