/** How the damping of a quadratic model follows its success: Levenberg and Marquardt's rule. */

/** Where the reduction is less than `low` of what the model said it is damped more, above `high` less. */
const RATIO = { low: 1 / 4, high: 3 / 4 };
/** What damping stays within, so that float32 has its inverse, its root and products with it. */
const LIMITS = { least: 1e-20, most: 1e20 };

export interface DampingFactors {
  /** Above 1. */
  readonly boost: number;
  /** Below 1. */
  readonly drop: number;
}

/**
 * rho: the change of the loss over the change that the model said. NaN where the model said no reduction, so that a loss
 * that rises as foretold is no success.
 */
export const reductionRatio = (change: number, modelled: number): number =>
  modelled < 0 ? change / modelled : Number.NaN;

/** lambda after a step of that rho. One that is not a number counts as no reduction. */
export function adaptedDamping(damping: number, rho: number, { boost, drop }: DampingFactors): number {
  const factor = !(rho >= RATIO.low) ? boost : rho > RATIO.high ? drop : 1;
  return Math.min(Math.max(damping * factor, LIMITS.least), LIMITS.most);
}
