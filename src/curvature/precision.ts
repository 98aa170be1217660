import type { Backend } from '../backend/backend.js';

/** The floats of a backend: their bytes, and the largest relative error of rounding to one. */
export const precisionOf = ({ name }: Backend): { readonly bytes: number; readonly roundoff: number } =>
  name === 'cpu-float64' ? { bytes: 8, roundoff: 2 ** -53 } : { bytes: 4, roundoff: 2 ** -24 };
