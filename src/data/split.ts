import { KronogradError } from '../errors.js';
import { requireNumber } from '../ranges.js';

export interface Split {
  readonly training: Int32Array;
  readonly validation: Int32Array;
}

/**
 * Splits a sequence by position: the last `validationFraction` of it is for validation. A random split would
 * leak, since neighbouring characters predict each other. Both parts are views of `ids`; a fraction of 0
 * leaves the validation part empty. Throws OPTION for a fraction outside [0, 1), TEXT when a part has too few
 * characters to predict one.
 */
export function splitByPosition(ids: Int32Array, validationFraction: number): Split {
  requireNumber(validationFraction, 'validationFraction', { min: 0, below: 1 });
  const validationLength = Math.round(ids.length * validationFraction);
  const boundary = ids.length - validationLength;
  if (boundary < 2 || (validationFraction > 0 && validationLength < 2)) {
    const what = `${ids.length} characters split into ${boundary} for training and ${validationLength} for validation`;
    throw new KronogradError('TEXT', `the text is too short: ${what}`, {
      where: 'train/validation split',
      fix: 'give a longer text (each part needs at least 2 characters) or another validation fraction',
    });
  }
  return { training: ids.subarray(0, boundary), validation: ids.subarray(boundary) };
}
