/** Every optimizer by its name. */
import { adam } from './adam.js';
import type { Optimizer } from './optimizer.js';
import { rmsProp } from './rmsprop.js';
import { sgd } from './sgd.js';

export type OptimizerName = 'sgd' | 'momentum' | 'nesterov' | 'rmsprop' | 'adam' | 'adamw';

export function optimizerNamed(name: OptimizerName, weightDecay: number): Optimizer {
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
