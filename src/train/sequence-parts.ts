import type { SequenceBatch, SequenceSource } from '../data/sequences.js';

/** A batch by the names of a model's inputs. */
export const sequenceParts = ({ inputs, targets, weight, mask }: SequenceBatch) => ({
  inputs,
  targets,
  weight,
  ...(mask === undefined ? {} : { mask }),
});

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
