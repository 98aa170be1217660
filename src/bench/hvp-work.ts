/** The gradient of a batch, and Hessian-vector products on the same batch: one vector, and k of them in one pass. */
import { batchForward, writeBatch } from '../curvature/batch-products.js';
import { hessianVector } from '../curvature/products.js';
import { CounterRandom } from '../data/random.js';
import { gradient } from '../program/adjoint.js';
import { Builder } from '../program/builder.js';
import { float, type Program, sizeOf } from '../program/program.js';
import { type CurvatureModel, curvatureModel } from './curvature-model.js';
import type { Work } from './work.js';
import { describeWorkload, tokensOf, type Workload } from './workload.js';

export interface HvpWorks {
  readonly gradient: Work;
  readonly product: Work;
  /** k products in one pass. */
  readonly products: Work;
}

/** @throws KronogradError OPTION for an unknown cell */
export function hvpWorks(cell: string, workload: Workload, k: number): HvpWorks {
  const { name: workloadName, batch: r, unroll, hidden, layers, vocabulary } = workload;
  const made = curvatureModel(cell, workload);
  const { model, batch, theta } = made;
  const work = (name: string, vectors: number | null): Work => ({
    name,
    workload: workloadName,
    description: `${cell}, ${describeWorkload(workload)}`,
    sizes: { batch: r, unroll, hidden, layers, vocabulary, parameters: model.parameters.size },
    tokens: tokensOf(workload),
    program: program(made, vectors),
    load(tensors) {
      const random = new CounterRandom(3);
      tensors.theta!.write(theta);
      tensors.vectors?.write(
        Float32Array.from({ length: sizeOf(tensors.vectors.type.shape) }, () => random.normal()),
      );
      writeBatch(model, batch, tensors);
    },
  });
  return {
    gradient: work('gradient', null),
    product: work('hvp', 1),
    products: work(`hvp of ${k} vectors`, k),
  };
}

/** The gradient, or as many products. */
function program({ model, batch }: CurvatureModel, vectors: number | null): Program {
  const on = new Builder();
  const { size } = model.parameters;
  const theta = on.input('theta', float(size));
  const { loss } = batchForward(on, model, theta, batch);
  if (vectors === null) return on.build({ gradient: gradient(on, loss, [theta])[0]! });
  const along = on.input('vectors', vectors === 1 ? float(size) : float(vectors, size));
  return on.build({ product: hessianVector(on, loss, [theta], [along]).product[0]! });
}
