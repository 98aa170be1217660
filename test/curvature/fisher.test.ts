import { afterAll, describe, expect, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { programTensors } from '../../src/backend/program-tensors.js';
import { batchForward, type CurvatureBatch, writeBatch } from '../../src/curvature/batch-products.js';
import { toDense } from '../../src/curvature/dense.js';
import { fisherOperator } from '../../src/curvature/fisher.js';
import { type CurvatureProblem, gaussNewtonOperator } from '../../src/curvature/model-operator.js';
import { sampledTargets } from '../../src/curvature/sampled-targets.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { Scope } from '../../src/dispose.js';
import { FeedForwardModel } from '../../src/model/feedforward-model.js';
import { LanguageModel } from '../../src/model/language-model.js';
import type { LossName } from '../../src/model/losses.js';
import type { Model, ModelOutputs } from '../../src/model/model.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float, type Value } from '../../src/program/program.js';
import { randomBatch, randomProblem, smallSequenceModel } from '../support/curvature-problems.js';
import { expectClose } from '../support/numbers.js';

const backend = new Float64Backend();
const space = new VectorSpace(backend);
afterAll(() => space[Symbol.dispose]());

const languageModel = (vocabulary: number) =>
  new LanguageModel({ cell: 'gru', vocabulary, hidden: 2, layers: 1, embedding: 'one-hot' });

/** A value of a model's program, for one batch. */
async function computed(
  { model, theta }: CurvatureProblem,
  batch: CurvatureBatch,
  build: (on: Builder, theta: Value, outputs: ModelOutputs) => Value,
): Promise<number[]> {
  using scope = new Scope();
  const on = new Builder();
  const at = on.input('theta', float(model.parameters.size));
  const program = on.build({ value: build(on, at, batchForward(on, model, at, batch)) });
  const tensors = programTensors(backend, program, scope, ['theta']);
  writeBatch(model, batch, tensors);
  (await backend.compile(program)).run({ ...tensors, theta });
  return Array.from(await tensors.value!.read());
}

/** The gradient of a batch's loss, by itself. */
const gradientOf = (problem: CurvatureProblem, batch: CurvatureBatch) =>
  computed(problem, batch, (on, theta, { loss }) => gradient(on, loss, [theta])[0]!);

/** A batch of which only row `t` of sequence `s` counts, with a weight of 1. */
function onlyRow(batch: CurvatureBatch, t: number, s: number): CurvatureBatch {
  const { weight } = batch.parts;
  const one = weight!.map((_, i) => (i === t * batch.samples + s ? 1 : 0));
  return { ...batch, parts: { ...batch.parts, weight: one } };
}

const dense = async (make: typeof fisherOperator, problem: CurvatureProblem) => {
  using operator = make(space, problem);
  return (await toDense(operator)).flat();
};

const HEADS: readonly LossName[] = [
  'half-squared-error',
  'mean-squared-error',
  'sigmoid-cross-entropy',
  'softmax-cross-entropy',
];

describe('the empirical Fisher matrix', () => {
  test.each(HEADS)('is the sum of the outer products of the scores of sequences: %s', async (loss) => {
    const model = smallSequenceModel('lstm', { masked: true, hidden: 2 }, loss);
    const problem = randomProblem(backend, model, { steps: 3, samples: 2, seed: 4 });
    const [batch] = problem.batches as [CurvatureBatch];
    const { size } = model.parameters;
    const expected = new Float64Array(size * size);
    for (let s = 0; s < 2; s++) {
      const score = new Float64Array(size);
      for (let t = 0; t < 3; t++) {
        const g = await gradientOf(problem, onlyRow(batch, t, s));
        const weight = batch.parts.weight![t * 2 + s]!;
        g.forEach((x, i) => (score[i]! += Math.sqrt(weight) * x));
      }
      for (let i = 0; i < size; i++)
        for (let j = 0; j < size; j++) expected[i * size + j]! += score[i]! * score[j]!;
    }
    expectClose(await dense(fisherOperator, problem), expected, 1e-12);
  });

  test('of a text has the scale of its mean loss: with one character, the outer product of the gradient', async () => {
    const problem = randomProblem(backend, languageModel(3), { steps: 1, samples: 1, classes: 3 });
    const g = await gradientOf(problem, problem.batches[0]!);
    expectClose(
      await dense(fisherOperator, problem),
      g.flatMap((x) => g.map((y) => x * y)),
      1e-12,
    );
  });

  test('adds batches by their weights', async () => {
    const model = smallSequenceModel('rnn');
    const batches = [2, 3].map((seed) => randomBatch(model, { steps: 2, samples: 2, seed }));
    const one = async (batch: CurvatureBatch) =>
      dense(fisherOperator, randomProblem(backend, model, { steps: 2, samples: 2 }, [batch]));
    const [first, second] = [await one(batches[0]!), await one(batches[1]!)];
    const both = batches.map((batch, i) => ({ ...batch, weight: [0.25, 2][i]! }));
    const whole = await dense(fisherOperator, randomProblem(backend, model, { steps: 2, samples: 2 }, both));
    expectClose(
      whole,
      first.map((x, i) => 0.25 * x + 2 * second[i]!),
      1e-12,
    );
  });
});

describe('the Fisher matrix of the model’s own targets is the Gauss-Newton matrix', () => {
  test('exactly, for softmax, when all targets are counted with their probabilities', async () => {
    const [steps, samples, classes] = [2, 2, 2];
    const model = smallSequenceModel('gru', { hidden: 2 }, 'softmax-cross-entropy');
    const problem = randomProblem(backend, model, { steps, samples, classes });
    const [batch] = problem.batches as [CurvatureBatch];
    const rows = steps * samples;
    const probabilities = await predictionsOf(problem, batch, (logits) => {
      const weights = logits.map(Math.exp);
      return weights.map((w) => w / weights.reduce((sum, x) => sum + x, 0));
    });
    const batches = Array.from({ length: classes ** rows }, (_, n) => {
      const targets = Array.from({ length: rows }, (_, row) => (n >> row) & 1);
      const weight = targets.reduce((p, target, row) => p * probabilities[row]![target]!, 1);
      return { ...batch, parts: { ...batch.parts, targets: Int32Array.from(targets) }, weight };
    });
    const all = await dense(fisherOperator, { ...problem, batches });
    expectClose(all, await dense(gaussNewtonOperator, problem), 1e-12);
  });

  test('exactly, for sigmoid, when all targets are counted with their probabilities', async () => {
    const model = smallSequenceModel('rnn', { perStep: false }, 'sigmoid-cross-entropy');
    const problem = randomProblem(backend, model, { steps: 3, samples: 1 });
    const [batch] = problem.batches as [CurvatureBatch];
    const [p] = (await predictionsOf(problem, batch, (o) => o.map((x) => 1 / (1 + Math.exp(-x))))) as [
      number[],
    ];
    const batches = [0, 1, 2, 3].map((n) => {
      const targets = [n & 1, n >> 1];
      const weight = targets.reduce((sum, t, i) => sum * (t === 1 ? p[i]! : 1 - p[i]!), 1);
      return { ...batch, parts: { ...batch.parts, targets: Float64Array.from(targets) }, weight };
    });
    const all = await dense(fisherOperator, { ...problem, batches });
    expectClose(all, await dense(gaussNewtonOperator, problem), 1e-12);
  });

  test.each(HEADS)(
    'within the error of 40 draws for 20 sequences, 15 % of its largest element: %s',
    async (loss) => {
      const model = smallSequenceModel('rnn', { hidden: 2 }, loss);
      const problem = randomProblem(backend, model, { steps: 2, samples: 20 });
      const drawn = await sampledTargets(space, problem, { draws: 40, seed: 2 });
      expect(drawn.batches).toHaveLength(40);
      // The standard error of a sum of 800 squares of normal scores is sqrt(2 / 800) = 5 % of it.
      expectClose(await dense(fisherOperator, drawn), await dense(gaussNewtonOperator, problem), 0.15);
    },
  );

  test.each<[string, () => Model]>([
    ['language model', () => languageModel(4)],
    [
      'feed-forward network',
      () =>
        new FeedForwardModel({
          ...{ steps: 1, features: 2, hidden: [2], activation: 'tanh' },
          ...{ outputs: 3, perStep: false, loss: 'softmax-cross-entropy' },
        }),
    ],
  ])('for a %s too', async (_, make) => {
    const problem = randomProblem(backend, make(), { steps: 1, samples: 20, classes: 3 });
    const drawn = await sampledTargets(space, problem, { draws: 40 });
    expectClose(await dense(fisherOperator, drawn), await dense(gaussNewtonOperator, problem), 0.15);
  });
});

describe('sampled targets', () => {
  test('are the same for the same seed, and others for another', async () => {
    const problem = randomProblem(backend, languageModel(5), { steps: 4, samples: 6, classes: 5 });
    const draw = async (seed: number) => {
      const { batches } = await sampledTargets(space, problem, { seed });
      return [...batches[0]!.parts.targets!];
    };
    expect(await draw(1)).toEqual(await draw(1));
    expect(await draw(1)).not.toEqual(await draw(2));
  });

  test('are refused where predictions are not finite, and for no draws', async () => {
    const problem = randomProblem(backend, languageModel(3), { steps: 1, samples: 1 });
    await expect(sampledTargets(space, problem, { draws: 0 })).rejects.toMatchObject({ code: 'OPTION' });
    problem.theta.write(new Float64Array(problem.model.parameters.size).fill(Number.NaN));
    await expect(sampledTargets(space, problem)).rejects.toMatchObject({ code: 'DIVERGED' });
  });
});

/** What `of` makes of the rows of the prediction of a batch, of two numbers each. */
async function predictionsOf(
  problem: CurvatureProblem,
  batch: CurvatureBatch,
  of: (row: number[]) => number[],
): Promise<number[][]> {
  const numbers = await computed(problem, batch, (_on, _theta, { prediction }) => prediction);
  return Array.from({ length: numbers.length / 2 }, (_, row) => of(numbers.slice(2 * row, 2 * row + 2)));
}
