/** Every place a stage reads or writes, in one list; and the stage with its places changed. */
import type { Ref, Scalar, Stage } from '../../kernels/stage.js';

export type Direction = 'read' | 'write';

/** The stage with every ref replaced. */
export function mapRefs(stage: Stage, f: (ref: Ref, direction: Direction) => Ref): Stage {
  const read = (ref: Ref) => f(ref, 'read');
  const write = (ref: Ref) => f(ref, 'write');
  const scalar = (s: Scalar): Scalar => {
    if (s.kind === 'load')
      return { ...s, ref: read(s.ref), gather: s.gather && { ...s.gather, ids: read(s.gather.ids) } };
    return s.kind === 'random' ? { ...s, key: read(s.key) } : s;
  };
  switch (stage.kind) {
    case 'pointwise':
    case 'rows':
      return {
        ...stage,
        scalars: stage.scalars.map(scalar),
        stores: stage.stores.map((s) => ({ ...s, ref: write(s.ref) })),
      };
    case 'gemm':
      return {
        ...stage,
        terms: stage.terms.map((t) => ({ ...t, a: read(t.a), b: read(t.b) })),
        scalars: stage.scalars.map(scalar),
        stores: stage.stores.map((s) => ({ ...s, ref: write(s.ref) })),
      };
    case 'reduce':
      return { ...stage, scalars: stage.scalars.map(scalar), stores: stage.stores.map(write) };
    case 'softmax':
      return { ...stage, input: read(stage.input), output: write(stage.output) };
    case 'softmaxCrossEntropy':
      return {
        ...stage,
        logits: read(stage.logits),
        target: { ...stage.target, ref: read(stage.target.ref) },
        weight: read(stage.weight),
        loss: stage.loss && write(stage.loss),
        gradient: stage.gradient && write(stage.gradient),
      };
    case 'scatterAdd':
      return { ...stage, ids: read(stage.ids), source: read(stage.source), target: write(stage.target) };
  }
}

/** Calls with every ref of a stage. */
export function eachRef(stage: Stage, visit: (ref: Ref, direction: Direction) => void): void {
  mapRefs(stage, (ref, direction) => {
    visit(ref, direction);
    return ref;
  });
}

/** Whether two refs are the same element at the same place and time. */
export function sameElement(a: Ref, b: Ref): boolean {
  const x = canonical(a);
  const y = canonical(b);
  return (
    a.buffer === b.buffer &&
    x.offset === y.offset &&
    x.stride === y.stride &&
    x.ring === y.ring &&
    x.shift === y.shift &&
    a.strides.length === b.strides.length &&
    a.strides.every((s, k) => s === b.strides[k])
  );
}

/** A ref's time part with whole steps of its offset counted as shift, so that equal places look equal. */
export function canonical({ offset, time }: Ref): {
  offset: number;
  stride: number;
  shift: number;
  ring: number;
} {
  if (time === null || time.stride === 0) return { offset, stride: 0, shift: 0, ring: 0 };
  const { stride, ring } = time;
  if (ring !== 0) return { offset, stride, shift: ((time.shift % ring) + ring) % ring, ring };
  const whole = Math.floor(offset / stride);
  return { offset: offset - whole * stride, stride, shift: time.shift + whole, ring };
}
