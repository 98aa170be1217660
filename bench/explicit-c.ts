/**
 * `npm run bench:explicit-c`: q products with a weight's sum of Kronecker products, without C and from stored C, side by
 * side on one thread of the CPU in float32, beside the flops by which the rule of src/curvature/kronecker-rule.ts chooses.
 */
import { Float32Backend } from '../src/backend/cpu/float32-backend.js';
import type { Contender } from '../src/bench/contender.js';
import { measure } from '../src/bench/measure.js';
import { placeOf } from '../src/bench/place.js';
import { markdownTable } from '../src/bench/table.js';
import type { CurvatureProblem } from '../src/curvature/batch-products.js';
import { kroneckerBlock } from '../src/curvature/kronecker.js';
import { ExplicitKronecker } from '../src/curvature/kronecker-explicit.js';
import { kroneckerCosts } from '../src/curvature/kronecker-rule.js';
import type { LinearOperator } from '../src/curvature/linear-operator.js';
import { VectorSpace } from '../src/curvature/vector-space.js';
import { CounterRandom } from '../src/data/random.js';
import { FeedForwardModel } from '../src/model/feedforward-model.js';
import type { Model } from '../src/model/model.js';
import { SequenceModel } from '../src/model/sequence-model.js';
import { sizeOf } from '../src/program/program.js';

interface Workload {
  readonly name: string;
  readonly model: Model;
  readonly weight: string;
  readonly steps: number;
  readonly samples: number;
}

const feedForward = (layers: number, m: number, samples: number): Workload => ({
  name: `FNN, ${layers} layers of ${m}, r = ${samples}, the lowest`,
  model: new FeedForwardModel({
    ...{ steps: 1, features: m, hidden: new Array<number>(layers - 1).fill(m), outputs: m, perStep: false },
    ...{ activation: 'tanh', loss: 'half-squared-error' },
  }),
  weight: 'layers.0.weight',
  steps: 1,
  samples,
});

const recurrent = (layers: number, m: number, steps: number, samples: number): Workload => ({
  name: `RNN, ${layers} layers of ${m}, T = ${steps}, r = ${samples}, the lowest W`,
  model: new SequenceModel({
    ...{ cell: 'naumov-rnn', features: m, hidden: m, layers, outputs: 2 },
    ...{ perStep: true, loss: 'half-squared-error' },
  }),
  weight: 'naumov-rnn.W_l0',
  steps,
  samples,
});

const WORKLOADS = [
  feedForward(4, 64, 16),
  feedForward(8, 32, 64),
  recurrent(3, 32, 2, 16),
  recurrent(2, 32, 4, 8),
  recurrent(1, 32, 16, 4),
];
const VECTORS = [1, 16, 256];
const SECONDS = 1;

using space = new VectorSpace(new Float32Backend());

/** The model at a random point with random data. */
function problemOf({ model, steps, samples }: Workload): CurvatureProblem {
  const random = new CounterRandom(1);
  const numbers = (size: number, scale: number) =>
    Float32Array.from({ length: size }, () => scale * random.normal());
  const theta = space.vector(model.parameters.size);
  theta.write(numbers(model.parameters.size, 0.1));
  const types = Object.entries(model.batchTypes(steps, samples));
  const parts = Object.fromEntries(types.map(([name, { shape }]) => [name, numbers(sizeOf(shape), 1)]));
  return { model, theta, batches: [{ parts, steps, samples, weight: 1 / samples }] };
}

/** Products with k vectors, again and again. */
function products(operator: LinearOperator, k: number): Contender {
  const [rows, columns] = operator.shape;
  const [x, y] = [space.vector(k, columns), space.vector(k, rows)];
  return contender(() => operator.apply(x, y), [x, y]);
}

function contender(once: () => Promise<void>, owned: readonly Disposable[] = []): Contender {
  return {
    engine: 'kronograd',
    ...placeOf(space.backend),
    facts: {
      dispatches: null,
      submits: null,
      arenaBytes: null,
      firstStepMs: 0,
      firstStepFrom: 'compile start',
    },
    async run(steps) {
      const begin = performance.now();
      for (let i = 0; i < steps; i++) await once();
      await space.backend.finish();
      return performance.now() - begin;
    },
    loss: () => Promise.resolve(null),
    peakRssBytes: () => Promise.resolve(0),
    [Symbol.dispose]: () => {
      for (const one of owned) one[Symbol.dispose]();
    },
  };
}

const short = (value: number) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

const rows = [
  ['work', 'q', 'without C, ms', 'from C, ms', 'making C, ms', 'breaks even at q: rule', 'measured'],
];
for (const workload of WORKLOADS) {
  const problem = problemOf(workload);
  const { weight } = workload;
  const { breakEven, bytes } = kroneckerCosts(space, problem, weight);
  using implicit = kroneckerBlock(space, problem, weight, 'hessian-sum');
  using explicit = await ExplicitKronecker.create(space, problem, weight);
  for (const q of VECTORS) {
    using without = products(implicit, q);
    using stored = products(explicit, q);
    using making = contender(() => explicit.update());
    const [a, b, c] = await measure([without, stored, making], SECONDS);
    // Without C a pass of q vectors also holds one gradient: a whole pass is what C has to be set against.
    const gain = (a!.medianMs - b!.medianMs) / q;
    const even = gain > 0 ? short(c!.medianMs / gain) : 'never';
    const name = `${workload.name}, C ${short(bytes / 2 ** 20)} MiB`;
    rows.push([
      name,
      `${q}`,
      short(a!.medianMs),
      short(b!.medianMs),
      short(c!.medianMs),
      short(breakEven),
      even,
    ]);
  }
  problem.theta[Symbol.dispose]();
}
console.log(markdownTable(rows));
