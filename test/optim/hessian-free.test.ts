import { describe, expect, test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { gaussNewtonOperator } from '../../src/curvature/model-operator.js';
import { HessianFree, type HessianFreeOptions } from '../../src/optim/hessian-free.js';
import { leastSquares, type SmallProblem, shortAdding } from './second-order-problems.js';

const optimizerOf = ({ space, model, theta }: SmallProblem, options: HessianFreeOptions = {}) =>
  new HessianFree(space, model, theta, options);

describe('on least squares, where q is the loss itself', () => {
  test('one step is as good as conjugate gradients are, and rho is 1', async () => {
    using backend = new Float64Backend();
    using problem = leastSquares(backend);
    using optimizer = optimizerOf(problem, { damping: 1e-12, cgProgress: 0 });
    const first = await optimizer.step(problem.batch);
    expect(first.reductionRatio).toBeCloseTo(1, 6);
    expect(first.distance).toBe(1);
    expect(first.damping).toBeCloseTo(1e-12 * (2 / 3), 20);
    const second = await optimizer.step(problem.batch);
    expect(second.loss).toBeLessThan(1e-10 * first.loss);
    const theta = await problem.theta.read();
    for (const [i, each] of problem.solution.entries()) expect(theta[i]!).toBeCloseTo(each, 6);
  });

  test('a damped step solves the damped system', async () => {
    using backend = new Float64Backend();
    using problem = leastSquares(backend);
    const { space, model, theta, batch } = problem;
    const before = await theta.read();
    using G = gaussNewtonOperator(space, { model, theta, batches: [batch] });
    // The loss is quadratic with its least value at the solution: g = G (theta - solution).
    const g = await G.matvec(before.map((each, i) => each - problem.solution[i]!));
    using optimizer = optimizerOf(problem, { damping: 10, cgProgress: 0, cgIterations: 100, probes: 4 });
    await optimizer.step(batch);
    const after = await theta.read();
    const d = after.map((each, i) => each - before[i]!);
    const Gd = await G.matvec(d);
    for (const [i, each] of g.entries()) expect(Math.abs(Gd[i]! + 10 * d[i]! + each)).toBeLessThan(1e-6);
  });
});

describe('trains a small recurrent network in a few steps', () => {
  const losses = async (problem: SmallProblem, steps: number, options: HessianFreeOptions) => {
    using optimizer = optimizerOf(problem, options);
    const found: number[] = [];
    for (let i = 0; i < steps; i++) found.push((await optimizer.step(problem.batch)).loss);
    return found;
  };

  test.each([
    ['rnn', { probes: 4 }],
    ['rnn', { structuralDamping: 0.1 }],
    ['lstm', { structuralDamping: 0.1, curvatureSamples: 16 }],
  ] as const)('%s, %o, in float64 and in float32', async (cell, options) => {
    using float64 = new Float64Backend();
    using float32 = new Float32Backend();
    using exact = shortAdding(float64, cell);
    using single = shortAdding(float32, cell);
    using again = shortAdding(float32, cell);
    const expected = await losses(exact, 3, { damping: 0.1, ...options });
    const found = await losses(single, 20, { damping: 0.1, ...options });
    for (let i = 0; i < 3; i++) expect(Math.abs(found[i]! / expected[i]! - 1)).toBeLessThan(1e-2);
    expect(found.at(-1)!).toBeLessThan(found[0]! / 10);
    expect(await losses(again, 20, { damping: 0.1, ...options })).toEqual(found);
  });
});

test('a memory restored goes on to the same bits', async () => {
  using backend = new Float32Backend();
  using problem = shortAdding(backend);
  const options = { structuralDamping: 0.1, probes: 1 };
  using optimizer = optimizerOf(problem, options);
  for (let i = 0; i < 3; i++) await optimizer.step(problem.batch);
  const theta = await problem.theta.read();
  const memory = await optimizer.memory();
  const expected = [await optimizer.step(problem.batch), await optimizer.step(problem.batch)];
  using other = optimizerOf(problem, options);
  problem.theta.write(theta);
  other.restore(memory, 'test');
  expect([await other.step(problem.batch), await other.step(problem.batch)]).toEqual(expected);
  expect(() => other.restore({ direction: theta }, 'test')).toThrow('"figures"');
});

test('a loss that is not finite is told, and changes nothing', async () => {
  using backend = new Float64Backend();
  using problem = shortAdding(backend);
  problem.theta.write(new Float64Array(problem.model.parameters.size).fill(Number.NaN));
  using optimizer = optimizerOf(problem);
  expect(await optimizer.step(problem.batch)).toMatchObject({ loss: Number.NaN, distance: 0, damping: 0.1 });
});

test('options out of range are refused', () => {
  using backend = new Float64Backend();
  using problem = leastSquares(backend);
  for (const options of [{ damping: 0 }, { structuralDamping: -1 }, { warmStart: 2 }, { probes: 0.5 }])
    expect(() => optimizerOf(problem, options)).toThrow(Object.keys(options)[0]);
});
