import { expect, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { hessianBlock } from '../../src/curvature/blocks.js';
import { lanczos } from '../../src/curvature/lanczos.js';
import { spectralDensity } from '../../src/curvature/spectral-density.js';
import { hutchinson, hutchPlusPlus } from '../../src/curvature/trace.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { randomProblem, smallSequenceModel } from '../support/curvature-problems.js';

test('what only square operators have is refused of a block beside the diagonal', async () => {
  using backend = new Float64Backend();
  using space = new VectorSpace(backend);
  const problem = randomProblem(backend, smallSequenceModel('rnn'), { steps: 2, samples: 1 });
  using _theta = problem.theta;
  using block = hessianBlock(space, problem, 'rnn.weight_hh_l0', 'rnn.weight_ih_l0');
  const attempts = {
    'only square ones have eigenvalues': [lanczos(block, { largest: 1 }), spectralDensity(block)],
    'only square ones have a trace': [
      hutchinson(block, { probes: 2 }),
      hutchPlusPlus(block, { products: 6 }),
    ],
  };
  for (const [message, promises] of Object.entries(attempts))
    for (const promise of promises)
      await expect(promise).rejects.toMatchObject({
        code: 'SHAPE',
        message: `the operator is [9,6], and ${message}`,
      });
});
