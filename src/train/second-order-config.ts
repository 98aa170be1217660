/** What does not go together with optimizers of second order. */
import { KronogradError } from '../errors.js';
import { isSecondOrder } from '../optim/index.js';
import type { RunConfig } from './run-config.js';

/** Why a key has to be what it is without it. */
const REFUSED = {
  dropout: 'draws anew at each look at the loss, and a line search compares looks',
  recurrentDropout: 'draws anew at each look at the loss, and a line search compares looks',
  zoneout: 'draws anew at each look at the loss, and a line search compares looks',
  clipAccumulations: 'makes of the gradient what is the derivative of no loss',
  weightDecay: 'is not part of the loss that is minimised',
} as const satisfies Partial<Record<keyof RunConfig, string>>;

/**
 * A second-order optimizer needs one function of the parameters, with its own derivatives.
 * @throws KronogradError OPTION
 */
export function requireOneFunction(config: RunConfig, where: (key: string) => string): void {
  const { optimizer, groups } = config;
  if (!isSecondOrder(optimizer)) return;
  const keys = Object.keys(REFUSED) as (keyof typeof REFUSED)[];
  // K-FAC has the penalty in its loss, and in its curvature.
  const isTaken = (key: keyof typeof REFUSED) => key === 'weightDecay' && optimizer === 'kfac';
  const bad = keys.find((key) => config[key] > 0 && !isTaken(key));
  if (config.precision === 'mixed')
    throw new KronogradError(
      'OPTION',
      `mixed precision is not for the optimizer ${optimizer}: it rounds products`,
      {
        where: `${where('precision')}, ${where('optimizer')}`,
        fix: `leave ${where('precision')} out, or use an optimizer of first order`,
      },
    );
  if (bad === undefined && groups.length === 0) return;
  const [key, why] = bad
    ? [bad, REFUSED[bad]]
    : ['groups', 'gives shares of a learning rate, and there is none'];
  throw new KronogradError('OPTION', `${where(key)} does not go with the optimizer ${optimizer}: it ${why}`, {
    where: `${where(key)}, ${where('optimizer')}`,
    fix: `leave ${where(key)} out, or use an optimizer of first order`,
  });
}
