import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../../kernels/index.js';
import { type Card, countsOf, predict } from '../../src/bench/predict.js';
import { trainingWork } from '../../src/bench/training-work.js';
import { resolveWorkload } from '../../src/bench/workload.js';
import { compose, overlappingSteps } from '../../src/schedule/compose.js';
import { countDispatches } from '../../src/schedule/composed.js';
import { schedule } from '../../src/schedule/index.js';
import { totals } from '../../src/schedule/print.js';

const CARD: Card = {
  name: 'a card',
  flopsPerSecond: 1000,
  bytesPerSecond: 100,
  cores: 4,
  dispatchSeconds: [0.5, 1],
};

describe('a prediction', () => {
  it('is the start of each dispatch and the longer of its arithmetic and its traffic', () => {
    // 10 x (1 s of traffic over 0.2 s of arithmetic), and 2 s of arithmetic on two of four cores over 1 s of traffic.
    const counts = [
      ...new Array(10).fill({ bytes: 100, parts: [{ flops: 200, workgroups: 8 }] }),
      { bytes: 100, parts: [{ flops: 1000, workgroups: 2 }] },
    ];
    expect(predict(counts, CARD)).toEqual({
      seconds: [5.5 + 12, 11 + 12],
      arithmeticSeconds: 3,
      memorySeconds: 11,
      workSeconds: 12,
      dispatchSeconds: [5.5, 11],
      bound: 'dispatches',
    });
  });

  it.each([
    ['the longest part', [1000, 10], 2, 2],
    ['all parts', [1000, 1000], 3, 2],
  ])('of parts side by side is %s', (_, flops, workgroups, seconds) => {
    const parts = flops.map((each) => ({ flops: each, workgroups }));
    expect(predict([{ bytes: 0, parts }], { ...CARD, cores: 4 }).workSeconds).toBe(seconds);
  });

  it.each([
    ['arithmetic', 1, { bytes: 1, parts: [{ flops: 1e6, workgroups: 9 }] }],
    ['memory', 1, { bytes: 1e6, parts: [{ flops: 1, workgroups: 9 }] }],
    ['dispatches', 100, { bytes: 1, parts: [{ flops: 1, workgroups: 9 }] }],
  ] as const)('names what bounds it: %s', (bound, count, counts) => {
    expect(predict(new Array(count).fill(counts), CARD).bound).toBe(bound);
  });

  it.each(['none', 'all'] as const)('counts every dispatch of a schedule, composition: %s', (composition) => {
    // Of L a loop in one task takes several dispatches, and so do layers behind each other.
    const { program } = trainingWork('lstm', resolveWorkload('L'));
    const plan = schedule(program, overlappingSteps(defaultLimits, composition));
    const composed = compose(plan, defaultLimits, composition);
    const counts = countsOf(composed, defaultLimits);
    const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);
    const parts = counts.flatMap((each) => each.parts);
    expect(counts.length).toBe(countDispatches(composed));
    const { flops, bytes } = totals(plan);
    expect(sum(parts.map((part) => part.flops))).toBe(flops);
    // What the pieces of a stage share, such as a product's weights, each of them reads.
    expect(sum(counts.map((each) => each.bytes)) / bytes).toBeGreaterThanOrEqual(1);
    expect(sum(counts.map((each) => each.bytes)) / bytes).toBeLessThan(1.05);
    for (const { workgroups } of parts) expect(workgroups).toBeGreaterThanOrEqual(1);
  });
});
