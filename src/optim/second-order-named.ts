/** The second-order optimizers by their names: apart from the others, so that who trains without them does not load them. */
import type { Tensor } from '../backend/backend.js';
import type { VectorSpace } from '../curvature/vector-space.js';
import type { Model } from '../model/model.js';
import { HessianFree, type HessianFreeOptions } from './hessian-free.js';
import type { SecondOrderName } from './index.js';
import { Kfac, type KfacTrainingOptions } from './kfac.js';
import { Lbfgs } from './lbfgs.js';
import type { SecondOrderOptimizer } from './second-order.js';

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
