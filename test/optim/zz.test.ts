import { test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { CounterRandom } from '../../src/data/random.js';
import { SequenceStream } from '../../src/data/sequences.js';
import { addingProblem } from '../../src/data/tasks.js';
import { SequenceModel } from '../../src/model/sequence-model.js';
import { Kfac } from '../../src/optim/kfac.js';

test('x', async () => {
  const steps = 50,
    batch = 128;
  for (const [cell, options] of [
    ['rnn', { invertEvery: 10 }],
    ['rnn', { invertEvery: 5, damping: 0.01 }],
    ['rnn', { invertEvery: 2 }],
    ['rnn', { invertEvery: 5, time: 'reduce' }],
    ['lstm', { invertEvery: 5 }],
  ] as const) {
    using backend = new Float32Backend();
    using space = new VectorSpace(backend);
    const model = new SequenceModel({
      cell,
      features: 2,
      hidden: 32,
      layers: 1,
      outputs: 1,
      perStep: false,
      loss: 'mean-squared-error',
    });
    const theta = space.vector(model.parameters.size);
    theta.write(model.parameters.initial(new CounterRandom(1)));
    const stream = new SequenceStream(addingProblem({ seed: 5, steps }), { batch });
    using optimizer = new Kfac(space, model, theta, options);
    const all: string[] = [];
    let d = 0;
    const t = performance.now();
    let sum = 0,
      solved = -1;
    for (let i = 0; i <= 800; i++) {
      const { inputs, targets, weight } = stream.at(i);
      const s = await optimizer.step({
        parts: { inputs, targets, weight },
        steps,
        samples: batch,
        weight: 1,
      });
      d = s.damping;
      sum = sum === 0 ? s.loss : 0.9 * sum + 0.1 * s.loss;
      if (solved < 0 && sum < 2e-3) solved = i;
      if (i % 100 === 0) all.push(sum.toExponential(1));
      if (solved >= 0 && i > solved + 20) break;
    }
    console.log(
      cell,
      JSON.stringify(options),
      all.join(' '),
      'lambda',
      d.toExponential(1),
      'solved',
      solved,
      ((performance.now() - t) / 1000).toFixed(0),
      's',
    );
  }
}, 590000);
