/** Every optimizer by its name. */
import type { Tensor } from '../backend/backend.js';
import type { VectorSpace } from '../curvature/vector-space.js';
import type { Model } from '../model/model.js';
import { adam } from './adam.js';
import { HessianFree, type HessianFreeOptions } from './hessian-free.js';
import { Kfac, type KfacTrainingOptions } from './kfac.js';
import { Lbfgs } from './lbfgs.js';
import type { Optimizer } from './optimizer.js';
import { rmsProp } from './rmsprop.js';
import type { SecondOrderOptimizer } from './second-order.js';
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

/** What runs say of second-order optimizers; each takes its own part of it. */
export type SecondOrderSettings = HessianFreeOptions & Pick<KfacTrainingOptions, 'weightDecay'>;

export function secondOrderNamed(
  name: SecondOrderName,
  space: VectorSpace,
  model: Model,
  theta: Tensor,
  settings: SecondOrderSettings,
): SecondOrderOptimizer {
  switch (name) {
    case 'hf':
      return new HessianFree(space, model, theta, settings);
    case 'lbfgs':
      return new Lbfgs(space, model, theta);
    case 'kfac':
      return new Kfac(space, model, theta, settings);
  }
}
