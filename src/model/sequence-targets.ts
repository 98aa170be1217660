/** What models of whole sequences have to hit: the targets, and what each of them counts. */
import { float, int, type Type } from '../program/program.js';
import type { LossName } from './losses.js';

export interface SequenceTargets {
  /** c: numbers, or classes. */
  readonly outputs: number;
  /** Whether every step has a target, or the sequence has one. */
  readonly perStep: boolean;
  readonly loss: LossName;
}

/**
 * Types of `targets` and of `weight`, which holds what each target counts (math.md 0.5: mask and average).
 * Sequence to one: targets [r, c] and weight [r]; sequence to sequence: [T, r, c] and [T, r]. For softmax
 * cross-entropy the targets are classes, without the last axis.
 */
export function targetTypes({ outputs, perStep, loss }: SequenceTargets, T: number, r: number) {
  const rows = perStep ? [T, r] : [r];
  const targets: Type = loss === 'softmax-cross-entropy' ? int(...rows) : float(...rows, outputs);
  return { targets, weight: float(...rows) };
}
