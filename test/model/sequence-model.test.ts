/** Models of whole sequences: what they put out at the ends of sequences of many lengths, and their losses. */
import { describe, expect, test } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { cells } from '../../src/cells/index.js';
import { CounterRandom } from '../../src/data/random.js';
import { FeedForwardModel, type FeedForwardModelConfig } from '../../src/model/feedforward-model.js';
import type { LossName } from '../../src/model/losses.js';
import type { Model } from '../../src/model/model.js';
import { SequenceModel, type SequenceModelConfig } from '../../src/model/sequence-model.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float, type Program, sizeOf } from '../../src/program/program.js';
import { schedule } from '../../src/schedule/index.js';
import { LOSS_OF_ROW } from '../support/loss-of-row.js';
import { expectClose } from '../support/numbers.js';
import { runSchedule } from '../support/run-schedule.js';

const T = 5;
const FEATURES = 3;
const LENGTHS = [5, 1, 3, 4];
const r = LENGTHS.length;
const MASK = Float64Array.from({ length: T * r }, (_, i) => (Math.floor(i / r) < LENGTHS[i % r]! ? 1 : 0));

type Data = Record<string, Float64Array | Int32Array>;

const model = (changes: Partial<SequenceModelConfig> = {}) =>
  new SequenceModel({
    ...{ cell: 'gru', features: FEATURES, hidden: 4, layers: 2, outputs: 2, perStep: false },
    loss: 'mean-squared-error',
    ...changes,
  });

/** Loss, prediction and the gradient of theta, of r samples over T steps. */
function program(of: Model, steps: number, samples: number): Program {
  const on = new Builder();
  const theta = on.input('theta', float(of.parameters.size));
  const batch = Object.fromEntries(
    Object.entries(of.batchTypes(steps, samples)).map(([name, type]) => [name, on.input(name, type)]),
  );
  const { loss, prediction } = of.forward(on, { theta, batch, state: {} });
  return on.build({ loss, prediction, gradient: gradient(on, loss, [theta])[0]! });
}

const theta = (of: Model) => of.parameters.initial(new CounterRandom(3));

/** Numbers in -1 .. 1, or classes below 2. */
function numbers(of: Program, given: Data): Data {
  const random = new CounterRandom(5);
  const draw = (dtype: string, size: number) =>
    dtype === 'int'
      ? Int32Array.from({ length: size }, () => random.integer(2))
      : Float64Array.from({ length: size }, () => 2 * random.uniform() - 1);
  return Object.fromEntries(
    of.inputs.map(({ name, value }) => [
      name,
      given[name] ?? draw(value.type.dtype, sizeOf(value.type.shape)),
    ]),
  );
}

/** The steps of one sample of time-major data [T, r, n]. */
const sample = (data: ArrayLike<number>, j: number, length: number, n: number, samples = r) =>
  Float64Array.from({ length: length * n }, (_, i) => data[(Math.floor(i / n) * samples + j) * n + (i % n)]!);

const KINDS: Partial<SequenceModelConfig>[] = [{}, { bidirectional: true }, { attention: true }];

describe.each(KINDS)('sequences of many lengths, %j', (changes) => {
  test.each(Object.keys(cells))('%s: to one, each as if it were alone', (cell) => {
    const masked = model({ ...changes, cell, masked: true });
    const together = program(masked, T, r);
    const data = numbers(together, { theta: theta(masked), mask: MASK });
    const { prediction } = interpret(together, data);
    const single = model({ ...changes, cell });
    for (const [j, length] of LENGTHS.entries()) {
      const alone = program(single, length, 1);
      const inputs = sample(data.inputs!, j, length, FEATURES);
      const result = interpret(alone, numbers(alone, { theta: data.theta!, inputs }));
      expectClose(prediction!.slice(2 * j, 2 * j + 2), result.prediction!, 1e-12, `length ${length}`);
    }
  });

  test('to a sequence, each step as if it were alone', () => {
    const masked = model({ ...changes, masked: true, perStep: true });
    const together = program(masked, T, r);
    const data = numbers(together, { theta: theta(masked), mask: MASK });
    const { prediction } = interpret(together, data);
    const single = model({ ...changes, perStep: true });
    for (const [j, length] of LENGTHS.entries()) {
      const alone = program(single, length, 1);
      const inputs = sample(data.inputs!, j, length, FEATURES);
      const result = interpret(alone, numbers(alone, { theta: data.theta!, inputs }));
      expectClose(sample(prediction!, j, length, 2), result.prediction!, 1e-12, `length ${length}`);
    }
  });
});

describe('attention', () => {
  test('is the mean of the outputs so far, weighted by the softmax of their products with the last', () => {
    const config = { cell: 'naumov-rnn', layers: 1, outputs: 3, perStep: true } as const;
    const built = program(model({ ...config, attention: true }), T, 1);
    const data = numbers(built, { theta: theta(model({ ...config, attention: true })) });
    // The same recurrence without attention, its outputs laid bare by a head that changes nothing.
    const plain = model({ ...config, outputs: 4 });
    const bare = plain.parameters.initial(new CounterRandom(3));
    bare.set(data.theta!.subarray(0, bare.length - 20));
    plain.parameters
      .part(bare, 'head.weight')
      .set(Float64Array.from({ length: 16 }, (_, i) => +(i % 5 === 0)));
    plain.parameters.part(bare, 'head.bias').fill(0);
    const outputs = program(plain, T, 1);
    const h = interpret(outputs, numbers(outputs, { theta: bare, inputs: data.inputs! })).prediction!;
    const row = (t: number) => Array.from(h.slice(4 * t, 4 * t + 4));
    const of = model({ ...config, attention: true }).parameters;
    const weight = of.part(data.theta as Float64Array, 'head.weight');
    const bias = of.part(data.theta as Float64Array, 'head.bias');
    const expected = Array.from({ length: T }, (_, t) => {
      const past = Array.from({ length: t + 1 }, (_, i) => row(i));
      const scores = past.map((key) => Math.exp(key.reduce((sum, x, k) => sum + x * row(t)[k]!, 0)));
      const total = scores.reduce((sum, x) => sum + x, 0);
      const Z = row(t).map((_, k) => past.reduce((sum, key, i) => sum + (scores[i]! / total) * key[k]!, 0));
      return Array.from(bias, (b, c) => Z.reduce((sum, z, k) => sum + weight[4 * c + k]! * z, b));
    });
    expectClose(interpret(built, data).prediction!, Float64Array.from(expected.flat()), 1e-12, 'prediction');
  });

  test('has one direction of time', () => {
    expect(() => model({ attention: true, bidirectional: true })).toThrow(
      expect.objectContaining({ code: 'OPTION', where: 'bidirectional' }),
    );
  });
});

test('classes as inputs are one-hot vectors', () => {
  const dense = program(model(), T, r);
  const classes = program(model({ oneHot: true }), T, r);
  const ids = Int32Array.from({ length: T * r }, (_, i) => (i * 7) % FEATURES);
  const inputs = new Float64Array(T * r * FEATURES);
  for (const [i, id] of ids.entries()) inputs[i * FEATURES + id] = 1;
  const data = numbers(dense, { theta: theta(model()), inputs });
  expectClose(
    interpret(classes, { ...data, inputs: ids }).prediction!,
    interpret(dense, data).prediction!,
    1e-12,
    'prediction',
  );
});

describe.each(Object.keys(LOSS_OF_ROW) as LossName[])('%s', (loss) => {
  test.each([false, true])('weighted, at every step: %s', (perStep) => {
    const of = model({ loss, perStep });
    const built = program(of, T, r);
    const data = numbers(built, { theta: theta(of) });
    const { loss: actual, prediction } = interpret(built, data);
    const width = data.targets!.length / data.weight!.length;
    const expected = Array.from(data.weight!).reduce((sum, weight, row) => {
      const o = Array.from(prediction!.slice(2 * row, 2 * row + 2));
      const target = Array.from(data.targets!.slice(width * row, width * (row + 1)));
      return sum + weight * LOSS_OF_ROW[loss](o, target);
    }, 0);
    expect(actual![0]).toBeCloseTo(expected, 12);
  });
});

describe('as stages', () => {
  const feedForward: FeedForwardModelConfig = {
    ...{ steps: T, features: FEATURES, hidden: [6, 4], activation: 'tanh' },
    ...{ outputs: 2, perStep: false, loss: 'sigmoid-cross-entropy' },
  };
  test.each<[string, Model]>([
    ['to one', model()],
    ['to one, masked, both directions', model({ masked: true, bidirectional: true })],
    ['to one, both directions', model({ bidirectional: true })],
    ['to a sequence, masked', model({ masked: true, perStep: true, cell: 'canonical-rnn' })],
    ['of classes to classes', model({ oneHot: true, loss: 'softmax-cross-entropy', perStep: true })],
    ['with a projection', model({ cell: 'augmented-lstm', projection: 2 })],
    ['to one, masked, with attention', model({ masked: true, attention: true })],
    ['feed-forward', new FeedForwardModel(feedForward)],
  ])('%s: loss, prediction and gradient are those of the program', (_, of) => {
    const built = program(of, T, r);
    const data = numbers(built, { theta: theta(of), mask: MASK });
    const expected = interpret(built, data);
    const actual = runSchedule(schedule(built), data);
    for (const [name, value] of Object.entries(expected)) expectClose(actual[name]!, value, 1e-11, name);
  });
});

describe('the feed-forward network', () => {
  const config: FeedForwardModelConfig = {
    ...{ steps: 2, features: 2, hidden: [3], activation: 'tanh' },
    ...{ outputs: 1, perStep: false, loss: 'half-squared-error' },
  };

  test('sees all steps of a sequence at once', () => {
    const of = new FeedForwardModel(config);
    const built = program(of, 2, 1);
    const data = numbers(built, { theta: theta(of), inputs: Float64Array.of(1, -1, 0.5, 2) });
    const part = (name: string) => of.parameters.part(data.theta as Float64Array, name);
    const layer = (weight: Float64Array, bias: Float64Array, x: readonly number[]) =>
      Array.from(bias, (b, i) => x.reduce((sum, each, k) => sum + weight[i * x.length + k]! * each, b));
    const hidden = layer(part('layers.0.weight'), part('layers.0.bias'), [1, -1, 0.5, 2]).map(Math.tanh);
    const [expected] = layer(part('layers.1.weight'), part('layers.1.bias'), hidden);
    expect(interpret(built, data).prediction![0]).toBeCloseTo(expected!, 12);
  });

  test('refuses another length, and a target at every step', () => {
    expect(() => new FeedForwardModel(config).batchTypes(3, 1)).toThrow(
      expect.objectContaining({ code: 'SHAPE', message: 'the network sees 2 steps, not 3' }),
    );
    expect(() => new FeedForwardModel({ ...config, perStep: true })).toThrow(
      expect.objectContaining({ code: 'OPTION', where: 'perStep' }),
    );
  });
});
