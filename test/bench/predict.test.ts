import { describe, expect, it } from 'vitest';
import { defaultLimits } from '../../kernels/index.js';
import { type Card, countsOf, predict } from '../../src/bench/predict.js';
import { trainingWork } from '../../src/bench/training-work.js';
import { resolveWorkload } from '../../src/bench/workload.js';
import { compose } from '../../src/schedule/compose.js';
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
      { count: 10, flops: 200, bytes: 100, workgroups: 8 },
      { count: 1, flops: 1000, bytes: 100, workgroups: 2 },
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
    ['arithmetic', { count: 1, flops: 1e6, bytes: 1, workgroups: 9 }],
    ['memory', { count: 1, flops: 1, bytes: 1e6, workgroups: 9 }],
    ['dispatches', { count: 100, flops: 1, bytes: 1, workgroups: 9 }],
  ] as const)('names what bounds it: %s', (bound, counts) => {
    expect(predict([counts], CARD).bound).toBe(bound);
  });

  it.each(['none', 'all'] as const)('counts every dispatch of a schedule, composition: %s', (composition) => {
    // Of L a loop in one task takes several dispatches.
    const plan = schedule(trainingWork('lstm', resolveWorkload('L')).program);
    const composed = compose(plan, defaultLimits, composition);
    const counts = countsOf(composed, defaultLimits);
    const sum = (of: (each: (typeof counts)[number]) => number) =>
      counts.reduce((total, each) => total + each.count * of(each), 0);
    expect(sum(() => 1)).toBe(countDispatches(composed));
    const { flops, bytes } = totals(plan);
    // A chunk's share of them need not be whole.
    expect(sum((c) => c.flops) / flops).toBeCloseTo(1, 12);
    expect(sum((c) => c.bytes) / bytes).toBeCloseTo(1, 12);
    for (const { workgroups } of counts) expect(workgroups).toBeGreaterThanOrEqual(1);
  });
});
