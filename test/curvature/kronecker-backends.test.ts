import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { hessianBlock } from '../../src/curvature/blocks.js';
import { toDense } from '../../src/curvature/dense.js';
import { kroneckerBlock } from '../../src/curvature/kronecker.js';
import { ExplicitKronecker } from '../../src/curvature/kronecker-explicit.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import type { Model } from '../../src/model/model.js';
import { backends } from '../support/backends.js';
import { randomProblem, smallSequenceModel } from '../support/curvature-problems.js';
import { expectClose } from '../support/numbers.js';

const model = smallSequenceModel('rnn', { features: 3, hidden: 2, outputs: 2 }, 'softmax-cross-entropy');
const SIZES = { steps: 3, samples: 2 };
const [input, recurrent] = ['rnn.weight_ih_l0', 'rnn.weight_hh_l0'];

async function everything(backend: Backend, model: Model): Promise<Record<string, ArrayLike<number>>> {
  using space = new VectorSpace(backend);
  const problem = randomProblem(backend, model, SIZES);
  using _theta = problem.theta;
  using block = hessianBlock(space, problem, recurrent, input);
  using structured = kroneckerBlock(space, problem, recurrent);
  using gaussNewton = kroneckerBlock(space, problem, recurrent, 'gauss-newton');
  using explicit = await ExplicitKronecker.create(space, problem, input);
  return {
    'a block beside the diagonal': (await toDense(block)).flat(),
    'the structured product': (await toDense(structured)).flat(),
    'the Gauss-Newton sum': (await toDense(gaussNewton)).flat(),
    'products from C': (await toDense(explicit)).flat(),
    'the matrix from C': (await explicit.dense()).flat(),
    'the diagonal from C': await explicit.diagonal(),
    'the trace from C': [await explicit.trace()],
    'the eigenvalues from C': await explicit.eigenvalues(),
  };
}

describe.each(Object.entries(backends).slice(1))('blocks on %s', (where, open) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await open();
  });
  afterAll(() => backend[Symbol.dispose]());

  test('are those of the oracle', async () => {
    using oracle = new Float64Backend();
    const expected = await everything(oracle, model);
    const ours = await everything(backend, model);
    // Float32 rounds to 6e-8; sums here are short.
    const tolerance = where === 'the stages in float64' ? 1e-12 : 5e-6;
    for (const [what, numbers] of Object.entries(expected))
      expectClose(ours[what]!, numbers, tolerance, what);
    expect(Object.keys(ours)).toEqual(Object.keys(expected));
  });
});
