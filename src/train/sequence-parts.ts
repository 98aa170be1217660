import type { SequenceBatch, SequenceSource } from '../data/sequences.js';

/** A batch by the names of a model's inputs. */
export const sequenceParts = ({ inputs, targets, weight, mask }: SequenceBatch) => ({
  inputs,
  targets,
  weight,
  ...(mask === undefined ? {} : { mask }),
});

/** The first `count` sequences of a source: a generator has no end to evaluate to. */
export const firstOf = (source: SequenceSource, count: number): SequenceSource => ({
  count: Math.min(count, source.count),
  steps: source.steps,
  features: source.features,
  target: source.target,
  masked: source.masked,
  write: (index, slot) => source.write(index, slot),
});
