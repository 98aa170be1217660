import { inverse, Matrix } from 'ml-matrix';
import { describe, expect, test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { toDense } from '../../src/curvature/dense.js';
import { kfacOperator } from '../../src/curvature/kfac.js';
import { gaussNewtonOperator } from '../../src/curvature/model-operator.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { CounterRandom } from '../../src/data/random.js';
import { LanguageModel } from '../../src/model/language-model.js';
import { Kfac, type KfacTrainingOptions } from '../../src/optim/kfac.js';
import { Objective } from '../../src/optim/objective.js';
import { firstSamples } from '../../src/optim/part-of-batch.js';
import { randomBatch, randomProblem } from '../support/curvature-problems.js';
import { leastSquares, type SmallProblem, shortAdding } from './second-order-problems.js';

/** Losses before each of so many steps. */
async function losses(problem: SmallProblem, steps: number, options: KfacTrainingOptions = {}) {
  using optimizer = new Kfac(problem.space, problem.model, problem.theta, options);
  const all: number[] = [];
  for (let i = 0; i < steps; i++) all.push((await optimizer.step(problem.batch)).loss);
  return all;
}

/** The same of gradient descent. */
async function lossesOfDescent({ space, model, theta, batch }: SmallProblem, steps: number, rate: number) {
  using objective = new Objective(space, model, theta);
  using gradient = space.vector(model.parameters.size);
  const all: number[] = [];
  for (let i = 0; i < steps; i++) {
    all.push((await objective.gradient(batch, gradient)).loss);
    await space.combine(-rate, gradient, 1, theta);
  }
  return all;
}

describe('takes fewer steps than gradient descent at its best rate', () => {
  test('on least squares of a bad condition', async () => {
    using backend = new Float64Backend();
    const make = () => leastSquares(backend);
    using problem = make();
    const [first, ...rest] = await losses(problem, 8, { damping: 1e-4 });
    expect(rest.at(-1)!).toBeLessThan(1e-8 * first!);
    const bySteepest = await Promise.all(
      [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3].map(async (rate) => {
        using other = make();
        return (await lossesOfDescent(other, 100, rate)).at(-1)!;
      }),
    );
    const finite = bySteepest.filter(Number.isFinite);
    expect(finite.length).toBeGreaterThan(2);
    expect(Math.min(...finite)).toBeGreaterThan(1e-4 * first!);
  });

  test.each(['rnn', 'lstm', 'gru'])('on the adding problem, %s', async (cell) => {
    using backend = new Float32Backend();
    using problem = shortAdding(backend, cell);
    const [first, ...rest] = await losses(problem, 61);
    expect(rest.at(-1)!).toBeLessThan(first! / 20);
    for (const rate of [0.03, 0.1, 0.3]) {
      using other = shortAdding(backend, cell);
      const bySteepest = await lossesOfDescent(other, 181, rate);
      expect(bySteepest.at(-1)!).toBeGreaterThan(5 * rest.at(-1)!);
    }
  });
});

describe('the first step', () => {
  test.each([0, 0.3])(
    'is that of the formulas on matrices written out, weight decay %d',
    async (weightDecay) => {
      using backend = new Float64Backend();
      using space = new VectorSpace(backend);
      const model = new LanguageModel({ cell: 'lstm', vocabulary: 3, hidden: 3, layers: 1, embedding: 2 });
      const batch = randomBatch(model, { steps: 3, samples: 2, classes: 3 });
      const problem = randomProblem(backend, model, { steps: 3, samples: 2 }, [batch]);
      const { theta } = problem;
      const damping = 0.2;
      const size = model.parameters.size;
      const before = Array.from(await theta.read());
      using objective = new Objective(space, model, theta);
      using gradient = space.vector(size);
      await objective.gradient(batch, gradient);
      const g = Array.from(await gradient.read(), (x, i) => x + weightDecay * before[i]!);
      using operator = gaussNewtonOperator(space, problem);
      const shift = damping + weightDecay;
      const curvature = new Matrix(await toDense(operator)).add(Matrix.eye(size).mul(shift));

      using optimizer = new Kfac(space, model, theta, { damping, weightDecay });
      const { rate, momentum } = await optimizer.step(batch);
      // The blocks alone: the factors are those of the optimizer's own draws.
      using factors = await kfacOperator(space, problem);
      const memory = await optimizer.memory();
      const direction = new Float64Array(size);
      factors.blocks.forEach(({ parts, left, right }, i) => {
        const l = square(memory[`left.${i}`]!, left);
        const r = square(memory[`right.${i}`]!, right);
        const pi = Math.sqrt(r.trace() / r.rows / (l.trace() / l.rows));
        const inverses = [
          inverse(Matrix.add(l, Matrix.eye(l.rows).mul(Math.sqrt(shift) / pi))),
          inverse(Matrix.add(r, Matrix.eye(r.rows).mul(Math.sqrt(shift) * pi))),
        ];
        const v = Matrix.zeros(l.rows, r.rows);
        const places = parts.flatMap(({ offset, columns }) =>
          Array.from({ length: columns }, (_, j) => ({ offset: offset + j, columns })),
        );
        for (let row = 0; row < l.rows; row++)
          places.forEach(({ offset, columns }, j) => v.set(row, j, g[offset + row * columns]!));
        const w = inverses[0]!.mmul(v).mmul(inverses[1]!);
        for (let row = 0; row < l.rows; row++)
          places.forEach(({ offset, columns }, j) => {
            direction[offset + row * columns] = -w.get(row, j);
          });
      });
      const d = Matrix.columnVector(Array.from(direction));
      const expected = -Matrix.columnVector(g).dot(d) / d.transpose().mmul(curvature).mmul(d).get(0, 0);
      expect(momentum).toBe(0);
      expect(rate / expected).toBeCloseTo(1, 11);
      const after = await theta.read();
      const largest = Math.max(...direction.map(Math.abs)) * rate;
      const errors = before.map((x, i) => Math.abs(after[i]! - x - rate * direction[i]!));
      expect(Math.max(...errors) / largest).toBeLessThan(1e-11);
    },
  );

  test('of a linear model under squared error is nearly that of Newton', async () => {
    using backend = new Float64Backend();
    using problem = leastSquares(backend);
    await losses(problem, 1, { damping: 1e-8 });
    const theta = await problem.theta.read();
    for (const [i, each] of problem.solution.entries()) expect(theta[i]!).toBeCloseTo(each, 2);
  });
});

function square(numbers: ArrayLike<number>, [n, columns]: readonly number[]): Matrix {
  const all = Array.from(numbers);
  if (columns === undefined) return Matrix.diag(all);
  return new Matrix(Array.from({ length: n! }, (_, i) => all.slice(i * n!, (i + 1) * n!)));
}

describe('trains with batches that change', () => {
  test('a language model, an embedding and LSTM, to the same bits twice', async () => {
    const run = async () => {
      using backend = new Float32Backend();
      using space = new VectorSpace(backend);
      const model = new LanguageModel({ cell: 'lstm', vocabulary: 5, hidden: 8, layers: 1, embedding: 4 });
      const theta = space.vector(model.parameters.size);
      theta.write(model.parameters.initial(new CounterRandom(1)));
      using optimizer = new Kfac(space, model, theta);
      const all: number[] = [];
      let state = {};
      for (let i = 0; i < 60; i++) {
        // Each character follows from the one before: 0 1 2 3 4 0 ...
        const characters = Int32Array.from(
          { length: 6 * 4 },
          (_, k) => (Math.floor(k / 4) + 6 * i + (k % 4)) % 5,
        );
        const parts = { characters, targets: characters.map((c) => (c + 1) % 5) };
        const step = await optimizer.step({ parts, steps: 6, samples: 4, state, weight: 1 });
        all.push(step.loss);
        state = step.state;
      }
      return all;
    };
    const all = await run();
    expect(all[0]!).toBeGreaterThan(1.4);
    expect(all.at(-1)!).toBeLessThan(0.01);
    expect(await run()).toEqual(all);
  });

  test('batches of other sizes share their factors', async () => {
    using backend = new Float32Backend();
    using problem = shortAdding(backend);
    using optimizer = new Kfac(problem.space, problem.model, problem.theta);
    const half = firstSamples(problem.model, problem.batch, 32);
    const { loss } = await optimizer.step(problem.batch);
    for (let i = 0; i < 40; i++) await optimizer.step(i % 2 === 0 ? half : problem.batch);
    expect((await optimizer.step(problem.batch)).loss).toBeLessThan(loss / 2);
  });
});

describe('memory', () => {
  test('restored goes on to the same bits', async () => {
    using backend = new Float32Backend();
    using problem = shortAdding(backend, 'lstm', 16);
    const options = { invertEvery: 4, adaptEvery: 3, weightDecay: 1e-3 };
    using optimizer = new Kfac(problem.space, problem.model, problem.theta, options);
    for (let i = 0; i < 6; i++) await optimizer.step(problem.batch);
    const theta = await problem.theta.read();
    const memory = await optimizer.memory();
    const on = [];
    for (let i = 0; i < 4; i++) on.push(await optimizer.step(problem.batch));
    using other = new Kfac(problem.space, problem.model, problem.theta, options);
    problem.theta.write(theta);
    other.restore(memory, 'test');
    expect(await other.memory()).toEqual(memory);
    for (const each of on) expect(await other.step(problem.batch)).toEqual(each);
  });

  test('of another model is refused in the next step', async () => {
    using backend = new Float32Backend();
    using problem = shortAdding(backend);
    using optimizer = new Kfac(problem.space, problem.model, problem.theta);
    optimizer.restore({ figures: new Float64Array(2) }, 'test');
    await expect(optimizer.step(problem.batch)).rejects.toMatchObject({ code: 'CHECKPOINT', where: 'test' });
  });
});

test.each<KfacTrainingOptions>([
  { damping: 0 },
  { weightDecay: -1 },
  { averaging: 1 },
  { invertEvery: 0 },
  { adaptEvery: 1.5 },
  { seed: -1 },
])('%j is refused', (options) => {
  using backend = new Float64Backend();
  using problem = leastSquares(backend);
  expect(() => new Kfac(problem.space, problem.model, problem.theta, options)).toThrow(
    expect.objectContaining({ code: 'OPTION', where: Object.keys(options)[0] }),
  );
});
