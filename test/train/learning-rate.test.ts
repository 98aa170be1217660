import { expect, test } from 'vitest';
import { learningRate } from '../../src/train/learning-rate.js';

test('constant', () => {
  for (const step of [1, 50, 100])
    expect(learningRate({ lr: 0.1, schedule: 'constant', warmup: 0 }, step, 100)).toBe(0.1);
});

test('step: a tenth behind the half, a hundredth behind three quarters', () => {
  const at = (step: number) => learningRate({ lr: 1, schedule: 'step', warmup: 0 }, step, 100);
  expect([1, 50, 51, 75, 76, 100].map(at)).toEqual([1, 1, 0.1, 0.1, 0.01, 0.01]);
});

test('cosine: half of it in the middle, 0 at the last step', () => {
  const at = (step: number) => learningRate({ lr: 2, schedule: 'cosine', warmup: 0 }, step, 100);
  expect(at(1)).toBeCloseTo(2, 2);
  expect(at(50)).toBeCloseTo(1, 12);
  expect(at(100)).toBe(0);
});

test.each(['constant', 'step', 'cosine'] as const)(
  '%s: the warm-up is linear and meets the schedule',
  (schedule) => {
    const at = (step: number) => learningRate({ lr: 0.4, schedule, warmup: 20 }, step, 100);
    expect([1, 5, 10, 20].map(at)).toEqual([0.02, 0.1, 0.2, 0.4]);
    expect(at(21)).toBeLessThanOrEqual(0.4);
    expect(at(21)).toBeGreaterThan(0.39);
  },
);

test('cosine starts behind the warm-up', () => {
  expect(learningRate({ lr: 1, schedule: 'cosine', warmup: 20 }, 60, 100)).toBeCloseTo(0.5, 12);
});
