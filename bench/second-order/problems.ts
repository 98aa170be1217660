/** The problems that optimizers race on: what is to be learnt, by which network, from where, and when it is solved. */
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import type { Backend, Tensor } from '../../src/backend/backend.js';
import { CounterRandom } from '../../src/data/random.js';
import { type SequenceSource, SequenceStream } from '../../src/data/sequences.js';
import { addingProblem, temporalOrder } from '../../src/data/tasks.js';
import { SequenceModel } from '../../src/model/sequence-model.js';
import { SequenceEvaluator } from '../../src/train/sequence-evaluator.js';
import { firstOf, sequenceParts } from '../../src/train/sequence-parts.js';

const HIDDEN = 32;
/** What all optimizers learn from, over and over. */
const TRAINING_SEQUENCES = 16_384;
const TEST_SEQUENCES = 512;
const SEEDS = { training: 5, test: 99, initialisation: 1 };
/** Below this a problem counts as solved: the mean squared error, or the share of sequences misclassified. */
export const SOLVED = 0.01;

export const TASKS = {
  adding: { make: addingProblem, measure: 'MSE' },
  'temporal-order': { make: temporalOrder, measure: 'error' },
} as const;

export interface ProblemId {
  readonly task: keyof typeof TASKS;
  readonly cell: 'rnn' | 'lstm';
  /** T */
  readonly steps: number;
}

export const PROBLEMS: readonly ProblemId[] = (['adding', 'temporal-order'] as const).flatMap((task) =>
  (['rnn', 'lstm'] as const).flatMap((cell) => [50, 100].map((steps) => ({ task, cell, steps }))),
);

export const nameOf = ({ task, cell, steps }: ProblemId): string => `${task}, ${cell}, T = ${steps}`;

export class Problem implements Disposable {
  readonly model: SequenceModel;
  readonly #source: SequenceSource;
  /** Batches that were made, by size and position. */
  readonly #batches = new Map<string, ReturnType<typeof sequenceParts>>();
  readonly #test: SequenceSource;
  readonly #evaluator: SequenceEvaluator;

  constructor(
    backend: Backend,
    readonly id: ProblemId,
  ) {
    const { task, cell, steps } = id;
    this.#source = TASKS[task].make({ seed: SEEDS.training, steps });
    this.#test = firstOf(TASKS[task].make({ seed: SEEDS.test, steps }), TEST_SEQUENCES);
    this.model = new SequenceModel({
      ...{ cell, features: this.#source.features, hidden: HIDDEN, layers: 1 },
      ...{ outputs: this.#source.target.size, perStep: false },
      loss: task === 'adding' ? 'mean-squared-error' : 'softmax-cross-entropy',
    });
    this.#evaluator = new SequenceEvaluator(backend, this.model, { batch: TEST_SEQUENCES });
  }

  /** The same for every optimizer: PyTorch's, but for what decides over long times. */
  initial(): Float64Array {
    const { parameters } = this.model;
    const theta = parameters.initial(new CounterRandom(SEEDS.initialisation));
    const random = new CounterRandom(SEEDS.initialisation, 1);
    const of = (name: string) => parameters.part(theta, `${this.id.cell}.${name}_l0`);
    if (this.id.cell === 'rnn') of('weight_hh').set(sparseRecurrent(HIDDEN, random));
    else {
      of('bias_hh').fill(0);
      of('bias_ih').set(chronoBias(HIDDEN, this.id.steps, random));
    }
    return theta;
  }

  /** The batch of so many sequences that step `step` takes, in their own order. */
  batch(samples: number, step: number) {
    const position = step % (TRAINING_SEQUENCES / samples);
    const key = `${samples} ${position}`;
    let parts = this.#batches.get(key);
    if (parts === undefined) {
      const batch = new SequenceStream(this.#source, { batch: samples }).at(position);
      parts = sequenceParts(batch, this.#source, this.id.steps);
      this.#batches.set(key, parts);
    }
    return parts;
  }

  /** On sequences that are not trained on. */
  async score(theta: Tensor): Promise<number> {
    if (this.id.task === 'adding') return this.#evaluator.loss(theta, this.#test);
    return 1 - (await this.#evaluator.accuracy(theta, this.#test));
  }

  [Symbol.dispose](): void {
    this.#evaluator[Symbol.dispose]();
  }
}

/** Martens and Sutskever 2011: 15 connections a unit; scaled to the spectral radius 1.1 (Sutskever and others 2013). */
function sparseRecurrent(m: number, random: CounterRandom): Float64Array {
  const weights = Matrix.zeros(m, m);
  for (let i = 0; i < m; i++) for (let c = 0; c < 15; c++) weights.set(i, random.integer(m), random.normal());
  const { realEigenvalues, imaginaryEigenvalues } = new EigenvalueDecomposition(weights);
  const radius = Math.max(...realEigenvalues.map((real, i) => Math.hypot(real, imaginaryEigenvalues[i]!)));
  return Float64Array.from(weights.mul(1.1 / radius).to1DArray());
}

/** Tallec and Ollivier 2018: forget biases log u, u uniform in [1, T - 1], and the input gates' -log u. */
function chronoBias(m: number, steps: number, random: CounterRandom): Float64Array {
  const bias = new Float64Array(4 * m);
  for (let i = 0; i < m; i++) {
    const forget = Math.log(1 + random.uniform() * (steps - 2));
    bias[i] = -forget;
    bias[m + i] = forget;
  }
  return bias;
}
