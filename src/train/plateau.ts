/** Reduce on plateau, as PyTorch's `ReduceLROnPlateau` does it with its other options at their defaults. */

export interface PlateauOptions {
  /** What the learning rate is multiplied by. */
  readonly factor: number;
  /** So many measurements in a row without a better one are borne; the next is one too many. */
  readonly patience: number;
}

/** A measurement is better when it is lower by this share of the best. */
const THRESHOLD = 1e-4;

/**
 * What the learning rate has been multiplied by after these validation losses, oldest first. A function of the
 * measurements alone: they are in every checkpoint, so a resumed run has the rate of one that never stopped.
 */
export function plateauScale(losses: readonly number[], { factor, patience }: PlateauOptions): number {
  let scale = 1;
  let best = Number.POSITIVE_INFINITY;
  let worse = 0;
  for (const loss of losses) {
    if (loss < best * (1 - THRESHOLD)) {
      best = loss;
      worse = 0;
    } else worse += 1;
    if (worse <= patience) continue;
    scale *= factor;
    worse = 0;
  }
  return scale;
}
