import { expect, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { createDawnBackend } from '../../src/backend/webgpu/dawn.js';
import { HessianFree } from '../../src/optim/hessian-free.js';
import { Kfac } from '../../src/optim/kfac.js';
import { Lbfgs } from '../../src/optim/lbfgs.js';
import type { SecondOrderOptimizer } from '../../src/optim/second-order.js';
import { type SmallProblem, shortAdding } from './second-order-problems.js';

const STEPS = 2;

const optimizers: [string, (problem: SmallProblem) => SecondOrderOptimizer][] = [
  [
    'Hessian-free, preconditioned, with structural damping',
    ({ space, model, theta }) =>
      new HessianFree(space, model, theta, { structuralDamping: 0.1, probes: 1, cgIterations: 12 }),
  ],
  ['L-BFGS', ({ space, model, theta }) => new Lbfgs(space, model, theta)],
  ['K-FAC', ({ space, model, theta }) => new Kfac(space, model, theta)],
];

test.each(optimizers)('%s takes the same steps on WebGPU as in float64', async (_, make) => {
  using gpu = await createDawnBackend();
  using cpu = new Float64Backend();
  const losses = async (problem: SmallProblem) => {
    using optimizer = make(problem);
    const found: number[] = [];
    for (let i = 0; i <= STEPS; i++) found.push((await optimizer.step(problem.batch)).loss);
    return found;
  };
  using onGpu = shortAdding(gpu, 'rnn', 16);
  using onCpu = shortAdding(cpu, 'rnn', 16);
  const expected = await losses(onCpu);
  const found = await losses(onGpu);
  for (const [i, each] of expected.entries()) expect(Math.abs(found[i]! / each - 1)).toBeLessThan(1e-3);
  expect(found.at(-1)!).toBeLessThan(found[0]!);
});
