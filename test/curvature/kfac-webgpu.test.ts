/** K-FAC on WebGPU gives what it gives in float64. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { createDawnBackend } from '../../src/backend/webgpu/dawn.js';
import { kfacOperator } from '../../src/curvature/kfac.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { LanguageModel } from '../../src/model/language-model.js';
import { Kfac } from '../../src/optim/kfac.js';
import { randomProblem } from '../support/curvature-problems.js';

const oracle = new VectorSpace(new Float64Backend());
let gpu: VectorSpace;
beforeAll(async () => {
  gpu = new VectorSpace(await createDawnBackend());
});
afterAll(() => {
  gpu[Symbol.dispose]();
  gpu.backend[Symbol.dispose]();
});

const model = new LanguageModel({ cell: 'lstm', vocabulary: 3, hidden: 5, layers: 1, embedding: 2 });
const sizes = { steps: 4, samples: 3, classes: 3 };

/** The largest difference as a share of the largest element. */
function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  const largest = Math.max(...Array.from(expected, Math.abs));
  return Math.max(...Array.from(expected, (x, i) => Math.abs(x - actual[i]!))) / largest;
}

test('products with K and with its damped inverse', async () => {
  const vectors = [1, 2].map((k) =>
    Float64Array.from({ length: model.parameters.size }, (_, i) => Math.sin(k * i)),
  );
  const [exact, rounded] = await Promise.all(
    [oracle, gpu].map(async (space) => {
      const problem = randomProblem(space.backend, model, sizes);
      using kfac = await kfacOperator(space, problem, { seed: 4 });
      using inverse = await kfac.inverse(1e-2);
      return [...(await kfac.matmat(vectors)), ...(await inverse.matmat(vectors))];
    }),
  );
  exact!.forEach((product, i) => {
    expect(difference(rounded![i]!, product)).toBeLessThan(1e-4);
  });
});

test('a step, steps in time reduced', async () => {
  const [exact, rounded] = await Promise.all(
    [oracle, gpu].map(async (space) => {
      const { theta, batches } = randomProblem(space.backend, model, sizes);
      const before = await theta.read();
      using optimizer = new Kfac(space, model, theta, { time: 'reduce' });
      await optimizer.step(batches[0]!);
      return (await theta.read()).map((x, i) => x - before[i]!);
    }),
  );
  expect(difference(rounded!, exact!)).toBeLessThan(1e-3);
});
