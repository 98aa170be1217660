import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { programTensors } from '../../src/backend/program-tensors.js';
import { CounterRandom } from '../../src/data/random.js';
import { Scope } from '../../src/dispose.js';
import { LanguageModel } from '../../src/model/language-model.js';
import { float } from '../../src/program/program.js';
import { Evaluator, evaluationSizes } from '../../src/train/evaluator.js';
import { prediction } from '../../src/train/step-program.js';

test('a text of any length is cut within the sizes, and next to nothing of it is lost', () => {
  const size = fc.integer({ min: 1, max: 100 });
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 20_000 }), size, size, (length, batch, unroll) => {
      const cut = evaluationSizes(length, { batch, unroll });
      expect(cut.batch).toBeGreaterThanOrEqual(1);
      expect(cut.batch).toBeLessThanOrEqual(batch);
      expect(cut.unroll).toBeGreaterThanOrEqual(1);
      expect(cut.unroll).toBeLessThanOrEqual(unroll);
      const chunks = Math.floor((length - 1) / (cut.batch * cut.unroll));
      const lost = length - 1 - chunks * cut.batch * cut.unroll;
      expect(lost).toBeLessThan(cut.batch * Math.max(chunks, cut.unroll));
    }),
  );
});

test('the loss of a short text is the mean of -ln p over all its characters, with the state carried', async () => {
  const backend = new Float64Backend();
  const model = new LanguageModel({ cell: 'lstm', vocabulary: 5, hidden: 4, layers: 2, embedding: 3 });
  const theta = model.parameters.initial(new CounterRandom(7)).map((x) => 2 * x);
  const ids = Int32Array.from({ length: 21 }, (_, i) => (i * i + 3 * i) % 5);
  using parameters = backend.tensor(float(theta.length));
  parameters.write(theta);
  // One stream of 20 predictions in 4 chunks of 5.
  using evaluator = new Evaluator(backend, model, { batch: 3, unroll: 6 });
  const loss = await evaluator.loss(parameters, ids);

  using scope = new Scope();
  const program = prediction(model, 20);
  const tensors = programTensors(backend, program, scope);
  tensors.theta!.write(theta);
  tensors.characters!.write(ids.subarray(0, 20));
  (await backend.compile(program)).run(tensors);
  const logits = await tensors.logits!.read();
  let expected = 0;
  for (let t = 0; t < 20; t += 1) {
    const row = Array.from(logits.subarray(5 * t, 5 * t + 5));
    const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0);
    expected -= Math.log(Math.exp(row[ids[t + 1]!]!) / total) / 20;
  }
  expect(loss).toBeCloseTo(expected, 12);
});

test('a text with nothing to predict is refused', async () => {
  const backend = new Float64Backend();
  const model = new LanguageModel({
    cell: 'lstm',
    vocabulary: 2,
    hidden: 1,
    layers: 1,
    embedding: 'one-hot',
  });
  using evaluator = new Evaluator(backend, model, { batch: 1, unroll: 1 });
  await expect(evaluator.loss(backend.tensor(float(1)), new Int32Array(1))).rejects.toMatchObject({
    code: 'TEXT',
  });
});
