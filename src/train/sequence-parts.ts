import type { SequenceBatch, SequenceShape, SequenceSource } from '../data/sequences.js';

/** The first `length` of T steps of a batch, by the names of a model's inputs; with a mask for a model that takes one. */
export function sequenceParts(
  batch: SequenceBatch,
  { steps, features, target, masked }: SequenceShape,
  length: number,
) {
  const { inputs, targets, weight } = batch;
  const mask = batch.mask ?? (masked ? new Float32Array(inputs.length / features).fill(1) : undefined);
  const cut = <Numbers extends Float32Array | Int32Array>(numbers: Numbers): Numbers =>
    numbers.subarray(0, (numbers.length / steps) * length) as Numbers;
  return {
    inputs: cut(inputs),
    ...(target.perStep ? { targets: cut(targets), weight: cut(weight) } : { targets, weight }),
    ...(mask === undefined ? {} : { mask: cut(mask) }),
  };
}

/** The first `count` sequences of a source: a generator has no end to evaluate to. */
export const firstOf = (source: SequenceSource, count: number): SequenceSource => partOf(source, 0, count);

/** Sequences `first` .. `end - 1` of a source, or as many of them as there are. */
export const partOf = (source: SequenceSource, first: number, end: number): SequenceSource => ({
  count: Math.max(0, Math.min(end, source.count) - first),
  steps: source.steps,
  features: source.features,
  target: source.target,
  masked: source.masked,
  write: (index, slot) => source.write(first + index, slot),
});
