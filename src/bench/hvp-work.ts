/** The gradient of a batch, and Hessian-vector products on the same batch: one vector, and k of them in one pass. */
import { batchForward } from '../curvature/batch-products.js';
import { hessianVector } from '../curvature/products.js';
import { CounterRandom } from '../data/random.js';
import { FeedForwardModel } from '../model/feedforward-model.js';
import { LanguageModel } from '../model/language-model.js';
import type { Model } from '../model/model.js';
import { gradient } from '../program/adjoint.js';
import { Builder } from '../program/builder.js';
import { float, type Program, sizeOf } from '../program/program.js';
import { referenceBatch } from './reference.js';
import type { Tensors, Work } from './work.js';
import { describeWorkload, tokensOf, type Workload } from './workload.js';

/** Beside the names of cells: a feed-forward network of as many tokens, layers and units. */
export const FNN = 'fnn';

export interface HvpWorks {
  readonly gradient: Work;
  readonly product: Work;
  /** k products in one pass. */
  readonly products: Work;
}

/** @throws KronogradError OPTION for an unknown cell */
export function hvpWorks(cell: string, workload: Workload, k: number): HvpWorks {
  const { model, steps, samples, load } = cell === FNN ? feedForward(workload) : recurrent(cell, workload);
  const { size } = model.parameters;
  const work = (name: string, vectors: number | null): Work => ({
    name,
    workload: workload.name,
    description: `${cell}, ${describeWorkload(workload)}`,
    sizes: { ...sizesOf(workload), parameters: size },
    tokens: tokensOf(workload),
    program: program(model, { steps, samples }, vectors),
    load(tensors) {
      const random = new CounterRandom(1);
      tensors.theta!.write(model.parameters.initial(random));
      tensors.vectors?.write(
        Float32Array.from({ length: sizeOf(tensors.vectors.type.shape) }, () => random.normal()),
      );
      load(tensors);
    },
  });
  return {
    gradient: work('gradient', null),
    product: work('hvp', 1),
    products: work(`hvp of ${k} vectors`, k),
  };
}

const sizesOf = ({ batch, unroll, hidden, layers, vocabulary }: Workload) => ({
  ...{ batch, unroll, hidden, layers, vocabulary },
});

/** The gradient, or as many products. */
function program(model: Model, sizes: { steps: number; samples: number }, vectors: number | null): Program {
  const on = new Builder();
  const { size } = model.parameters;
  const theta = on.input('theta', float(size));
  const { loss } = batchForward(on, model, theta, sizes);
  if (vectors === null) return on.build({ gradient: gradient(on, loss, [theta])[0]! });
  const along = on.input('vectors', vectors === 1 ? float(size) : float(vectors, size));
  return on.build({ product: hessianVector(on, loss, [theta], [along]).product[0]! });
}

/** The work of a training step, from a state of zeros. */
function recurrent(cell: string, workload: Workload) {
  const { vocabulary, hidden, layers, unroll: steps, batch: samples } = workload;
  const model = new LanguageModel({ cell, vocabulary, hidden, layers, embedding: 'one-hot' });
  const { characters, targets } = referenceBatch(workload);
  const load = (tensors: Tensors) => {
    tensors.characters!.write(characters);
    tensors.targets!.write(targets);
  };
  return { model, steps, samples, load };
}

/** Every token of the batch by itself: r T samples of dense features. */
function feedForward(workload: Workload) {
  const { vocabulary, hidden, layers } = workload;
  const samples = tokensOf(workload);
  const model = new FeedForwardModel({
    ...{ steps: 1, features: vocabulary, hidden: new Array<number>(layers).fill(hidden), activation: 'tanh' },
    ...{ outputs: vocabulary, perStep: false, loss: 'softmax-cross-entropy' },
  });
  const { targets } = referenceBatch(workload);
  const load = (tensors: Tensors) => {
    const random = new CounterRandom(2);
    tensors.inputs!.write(Float32Array.from({ length: samples * vocabulary }, () => random.normal()));
    tensors.targets!.write(targets);
    tensors.weight!.write(new Float32Array(samples).fill(1 / samples));
  };
  return { model, steps: 1, samples, load };
}
