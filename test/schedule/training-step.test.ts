import { describe, expect, it } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { LanguageModel, type LanguageModelConfig } from '../../src/model/language-model.js';
import { optimizerNamed } from '../../src/optim/index.js';
import { schedule } from '../../src/schedule/index.js';
import { totals } from '../../src/schedule/print.js';
import { trainingStep } from '../../src/train/step-program.js';
import { expectClose, randomInputs } from '../support/numbers.js';
import { runSchedule } from '../support/run-schedule.js';

const step = (
  config: Partial<LanguageModelConfig>,
  options: Partial<Parameters<typeof trainingStep>[1]> = {},
) => {
  const model = new LanguageModel({
    cell: 'lstm',
    vocabulary: 5,
    hidden: 3,
    layers: 1,
    embedding: 'one-hot',
    ...config,
  });
  return trainingStep(model, {
    batch: 2,
    unroll: 4,
    optimizer: optimizerNamed('adam', 0),
    clip: 1,
    dropout: 0,
    ringLength: 4,
    ...options,
  });
};

describe('a training step as stages equals the program', () => {
  it.each([
    ['one-hot, one layer', step({})],
    ['an embedding, two layers', step({ layers: 2, embedding: 3 })],
    ['three layers with dropout', step({ layers: 3 }, { dropout: 0.4 })],
    ['one step in time', step({ layers: 2 }, { unroll: 1 })],
    ['one stream', step({}, { batch: 1 })],
    ['one unit', step({ hidden: 1 })],
    ['no clipping', step({}, { clip: 0 })],
    ['nesterov with weight decay', step({}, { optimizer: optimizerNamed('nesterov', 0.1) })],
    ['rmsprop', step({}, { optimizer: optimizerNamed('rmsprop', 0) })],
    ['clipping by value', step({}, { clipValue: 1e-3 })],
    ['parameter groups', step({}, { optimizer: optimizerNamed('adamw', 0.1), grouped: true })],
    ['adamw', step({}, { optimizer: optimizerNamed('adamw', 0.1) })],
  ])('%s', (_, program) => {
    const inputs = randomInputs(program, 5, (name, { shape }) =>
      Array.from({ length: shape.reduce((n, d) => n * d, 1) }, (_, i) =>
        name === 'key' ? 17 + i : (i * 3 + 1) % 5,
      ),
    );
    for (const [name, data] of Object.entries(inputs))
      if (name.startsWith('optimizer')) data.forEach((x, i) => (data[i] = x * x));
    const expected = interpret(program, inputs);
    for (const backwards of [false, true]) {
      const out = runSchedule(schedule(program), inputs, backwards);
      for (const [name, value] of Object.entries(expected)) expectClose(out[name]!, value, 1e-12, name);
    }
  });
});

describe('dispatches of a training step (T = 64)', () => {
  const T = 64;
  const count = (layers: number) =>
    totals(schedule(step({ vocabulary: 64, hidden: 128, layers }, { batch: 32, unroll: T, clip: 5 })))
      .dispatches;

  it('is at most 2T + 30 for the LSTM of workload M', () => {
    expect(count(1)).toBeLessThanOrEqual(2 * T + 30);
  });

  it('grows by 2T and a few for each further layer', () => {
    expect(count(2) - count(1)).toBeLessThanOrEqual(2 * T + 8);
  });
});
