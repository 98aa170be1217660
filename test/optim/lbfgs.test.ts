import { describe, expect, test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { LBFGS_DEFAULTS, Lbfgs } from '../../src/optim/lbfgs.js';
import { Objective } from '../../src/optim/objective.js';
import { dot, expectClose } from '../support/numbers.js';
import { leastSquares, shortAdding } from './second-order-problems.js';

describe('on least squares', () => {
  test('reaches the minimum in a step more than there are unknowns, with a line search near to exact', async () => {
    using backend = new Float64Backend();
    using problem = leastSquares(backend);
    using optimizer = new Lbfgs(problem.space, problem.model, problem.theta, { flatness: 0.1 });
    const { size } = problem.model.parameters;
    let loss = Number.POSITIVE_INFINITY;
    let steps = 0;
    while (loss > 1e-20 && steps < 3 * size) {
      ({ loss } = await optimizer.step(problem.batch));
      steps += 1;
    }
    expect(loss).toBeLessThan(1e-20);
    expect(steps).toBeLessThanOrEqual(size + 2);
    const theta = await problem.theta.read();
    for (const [i, each] of problem.solution.entries()) expect(theta[i]!).toBeCloseTo(each, 8);
  });

  test('the first direction is steepest descent, and every step obeys the Wolfe conditions', async () => {
    using backend = new Float64Backend();
    using problem = leastSquares(backend);
    const { space, model, theta, batch } = problem;
    using optimizer = new Lbfgs(space, model, theta, { flatness: 0.5 });
    using objective = new Objective(space, model, theta);
    using gradient = space.vector(model.parameters.size);
    const here = async () => {
      const { loss } = await objective.gradient(batch, gradient);
      return { loss, g: await gradient.read(), theta: await theta.read() };
    };
    let before = await here();
    for (let i = 0; i < 8; i++) {
      const { loss, isPairKept, distance } = await optimizer.step(batch);
      const after = await here();
      const s = after.theta.map((x, j) => x - before.theta[j]!);
      const [slope, slopeThere] = [dot(before.g, s), dot(after.g, s)];
      expect(loss).toBe(before.loss);
      expect(after.loss).toBeLessThanOrEqual(loss + LBFGS_DEFAULTS.decrease * slope);
      expect(Math.abs(slopeThere)).toBeLessThanOrEqual(-0.5 * slope);
      expect(isPairKept).toBe(true);
      if (i === 0)
        expectClose(
          s,
          before.g.map((x) => -distance * x),
          1e-12,
        );
      before = after;
    }
  });
});

test('trains a small network in float32, the same bits twice', async () => {
  const run = async () => {
    using backend = new Float32Backend();
    using problem = shortAdding(backend);
    using optimizer = new Lbfgs(problem.space, problem.model, problem.theta);
    const losses: number[] = [];
    for (let i = 0; i < 100; i++) losses.push((await optimizer.step(problem.batch)).loss);
    return losses;
  };
  const losses = await run();
  expect(losses.at(-1)!).toBeLessThan(losses[0]! / 10);
  expect(await run()).toEqual(losses);
});

test('a memory restored goes on to the same bits', async () => {
  using backend = new Float64Backend();
  using problem = shortAdding(backend);
  using optimizer = new Lbfgs(problem.space, problem.model, problem.theta, { pairs: 3 });
  for (let i = 0; i < 5; i++) await optimizer.step(problem.batch);
  const theta = await problem.theta.read();
  const memory = await optimizer.memory();
  const on = [await optimizer.step(problem.batch), await optimizer.step(problem.batch)];
  using other = new Lbfgs(problem.space, problem.model, problem.theta, { pairs: 3 });
  problem.theta.write(theta);
  other.restore(memory, 'test');
  expect([await other.step(problem.batch), await other.step(problem.batch)]).toEqual(on);
  expect(() => other.restore({ ...memory, s1: new Float64Array(2) }, 'test')).toThrow('"s1"');
});

test('the same arrays again need no gradient again, and give the same steps', async () => {
  const run = async (copied: boolean) => {
    using backend = new Float32Backend();
    using problem = shortAdding(backend);
    using optimizer = new Lbfgs(problem.space, problem.model, problem.theta);
    const steps = [];
    for (let i = 0; i < 6; i++) {
      const parts = Object.entries(problem.batch.parts).map(([name, part]) => [name, part.slice()]);
      const batch = copied ? { ...problem.batch, parts: Object.fromEntries(parts) } : { ...problem.batch };
      steps.push(await optimizer.step(batch));
    }
    return steps;
  };
  expect(await run(false)).toEqual(await run(true));
});

test('nowhere to go is no step', async () => {
  using backend = new Float64Backend();
  using problem = leastSquares(backend);
  problem.theta.write(problem.solution);
  using optimizer = new Lbfgs(problem.space, problem.model, problem.theta);
  await optimizer.step(problem.batch);
  const { loss } = await optimizer.step(problem.batch);
  expect(loss).toBeLessThan(1e-25);
});

test('options out of range are refused', () => {
  using backend = new Float64Backend();
  using problem = leastSquares(backend);
  const make = (options: object) => () => new Lbfgs(problem.space, problem.model, problem.theta, options);
  expect(make({ pairs: 0 })).toThrow('pairs');
  expect(make({ flatness: 1e-5 })).toThrow('flatness');
});
