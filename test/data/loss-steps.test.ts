import { describe, expect, test } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { LossStepStream } from '../../src/data/loss-steps.js';
import { CounterRandom } from '../../src/data/random.js';
import { sequenceBatches } from '../../src/data/segments.js';
import { SequenceSet, SequenceStream } from '../../src/data/sequences.js';
import { addingProblem } from '../../src/data/tasks.js';
import type { LossName } from '../../src/model/losses.js';
import { SequenceModel } from '../../src/model/sequence-model.js';
import { Builder } from '../../src/program/builder.js';
import { float } from '../../src/program/program.js';
import { LOSS_OF_ROW } from '../support/loss-of-row.js';

/** Sequences of these lengths, each step with a target. */
const sequences = (lengths: readonly number[], batch = 2) =>
  new SequenceStream(
    new SequenceSet(
      lengths.map((length) => ({ inputs: new Float64Array(length), target: new Float64Array(length) })),
      { features: 1, perStep: true },
    ),
    { batch, remainder: 'keep' },
  );

const weights = async (stream: LossStepStream) => {
  const all: { position: number; weight: number[]; targetCount: number }[] = [];
  for await (const { position, weight, targetCount } of stream.epoch())
    all.push({ position, weight: [...weight], targetCount });
  return all;
};

describe('LossStepStream', () => {
  test('counts steps a..tau alike, and nothing else', async () => {
    expect(await weights(new LossStepStream(sequences([4, 4]), [2, 3]))).toEqual([
      { position: 0, weight: [0, 0, 0.25, 0.25, 0.25, 0.25, 0, 0], targetCount: 4 },
    ]);
  });

  test('leaves out what is past an end, what is not real, and batches of nothing', async () => {
    // The second batch ends before step 3; the third has one real sequence.
    expect(await weights(new LossStepStream(sequences([4, 3, 2, 1, 4]), [3, 4]))).toEqual([
      { position: 0, weight: [0, 0, 0, 0, 1, 1, 1, 0].map((w) => Math.fround(w / 3)), targetCount: 3 },
      { position: 2, weight: [0, 0, 0, 0, 0.5, 0, 0.5, 0], targetCount: 2 },
    ]);
  });

  test('1..T changes nothing', () => {
    const all = sequences([4, 3]);
    expect(new LossStepStream(all, [1, 4]).at(0)).toEqual(all.at(0));
  });

  test.each<[[number, number], string]>([
    [[0, 2], 'lossSteps[0]'],
    [[3, 2], 'lossSteps[0]'],
    [[1, 5], 'lossSteps[1]'],
    [[1, 1.5], 'lossSteps[1]'],
  ])('%j is refused', (lossSteps, where) => {
    expect(() => new LossStepStream(sequences([4, 4]), lossSteps)).toThrow(
      expect.objectContaining({ code: 'OPTION', where }),
    );
  });

  test('one target for a sequence has no steps to choose from, and segments count their own', () => {
    const one = new SequenceStream(addingProblem({ seed: 1, steps: 10 }), { batch: 2 });
    const refusal = expect.objectContaining({ code: 'OPTION', where: 'lossSteps' });
    expect(() => new LossStepStream(one, [1, 2])).toThrow(refusal);
    const { source } = sequences([4, 4]);
    const parts = { segmentLength: 2, lossSteps: [1, 2] } as const;
    expect(() => sequenceBatches(source, { batch: 2 }, parts)).toThrow(refusal);
  });
});

describe.each(Object.keys(LOSS_OF_ROW) as LossName[])('a model under %s', (name) => {
  const LENGTHS = [5, 1, 3, 4];
  const r = LENGTHS.length;
  const random = new CounterRandom(7);
  const classes = name === 'softmax-cross-entropy';
  const set = new SequenceSet(
    LENGTHS.map((length) => ({
      inputs: Float64Array.from({ length: 3 * length }, () => random.normal()),
      target: classes
        ? Int32Array.from({ length }, () => random.integer(2))
        : Float64Array.from({ length: 2 * length }, () => random.uniform()),
    })),
    { features: 3, perStep: true, ...(classes && { classes: 2 }) },
  );
  const model = new SequenceModel({
    ...{ cell: 'gru', features: 3, hidden: 4, layers: 2, masked: true },
    ...{ outputs: 2, perStep: true, loss: name },
  });

  test.each<[number, number]>([
    [1, 1],
    [2, 4],
    [5, 5],
    [1, 5],
  ])('has the mean loss of steps %d..%d', (a, tau) => {
    const batch = new LossStepStream(new SequenceStream(set, { batch: r }), [a, tau]).at(0);
    const on = new Builder();
    const theta = on.input('theta', float(model.parameters.size));
    const inputs = Object.fromEntries(
      Object.entries(model.batchTypes(5, r)).map(([each, type]) => [each, on.input(each, type)]),
    );
    const { loss, prediction } = model.forward(on, { theta, batch: inputs, state: {} });
    const { inputs: x, targets, mask, weight } = batch;
    const actual = interpret(on.build({ loss, prediction }), {
      theta: model.parameters.initial(new CounterRandom(3)),
      inputs: Float64Array.from(x),
      targets: targets instanceof Int32Array ? targets : Float64Array.from(targets),
      mask: Float64Array.from(mask!),
      weight: Float64Array.from(weight),
    });
    const losses = LENGTHS.flatMap((length, j) =>
      Array.from({ length: Math.max(0, Math.min(tau, length) - a + 1) }, (_, i) => {
        const row = (a - 1 + i) * r + j;
        const width = targets.length / weight.length;
        const target = Array.from(targets.subarray(row * width, (row + 1) * width));
        return LOSS_OF_ROW[name](Array.from(actual.prediction!.subarray(2 * row, 2 * row + 2)), target);
      }),
    );
    // The weights are float32.
    const mean = losses.reduce((sum, each) => sum + each, 0) / losses.length;
    expect(Math.abs(actual.loss![0]! / mean - 1)).toBeLessThan(1e-7);
  });
});
