/** What races: optimizers with the settings of their runs. */
import type { Backend, Tensor } from '../../src/backend/backend.js';
import { programTensors } from '../../src/backend/program-tensors.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { Scope } from '../../src/dispose.js';
import { adam } from '../../src/optim/adam.js';
import { HessianFree, type HessianFreeOptions } from '../../src/optim/hessian-free.js';
import { Kfac } from '../../src/optim/kfac.js';
import { Lbfgs } from '../../src/optim/lbfgs.js';
import type { Optimizer } from '../../src/optim/optimizer.js';
import type { SecondOrderOptimizer } from '../../src/optim/second-order.js';
import { sgd } from '../../src/optim/sgd.js';
import { stepScalars, trainingStep } from '../../src/train/step-program.js';
import type { Problem, ProblemId } from './problems.js';

/** An optimizer at work on a problem. */
export interface Runner extends Disposable {
  readonly theta: Tensor;
  step(parts: Parts): Promise<void>;
}

type Parts = ReturnType<Problem['batch']>;

export interface Contender {
  readonly optimizer: string;
  readonly settings: string;
  /** Sequences of a step, and which batch of so many step 0, 1, ... takes. */
  readonly samples: number;
  readonly batchOf: (step: number) => number;
  /** Steps from one look at the score to the next. */
  readonly lookEvery: number;
  start(backend: Backend, problem: Problem): Promise<Runner>;
}

/** Sequences of a step. */
const BATCH = { firstOrder: 32, hessianFree: 512, curvature: 128, kfac: 512, lbfgs: 1024 };
const HESSIAN_FREE: HessianFreeOptions = {
  ...{ structuralDamping: 0.03, curvatureSamples: BATCH.curvature, cgIterations: 100 },
};
const CLIP = 1;
/** Around what works: a recurrence of spectral radius 1.1 wants less than an LSTM. */
const LEARNING_RATES = {
  rnn: { adam: [0.0001, 0.0003, 0.001, 0.003], sgd: [0.001, 0.01] },
  lstm: { adam: [0.001, 0.003, 0.01], sgd: [0.01, 0.1] },
};

function firstOrder(name: string, optimizer: Optimizer, learningRate: number): Contender {
  return {
    optimizer: name,
    settings: `learning rate ${learningRate}`,
    samples: BATCH.firstOrder,
    batchOf: (step) => step,
    lookEvery: 50,
    async start(backend, problem) {
      const scope = new Scope();
      const options = { optimizer, ringLength: 1 };
      const program = trainingStep(problem.model, {
        ...{ batch: BATCH.firstOrder, unroll: problem.id.steps, clip: CLIP, dropout: 0, ...options },
      });
      const executable = scope.own(await backend.compile(program));
      const tensors = programTensors(backend, program, scope);
      tensors.theta!.write(problem.initial());
      let done = 0;
      return {
        theta: tensors.theta!,
        async step(parts) {
          for (const [name, numbers] of Object.entries(parts)) tensors[name]!.write(numbers);
          done += 1;
          tensors.scalars!.write(stepScalars(options, { step: done, learningRate }));
          executable.run(tensors);
        },
        [Symbol.dispose]: () => scope[Symbol.dispose](),
      };
    },
  };
}

function secondOrder(
  name: string,
  settings: string,
  samples: number,
  make: (space: VectorSpace, problem: Problem, theta: Tensor) => SecondOrderOptimizer,
  batchOf: (step: number) => number = (step) => step,
): Contender {
  return {
    optimizer: name,
    settings,
    samples,
    batchOf,
    lookEvery: 1,
    async start(backend, problem) {
      const scope = new Scope();
      const space = scope.own(new VectorSpace(backend));
      const theta = scope.own(space.vector(problem.model.parameters.size));
      theta.write(problem.initial());
      const optimizer = scope.own(make(space, problem, theta));
      const { steps } = problem.id;
      return {
        theta,
        async step(parts) {
          await optimizer.step({ parts, steps, samples, weight: 1 });
        },
        [Symbol.dispose]: () => scope[Symbol.dispose](),
      };
    },
  };
}

const SECOND_ORDER: readonly Contender[] = [
  secondOrder(
    'Hessian-free',
    `${BATCH.curvature} of ${BATCH.hessianFree} sequences for the curvature`,
    BATCH.hessianFree,
    (space, problem, theta) => new HessianFree(space, problem.model, theta, HESSIAN_FREE),
  ),
  secondOrder(
    'L-BFGS',
    `the same ${BATCH.lbfgs} sequences in every step`,
    BATCH.lbfgs,
    (space, problem, theta) => new Lbfgs(space, problem.model, theta),
    () => 0,
  ),
  secondOrder(
    'K-FAC',
    `${BATCH.kfac} sequences a step`,
    BATCH.kfac,
    (space, problem, theta) => new Kfac(space, problem.model, theta),
  ),
];

export const contenders = ({ cell }: ProblemId): Contender[] => [
  ...SECOND_ORDER,
  ...LEARNING_RATES[cell].adam.map((lr) => firstOrder('Adam', adam(), lr)),
  ...LEARNING_RATES[cell].sgd.map((lr) => firstOrder('SGD', sgd({ momentum: 0.9 }), lr)),
];
