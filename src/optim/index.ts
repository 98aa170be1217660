/** Every optimizer's name, and those of first order by it. */
import { adam } from './adam.js';
import type { Optimizer } from './optimizer.js';
import { rmsProp } from './rmsprop.js';
import { sgd } from './sgd.js';

export const FIRST_ORDER = ['sgd', 'momentum', 'nesterov', 'rmsprop', 'adam', 'adamw'] as const;
export const SECOND_ORDER = ['hf', 'lbfgs', 'kfac'] as const;

export type FirstOrderName = (typeof FIRST_ORDER)[number];
export type SecondOrderName = (typeof SECOND_ORDER)[number];

export const isSecondOrder = (name: FirstOrderName | SecondOrderName): name is SecondOrderName =>
  SECOND_ORDER.some((each) => each === name);

export function optimizerNamed(name: FirstOrderName, weightDecay: number): Optimizer {
  switch (name) {
    case 'sgd':
      return sgd({ weightDecay });
    case 'momentum':
      return sgd({ weightDecay, momentum: 0.9 });
    case 'nesterov':
      return sgd({ weightDecay, momentum: 0.9, nesterov: true });
    case 'rmsprop':
      return rmsProp({ weightDecay });
    case 'adam':
      return adam({ weightDecay });
    case 'adamw':
      return adam({ weightDecay, decoupled: true });
  }
}
