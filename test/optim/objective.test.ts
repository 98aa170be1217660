import { describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import type { CurvatureBatch } from '../../src/curvature/batch-products.js';
import { CounterRandom } from '../../src/data/random.js';
import { LanguageModel } from '../../src/model/language-model.js';
import { Objective } from '../../src/optim/objective.js';
import { firstSamples } from '../../src/optim/part-of-batch.js';
import { shortAdding } from './second-order-problems.js';

const open = (samples: number, backend: Backend = new Float64Backend()) =>
  shortAdding(backend, 'gru', samples);

describe('along a line', () => {
  test('loss and slope are those of the moved parameters, by central differences', async () => {
    using problem = open(8);
    const { space, model, theta, batch } = problem;
    using objective = new Objective(space, model, theta);
    using direction = space.vector(model.parameters.size);
    using gradient = space.vector(model.parameters.size);
    const random = new CounterRandom(4);
    direction.write(Float64Array.from({ length: model.parameters.size }, () => random.normal()));
    const at = (distance: number) => objective.loss(batch, { direction, distance });
    const there = await objective.gradient(batch, gradient, { direction, distance: 0.3 });
    expect(there.loss).toBe(await at(0.3));
    expect(there.slope).toBeCloseTo(((await at(0.3 + 1e-6)) - (await at(0.3 - 1e-6))) / 2e-6, 7);
    expect(there.slope).toBeCloseTo(await space.dot(gradient, direction), 12);
    expect(there.norm).toBeCloseTo(Math.sqrt(await space.dot(gradient, gradient)), 12);
    expect(await objective.loss(batch)).toBe(await at(0));
  });
});

test("many probes' mean is the mean of the samples' squared gradients", async () => {
  using problem = open(3, new Float32Backend());
  const { space, model, theta, batch } = problem;
  const { size } = model.parameters;
  using objective = new Objective(space, model, theta);
  using gradient = space.vector(size);
  const expected = new Float64Array(size);
  for (let i = 0; i < 3; i++) {
    await objective.gradient(sample(batch, i), gradient);
    for (const [j, each] of (await gradient.read()).entries()) expected[j]! += each ** 2 / 3;
  }
  // With three samples there are eight ways to sign: enough probes see all of them about equally often.
  using squares = space.vector(size);
  const probes = 200;
  for (let probe = 0; probe < probes; probe++)
    await objective.addSquares(batch, squares, {
      key: [7, probe],
      kept: probe === 0 ? 0 : 1,
      share: 1 / probes,
    });
  const found = await squares.read();
  const largest = Math.max(...expected);
  for (const [j, each] of expected.entries()) expect(Math.abs(found[j]! - each) / largest).toBeLessThan(0.15);
});

/** Sample i of a batch as a batch of its own, of the adding problem. */
function sample({ parts, steps, samples }: CurvatureBatch, i: number): CurvatureBatch {
  const inputs = Float64Array.from({ length: steps * 2 }, (_, k) => {
    const [time, feature] = [Math.floor(k / 2), k % 2];
    return parts.inputs![(time * samples + i) * 2 + feature]!;
  });
  const own = { inputs, targets: parts.targets!.slice(i, i + 1), weight: Float64Array.of(1) };
  return { parts: own, steps, samples: 1, weight: 1 };
}

describe('the first samples of a batch', () => {
  test('have the mean loss of themselves', async () => {
    using problem = open(4);
    const { space, model, theta, batch } = problem;
    using objective = new Objective(space, model, theta);
    const losses: number[] = [];
    for (const i of [0, 1]) losses.push(await objective.loss(sample(batch, i)));
    const two = firstSamples(model, batch, 2);
    expect(two.samples).toBe(2);
    expect(await objective.loss(two)).toBeCloseTo((losses[0]! + losses[1]!) / 2, 12);
    expect(firstSamples(model, batch, 4)).toBe(batch);
  });

  test('are all of them where the first count nothing, and have no mean', () => {
    using problem = open(4);
    const { model, batch } = problem;
    const weight = Float32Array.of(0, 0, 1, 1);
    const late = { ...batch, parts: { ...batch.parts, weight } };
    expect(firstSamples(model, late, 2)).toBe(late);
    expect(firstSamples(model, late, 3).weight).toBe(2);
  });

  test('of a text, with the state before it', () => {
    const model = new LanguageModel({
      cell: 'gru',
      vocabulary: 5,
      hidden: 2,
      layers: 2,
      embedding: 'one-hot',
    });
    const numbers = Int32Array.from({ length: 6 }, (_, i) => i);
    const state = { h: Float32Array.from({ length: 12 }, (_, i) => i) };
    const batch = {
      parts: { characters: numbers, targets: numbers },
      steps: 2,
      samples: 3,
      state,
      weight: 1,
    };
    expect(firstSamples(model, batch, 2)).toEqual({
      parts: { characters: Int32Array.of(0, 1, 3, 4), targets: Int32Array.of(0, 1, 3, 4) },
      state: { h: Float32Array.of(0, 1, 2, 3, 6, 7, 8, 9) },
      ...{ steps: 2, samples: 2, weight: 1 },
    });
  });
});
