/** Masks [T, r] of right-padded sequences, and their lengths. */
import { KronogradError } from '../errors.js';
import { requireInteger } from '../ranges.js';

/** The mask [T, r] of right-padded sequences. Throws DATA for a length that is not an integer from 1 to T. */
export function maskOfLengths(lengths: ArrayLike<number>, steps: number): Float32Array {
  requireInteger(steps, 'steps', { min: 1 });
  const batch = lengths.length;
  const mask = new Float32Array(steps * batch);
  for (let sequence = 0; sequence < batch; sequence += 1) {
    const length = requireLength(lengths[sequence]!, steps, sequence);
    for (let time = 0; time < length; time += 1) mask[time * batch + sequence] = 1;
  }
  return mask;
}

/**
 * The lengths of the sequences of a mask [T, r]. Throws SHAPE for a mask of another size; DATA for one that holds
 * anything but 0 and 1, leaves out a step before the last that counts, or leaves out a whole sequence.
 */
export function lengthsOfMask(mask: ArrayLike<number>, steps: number, batch: number): Int32Array {
  requireInteger(steps, 'steps', { min: 1 });
  requireInteger(batch, 'batch', { min: 1 });
  if (mask.length !== steps * batch) {
    throw new KronogradError('SHAPE', `the mask has ${mask.length} numbers, not T * r = ${steps * batch}`, {
      where: 'mask',
      fix: `give one of shape [${steps}, ${batch}]`,
    });
  }
  const lengths = new Int32Array(batch);
  for (let sequence = 0; sequence < batch; sequence += 1) {
    for (let time = 0; time < steps; time += 1) {
      const value = mask[time * batch + sequence]!;
      if (value === 0) continue;
      const where = `mask, sequence ${sequence}, step ${time}`;
      if (value !== 1) {
        throw new KronogradError('DATA', `a mask holds 0 and 1, this one ${value}`, {
          where,
          fix: 'give weights of steps to the loss, not in the mask',
        });
      }
      if (lengths[sequence] !== time) {
        throw new KronogradError('DATA', `the mask has a hole: step ${lengths[sequence]} does not count`, {
          where,
          fix: 'pad sequences at their end only',
        });
      }
      lengths[sequence] = time + 1;
    }
    requireLength(lengths[sequence]!, steps, sequence);
  }
  return lengths;
}

/** @throws KronogradError DATA for a length that is not an integer from 1 to T. */
export function requireLength(length: number, steps: number, sequence: number): number {
  if (Number.isInteger(length) && length >= 1 && length <= steps) return length;
  throw new KronogradError('DATA', `a sequence cannot have ${length} steps`, {
    where: `sequence ${sequence}`,
    fix: `give a length from 1 to ${steps}, or leave the sequence out`,
  });
}
