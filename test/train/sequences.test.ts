/** Training on sequences with the trainer that trains on text. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { createDawnBackend } from '../../src/backend/webgpu/dawn.js';
import { SequenceStream } from '../../src/data/sequences.js';
import { addingProblem, copyMemory, parity, temporalOrder } from '../../src/data/tasks.js';
import { SeriesWindows } from '../../src/data/windows.js';
import { float } from '../../src/program/program.js';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/train/checkpoint.js';
import { fit } from '../../src/train/fit.js';
import { resolveSequenceConfig, type SequenceTrainConfigInput } from '../../src/train/sequence-config.js';
import { SequenceData, type SequenceSets } from '../../src/train/sequence-data.js';
import { firstOf } from '../../src/train/sequence-parts.js';
import { Trainer } from '../../src/train/trainer.js';
import { trainedModel } from '../../src/train/weights.js';

const SMALL = {
  ...{ cell: 'gru', hidden: 8, batch: 8, steps: 40, lr: 0.02, schedule: 'constant' },
  ...{ evaluateEvery: 20, saveEvery: 20 },
} satisfies SequenceTrainConfigInput;

/** A wave with a period of 8: three values tell the next. */
const wave = (rows: number) =>
  new SeriesWindows({
    values: Float64Array.from({ length: rows }, (_, i) => Math.sin((2 * Math.PI * i) / 8)),
    ...{ columns: 1, targetColumn: 0, window: 5, horizon: 1 },
  });

const forecasting: SequenceSets = { training: wave(64), validation: wave(29), identity: { name: 'wave' } };

const tasks: [string, SequenceSets, SequenceTrainConfigInput][] = [
  ['forecasts, shuffled', forecasting, {}],
  ['forecasts by a feed-forward network', forecasting, { network: 'feed-forward' }],
  [
    'sequences of many lengths, both directions, two layers with dropout',
    {
      training: addingProblem({ seed: 1, steps: 10, varyLength: true }),
      validation: firstOf(addingProblem({ seed: 2, steps: 10, varyLength: true }), 20),
      identity: { name: 'adding' },
    },
    { bidirectional: true, layers: 2, dropout: 0.25 },
  ],
  [
    'a class at every step',
    {
      training: copyMemory({ seed: 1, symbols: 2, length: 2, delay: 2 }),
      validation: firstOf(copyMemory({ seed: 2, symbols: 2, length: 2, delay: 2 }), 9),
      identity: { name: 'copy' },
    },
    {},
  ],
  [
    'one class of a whole sequence, with attention',
    {
      training: temporalOrder({ seed: 1, steps: 10 }),
      validation: firstOf(temporalOrder({ seed: 2, steps: 10 }), 64),
      identity: { name: 'order' },
    },
    { network: 'attention' },
  ],
];

async function start(backend: Backend, sets: SequenceSets, changes: SequenceTrainConfigInput = {}) {
  const config = resolveSequenceConfig({ ...SMALL, ...changes });
  return Trainer.create(backend, config, new SequenceData(sets, config));
}

const advance = (trainer: Trainer<SequenceData>, steps: number) => {
  for (let i = 0; i < steps; i++) trainer.step(trainer.data.stream.at(trainer.nextBatch));
};

const bitsOf = async (trainer: Trainer<SequenceData>) => encodeCheckpoint(await trainer.checkpoint());

describe.each<[string, () => Promise<Backend>]>([
  ['cpu', async () => new Float32Backend()],
  ['webgpu', () => createDawnBackend()],
])('a restored run on %s gives the bits of one that never stopped', (_, open) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await open();
  });
  afterAll(() => backend[Symbol.dispose]());

  test.each(tasks)('%s', async (_, sets, changes) => {
    using whole = await start(backend, sets, changes);
    advance(whole, 12); // across the end of an epoch, behind which the order is another
    using first = await start(backend, sets, changes);
    advance(first, 5);
    const saved = await decodeCheckpoint(await bitsOf(first), 'test');
    await first.evaluate(first.data.heldOut!);
    using second = await Trainer.restore(backend, saved, first.config, first.data);
    advance(second, 7);
    expect(await bitsOf(second)).toEqual(await bitsOf(whole));
  });
});

test.each(tasks)('the validation loss of %s falls', async (_, sets, changes) => {
  using trainer = await start(new Float32Backend(), sets, { ...changes, steps: 200 });
  const before = await trainer.evaluate(trainer.data.heldOut!);
  const { best } = await fit(trainer);
  expect(best!.validationLoss).toBeLessThan(0.8 * before);
});

test('the evaluation counts every sequence once, however they are batched', async () => {
  const backend = new Float64Backend();
  const [, sets, changes] = tasks[2]!;
  const losses: number[] = [];
  for (const batch of [1, 7, 20, 32]) {
    using trainer = await start(backend, sets, { ...changes, batch });
    losses.push(await trainer.evaluate(trainer.data.heldOut!));
  }
  // The weights of a batch are float32.
  for (const loss of losses) expect(loss).toBeCloseTo(losses[0]!, 6);
});

test('values of any size are no divergence, overflow is', async () => {
  const large = (rows: number) => {
    const { series } = wave(rows);
    return new SeriesWindows({ ...series, values: series.values.map((x) => 1e6 * x) });
  };
  const sets: SequenceSets = { training: large(64), validation: large(29), identity: { name: 'large' } };
  using trainer = await start(new Float32Backend(), sets);
  await expect(fit(trainer)).resolves.toMatchObject({ stepsDone: 40 });
  using wild = await start(new Float32Backend(), sets, { lr: 1e30 });
  await expect(fit(wild)).rejects.toMatchObject({ code: 'DIVERGED' });
});

describe('refusals', () => {
  const task = parity({ seed: 1, steps: 6 });
  const generator: SequenceSets = { training: task, validation: null, identity: { name: 'parity' } };

  test('a run cannot be resumed on other data', async () => {
    using trainer = await start(new Float32Backend(), forecasting);
    const config = trainer.config;
    const other = new SequenceData({ ...forecasting, identity: { name: 'other' } }, config);
    await expect(
      Trainer.restore(new Float32Backend(), await trainer.checkpoint(), config, other),
    ).rejects.toMatchObject({ code: 'CHECKPOINT', message: 'the checkpoint is of another data set' });
  });

  test('its checkpoint is no language model', async () => {
    using trainer = await start(new Float32Backend(), forecasting);
    const checkpoint = await trainer.checkpoint();
    expect(() => trainedModel(checkpoint, 'run')).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT', message: expect.stringContaining('sequences') }),
    );
  });

  test.each<[string, SequenceSets, SequenceTrainConfigInput, string]>([
    ['a plateau without validation', generator, { schedule: 'plateau' }, 'schedule'],
    ['epochs of a generator', generator, { steps: undefined, epochs: 2 }, 'epochs'],
    ['a feed-forward network on lengths that vary', tasks[2]![1], { network: 'feed-forward' }, 'network'],
    ['a feed-forward network on a class at each step', tasks[3]![1], { network: 'feed-forward' }, 'perStep'],
  ])('%s', async (_, sets, changes, where) => {
    await expect(start(new Float32Backend(), sets, changes)).rejects.toMatchObject({ code: 'OPTION', where });
  });
});

test.each([false, true])('the accuracy counts every target once; at every step: %s', async (perStep) => {
  const training = perStep
    ? copyMemory({ seed: 1, symbols: 2, length: 2, delay: 2 })
    : temporalOrder({ seed: 1, steps: 10 });
  const source = firstOf(training, 20);
  const sets = { training, validation: source, identity: { name: 'classes' } };
  const config = resolveSequenceConfig(SMALL);
  const data = new SequenceData(sets, config);
  const backend = new Float32Backend();
  const model = data.model(config);
  // Whatever it sees, the model takes it for class 1.
  const numbers = new Float64Array(model.parameters.size);
  model.parameters.part(numbers, 'head.bias')[1] = 1;
  using theta = backend.tensor(float(numbers.length));
  theta.write(numbers);
  using evaluator = data.evaluator(backend, model, config);
  const { targets } = new SequenceStream(source, { batch: 20 }).at(0);
  const share = targets.filter((each) => each === 1).length / targets.length;
  expect(share).toBeGreaterThan(0);
  expect(await evaluator.accuracy(theta, source)).toBeCloseTo(share, 12);
});
