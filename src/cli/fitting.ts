/** What runs on text and on sequences have in common while they go on. */
import type { FitEvent, FitOptions } from '../train/fit.js';
import type { Progress } from './progress.js';

export type Fitting = Pick<FitOptions, 'signal' | 'curvatureEvery'>;

/** What --log-curvature shows. */
export function tellSharpness(
  { step, eigenvalue, error, products }: FitEvent & { kind: 'curvature' },
  progress: Progress,
): void {
  const figures = `${eigenvalue.toPrecision(5)} +- ${error.toExponential(1)}`;
  progress.log(`step ${step}: largest eigenvalue of the Hessian ${figures}, by ${products} products`, {
    event: 'curvature',
    ...{ step, eigenvalue, error, products },
  });
}
