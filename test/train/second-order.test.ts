/** Runs with optimizers of second order: on text and on sequences, stopped and resumed, and what they refuse. */
import { describe, expect, test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { addingProblem, temporalOrder } from '../../src/data/tasks.js';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/train/checkpoint.js';
import { resolveTrainConfig, type TrainConfigInput } from '../../src/train/config.js';
import { type FitEvent, fit } from '../../src/train/fit.js';
import { resolveSequenceConfig, type SequenceTrainConfigInput } from '../../src/train/sequence-config.js';
import { SequenceData, type SequenceSets } from '../../src/train/sequence-data.js';
import { firstOf } from '../../src/train/sequence-parts.js';
import { prepareText } from '../../src/train/text-data.js';
import { Trainer } from '../../src/train/trainer.js';
import type { TrainingData } from '../../src/train/training-data.js';
import { FOX } from './setup.js';

const TEXT = { hidden: 8, batch: 8, unroll: 8, steps: 12, evaluateEvery: 6, saveEvery: 6 };
const SEQUENCES = {
  ...{ cell: 'rnn', hidden: 8, batch: 64, steps: 12, evaluateEvery: 6, saveEvery: 6 },
} satisfies SequenceTrainConfigInput;

const adding: SequenceSets = {
  training: addingProblem({ seed: 1, steps: 10, varyLength: true }),
  validation: firstOf(addingProblem({ seed: 2, steps: 10, varyLength: true }), 64),
  identity: { name: 'adding' },
};
const whole: SequenceSets = { ...adding, training: firstOf(adding.training, SEQUENCES.batch) };
const order: SequenceSets = {
  training: temporalOrder({ seed: 1, steps: 10 }),
  validation: firstOf(temporalOrder({ seed: 2, steps: 10 }), 64),
  identity: { name: 'order' },
};

const HF = { optimizer: 'hf', structuralDamping: 0.1, curvatureBatch: 5, cgIterations: 20 };

async function onText(changes: TrainConfigInput) {
  const config = resolveTrainConfig({ ...TEXT, ...changes });
  const data = await prepareText(FOX, config);
  const backend = new Float32Backend();
  return {
    create: () => Trainer.create(backend, config, data) as Promise<Trainer<TrainingData>>,
    restore: (saved: Parameters<typeof Trainer.restore>[1]) =>
      Trainer.restore(backend, saved, config, data) as Promise<Trainer<TrainingData>>,
  };
}

async function onSequences(sets: SequenceSets, changes: SequenceTrainConfigInput) {
  const config = resolveSequenceConfig({ ...SEQUENCES, ...changes });
  const data = new SequenceData(sets, config);
  const backend = new Float32Backend();
  return {
    create: () => Trainer.create(backend, config, data) as Promise<Trainer<TrainingData>>,
    restore: (saved: Parameters<typeof Trainer.restore>[1]) =>
      Trainer.restore(backend, saved, config, data) as Promise<Trainer<TrainingData>>,
  };
}

const runs: [string, () => ReturnType<typeof onText>][] = [
  ['hf on text, the state carried on', () => onText(HF)],
  ['lbfgs on text', () => onText({ optimizer: 'lbfgs' })],
  ['hf on sequences of many lengths', () => onSequences(adding, HF)],
  ['lbfgs on a whole set in each step', () => onSequences(whole, { optimizer: 'lbfgs', cell: 'lstm' })],
  ['hf on a feed-forward network', () => onSequences(order, { optimizer: 'hf', network: 'feed-forward' })],
];

async function advance(trainer: Trainer<TrainingData>, steps: number): Promise<void> {
  for (let i = 0; i < steps; i++) await trainer.step(trainer.data.stream.at(trainer.nextBatch));
}

const bitsOf = async (trainer: Trainer<TrainingData>) => encodeCheckpoint(await trainer.checkpoint());

describe.each(runs)('%s', (_, prepare) => {
  test('a restored run gives the bits of one that never stopped', async () => {
    const run = await prepare();
    using whole = await run.create();
    await advance(whole, 7);
    using first = await run.create();
    await advance(first, 3);
    const saved = await decodeCheckpoint(await bitsOf(first), 'test');
    using second = await run.restore(saved);
    await advance(second, 4);
    expect(await bitsOf(second)).toEqual(await bitsOf(whole));
  });

  test('fit tells every step, validates and saves', async () => {
    const run = await prepare();
    using trainer = await run.create();
    const events: FitEvent[] = [];
    const saved: string[] = [];
    const before = await trainer.evaluate(trainer.data.heldOut!);
    const { best, stepsDone } = await fit(trainer, {
      onEvent: (event) => events.push(event),
      save: async (_, kind) => saved.push(kind),
    });
    expect(stepsDone).toBe(12);
    const steps = events.flatMap((event) => (event.kind === 'step' ? [event] : []));
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
    expect(saved.filter((kind) => kind === 'last')).toHaveLength(2);
    expect(best!.validationLoss).toBeLessThan(before);
  });
});

test('the carried state is that behind the batch, under the parameters before the update', async () => {
  const adam = await onText({ lr: 1e-12 });
  const hf = await onText({ ...HF, damping: 1e6 });
  using reference = await adam.create();
  using trainer = await hf.create();
  await advance(reference, 1);
  await advance(trainer, 1);
  const [expected, found] = await Promise.all([reference.checkpoint(), trainer.checkpoint()]);
  expect([...found.state.keys()]).toEqual([...expected.state.keys()]);
  for (const [name, { data }] of expected.state)
    for (const [i, each] of data.entries()) expect(found.state.get(name)!.data[i]!).toBeCloseTo(each, 6);
});

describe('refused, and said why', () => {
  test.each([
    ['dropout', 0.1],
    ['recurrentDropout', 0.1],
    ['zoneout', 0.1],
    ['clipAccumulations', 1],
    ['weightDecay', 0.1],
    ['groups', [{ vectors: true, learningRateFactor: 2 }]],
  ])('%s', (key, value) => {
    expect(() => resolveTrainConfig({ ...TEXT, optimizer: 'hf', [key]: value })).toThrow(
      expect.objectContaining({ code: 'OPTION', message: expect.stringContaining(key) }),
    );
  });

  test('structural damping of a network that does not recur', async () => {
    const run = await onSequences(order, { ...HF, network: 'feed-forward' });
    using trainer = await run.create();
    await expect(advance(trainer, 1)).rejects.toMatchObject({ code: 'OPTION' });
  });

  test('a checkpoint whose optimizer has lost its memory', async () => {
    const run = await onSequences(adding, HF);
    using trainer = await run.create();
    await advance(trainer, 1);
    const saved = await trainer.checkpoint();
    const broken = { ...saved, optimizer: { ...saved.optimizer, tensors: new Map() } };
    await expect(run.restore(broken)).rejects.toMatchObject({ code: 'CHECKPOINT' });
  });
});
