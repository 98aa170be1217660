/** Whether a batch holds what a model can learn from: what a source has written is checked before it is used. */
import { KronogradError } from '../errors.js';
import { lengthsOfMask } from './masks.js';
import type { SequenceShape } from './sequences.js';

interface Written {
  readonly inputs: Float32Array;
  readonly targets: Float32Array | Int32Array;
  readonly mask: Float32Array | undefined;
}

/**
 * The steps of the longest sequence.
 * @throws KronogradError DATA, with the place of it in the batch, for a number that is not finite, a target that is no
 * class, and a mask with holes or without a step.
 */
export function requireSound(
  { inputs, targets, mask }: Written,
  { steps, features, target }: SequenceShape,
  batch: number,
): number {
  const lengths = mask && lengthsOfMask(mask, steps, batch);
  const place = (row: number, perStep: boolean) =>
    perStep
      ? `sequence ${row % batch} of the batch, step ${Math.floor(row / batch)}`
      : `sequence ${row} of the batch`;
  const bad = inputs.findIndex((x) => !Number.isFinite(x));
  if (bad >= 0)
    throw notFinite(inputs[bad]!, `${place(Math.floor(bad / features), true)}, feature ${bad % features}`);
  const { kind, size, perStep } = target;
  const isTarget = kind === 'classes' ? (x: number) => x >= 0 && x < size : Number.isFinite;
  const wrong = targets.findIndex((x) => !isTarget(x));
  if (wrong >= 0) {
    const where = `${place(kind === 'classes' ? wrong : Math.floor(wrong / size), perStep)}, target`;
    if (kind === 'values') throw notFinite(targets[wrong]!, where);
    throw new KronogradError('DATA', `${targets[wrong]} is no class`, {
      where,
      fix: `give an integer from 0 to ${size - 1}`,
    });
  }
  return lengths ? lengths.reduce((longest, each) => Math.max(longest, each)) : steps;
}

const notFinite = (value: number, where: string): KronogradError =>
  new KronogradError('DATA', `the value ${value} is not a finite number`, {
    where,
    fix: 'remove or replace the value',
  });
