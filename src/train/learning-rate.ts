import { plateauScale } from './plateau.js';
import type { RunConfig } from './run-config.js';

export type LearningRateConfig = Pick<
  RunConfig,
  'lr' | 'schedule' | 'warmup' | 'plateauFactor' | 'plateauPatience'
>;

/**
 * The learning rate of step 1 .. `steps`: up linearly to `lr` over the first `warmup` steps, then as the schedule
 * says (see RunConfig). `validationLosses` are those measured before the step, oldest first.
 */
export function learningRate(
  { lr, schedule, warmup, plateauFactor, plateauPatience }: LearningRateConfig,
  step: number,
  steps: number,
  validationLosses: readonly number[] = [],
): number {
  if (step <= warmup) return (lr * step) / warmup;
  switch (schedule) {
    case 'constant':
      return lr;
    case 'step':
      return lr * (step > 0.75 * steps ? 0.01 : step > 0.5 * steps ? 0.1 : 1);
    case 'cosine':
      return (lr * (1 + Math.cos((Math.PI * (step - warmup)) / (steps - warmup)))) / 2;
    case 'plateau':
      return lr * plateauScale(validationLosses, { factor: plateauFactor, patience: plateauPatience });
  }
}
