import { describe, expect, test } from 'vitest';
import { TRAIN_DEFAULTS } from '../../src/train/config.js';
import { type LearningRateConfig, learningRate } from '../../src/train/learning-rate.js';

const rate = (given: Partial<LearningRateConfig>, step: number, losses: readonly number[] = []) =>
  learningRate({ ...TRAIN_DEFAULTS, ...given }, step, 100, losses);

test('constant', () => {
  for (const step of [1, 50, 100]) expect(rate({ lr: 0.1, schedule: 'constant', warmup: 0 }, step)).toBe(0.1);
});

test('step: a tenth behind the half, a hundredth behind three quarters', () => {
  const at = (step: number) => rate({ lr: 1, schedule: 'step', warmup: 0 }, step);
  expect([1, 50, 51, 75, 76, 100].map(at)).toEqual([1, 1, 0.1, 0.1, 0.01, 0.01]);
});

test('cosine: half of it in the middle, 0 at the last step', () => {
  const at = (step: number) => rate({ lr: 2, schedule: 'cosine', warmup: 0 }, step);
  expect(at(1)).toBeCloseTo(2, 2);
  expect(at(50)).toBeCloseTo(1, 12);
  expect(at(100)).toBe(0);
});

test.each(['constant', 'step', 'cosine', 'plateau'] as const)(
  '%s: the warm-up is linear and meets the schedule',
  (schedule) => {
    const at = (step: number) => rate({ lr: 0.4, schedule, warmup: 20 }, step);
    expect([1, 5, 10, 20].map(at)).toEqual([0.02, 0.1, 0.2, 0.4]);
    expect(at(21)).toBeLessThanOrEqual(0.4);
    expect(at(21)).toBeGreaterThan(0.39);
  },
);

test('cosine starts behind the warm-up', () => {
  expect(rate({ lr: 1, schedule: 'cosine', warmup: 20 }, 60)).toBeCloseTo(0.5, 12);
});

describe('plateau', () => {
  const at = (...losses: number[]) =>
    rate({ lr: 1, schedule: 'plateau', warmup: 0, plateauFactor: 0.5, plateauPatience: 1 }, 50, losses);

  test('the rate stays while the validation loss falls', () => {
    expect(at()).toBe(1);
    expect(at(3, 2, 1)).toBe(1);
  });

  test('it falls when there were more than `patience` in a row that were no better', () => {
    expect(at(1, 2)).toBe(1);
    expect(at(1, 2, 2)).toBe(0.5);
    expect(at(1, 2, 2, 2)).toBe(0.5);
    expect(at(1, 2, 2, 2, 2)).toBe(0.25);
  });

  test('a better one begins the count anew; better by less than a ten-thousandth is not better', () => {
    expect(at(1, 2, 0.9, 2)).toBe(1);
    expect(at(1, 0.99999, 0.99998)).toBe(0.5);
  });
});
