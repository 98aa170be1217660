import { describe, expect, test } from 'vitest';
import { LossStepStream } from '../../src/data/loss-steps.js';
import { sequenceBatches } from '../../src/data/segments.js';
import { SequenceSet, SequenceStream } from '../../src/data/sequences.js';
import { addingProblem } from '../../src/data/tasks.js';

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
