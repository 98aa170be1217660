import { describe, expect, test } from 'vitest';
import { bucketLengths, longestOf } from '../../src/data/buckets.js';
import { maskOfLengths } from '../../src/data/masks.js';
import { SegmentStream, sequenceBatches } from '../../src/data/segments.js';
import { type SequenceSource, SequenceStream } from '../../src/data/sequences.js';
import { addingProblem } from '../../src/data/tasks.js';

/** Sequence i has the inputs 10 i + t and those times -1 as targets. */
const counting = (count: number, steps: number, lengths?: readonly number[]): SequenceSource => ({
  ...{ count, steps, features: 1, target: { kind: 'values', size: 1, perStep: true } },
  masked: lengths !== undefined,
  write(index, { inputs, targets, mask, place, batch }) {
    for (let t = 0; t < steps; t++) {
      inputs[t * batch + place] = 10 * index + t;
      targets[t * batch + place] = -(10 * index + t);
      if (lengths !== undefined && t >= lengths[index]!) mask![t * batch + place] = 0;
    }
  },
});

const segments = (lengths: number | number[], of = counting(2, 5)) =>
  new SegmentStream(new SequenceStream(of, { batch: 2 }), lengths);

describe('SegmentStream', () => {
  test('cuts in time, the last segment shorter and masked', () => {
    const stream = segments(2);
    expect(stream.shape).toEqual({
      steps: 2,
      features: 1,
      target: { kind: 'values', size: 1, perStep: true },
      masked: true,
    });
    expect(stream.batchesPerEpoch).toBe(3);
    expect(stream.at(1)).toEqual({
      inputs: Float32Array.of(2, 12, 3, 13),
      targets: Float32Array.of(-2, -12, -3, -13),
      mask: Float32Array.of(1, 1, 1, 1),
      weight: new Float32Array(4).fill(0.25),
      ...{ targetCount: 4, count: 2, longest: 2, resetsState: false, epoch: 0, position: 1 },
    });
    expect(stream.at(2)).toMatchObject({
      inputs: Float32Array.of(4, 14, 0, 0),
      mask: Float32Array.of(1, 1, 0, 0),
      weight: Float32Array.of(0.5, 0.5, 0, 0),
      ...{ targetCount: 2, longest: 1 },
    });
    expect(stream.at(3)).toMatchObject({ resetsState: true, epoch: 1, position: 3 });
  });

  test('has no mask where every segment has the same length', () => {
    expect(segments([2, 2, 2], counting(2, 6)).shape).toMatchObject({ steps: 2, masked: false });
    expect('mask' in segments(5).at(0)).toBe(false);
  });

  test('takes a length for each segment', () => {
    const stream = segments([1, 4]);
    expect(stream.at(0)).toMatchObject({ inputs: Float32Array.of(0, 10, 0, 0, 0, 0, 0, 0), longest: 1 });
    expect(stream.at(1)).toMatchObject({ inputs: Float32Array.of(1, 11, 2, 12, 3, 13, 4, 14), longest: 4 });
  });

  test('leaves out segments that no sequence reaches, at their positions', async () => {
    const stream = segments(2, counting(2, 6, [1, 2]));
    expect(stream.at(1)).toMatchObject({ targetCount: 0, longest: 0, weight: new Float32Array(4) });
    const positions = [];
    for await (const { position } of stream.batches(0, 7)) positions.push(position);
    expect(positions).toEqual([0, 3, 6]);
  });

  test('whole sequences are a stream without segments', () => {
    expect(sequenceBatches(counting(2, 5), { batch: 2 }, { segmentLength: 0 })).toBeInstanceOf(
      SequenceStream,
    );
    expect(sequenceBatches(counting(2, 5), { batch: 2 }, { segmentLength: 3 })).toBeInstanceOf(SegmentStream);
  });

  test.each<[string, number | number[], string]>([
    ['none', 0, 'segmentLength'],
    ['longer than a sequence', 6, 'segmentLength'],
    ['a part of a step', 1.5, 'segmentLength'],
    ['too few steps', [2, 2], 'segmentLength'],
    ['too many steps', [2, 2, 2], 'segmentLength'],
    ['no step', [5, 0], 'segmentLength[1]'],
  ])('refuses segments of %s', (_, lengths, where) => {
    expect(() => segments(lengths)).toThrow(expect.objectContaining({ code: 'OPTION', where }));
  });

  test('refuses sequences with one target each', () => {
    const adding = new SequenceStream(addingProblem({ seed: 1, steps: 10 }), { batch: 2 });
    expect(() => new SegmentStream(adding, 5)).toThrow(
      expect.objectContaining({ code: 'OPTION', where: 'segmentLength' }),
    );
  });
});

describe('buckets', () => {
  test.each([
    [1, [1]],
    [3, [1, 2, 3]],
    [8, [1, 2, 3, 4, 5, 6, 7, 8]],
    [20, [3, 5, 8, 10, 13, 15, 18, 20]],
  ])('of %d steps are %j', (steps, lengths) => {
    expect(bucketLengths(steps)).toEqual(lengths);
  });

  test('the longest sequence of a mask', () => {
    expect(longestOf(maskOfLengths([1, 3, 2], 5), 3)).toBe(3);
    expect(longestOf(maskOfLengths([4], 4), 1)).toBe(4);
    expect(longestOf(new Float32Array(6), 3)).toBe(0);
  });
});
