import { describe, expect, test } from 'vitest';
import { adaptedDamping, reductionRatio } from '../../src/optim/damping.js';

const FACTORS = { boost: 2, drop: 1 / 2 };

test('rho is the share of the reduction that the model said', () => {
  expect(reductionRatio(-3, -4)).toBe(0.75);
  expect(reductionRatio(1, -4)).toBe(-0.25);
});

test('where the model said no reduction there is no rho, whatever the loss did', () => {
  for (const change of [-1, 0, 1])
    for (const said of [0, 2, Number.NaN]) expect(reductionRatio(change, said)).toBeNaN();
});

describe('damping', () => {
  test.each([
    ['rises for a poor model', 0.2, 2],
    ['rises for a loss that rose', -1, 2],
    ['rises for no number', Number.NaN, 2],
    ['rises for an infinite loss', Number.NEGATIVE_INFINITY, 2],
    ['stays from a quarter', 1 / 4, 1],
    ['stays to three quarters', 3 / 4, 1],
    ['falls for a good model', 0.8, 1 / 2],
  ])('%s', (_, rho, expected) => {
    expect(adaptedDamping(1, rho, FACTORS)).toBe(expected);
  });

  test('stays a number of float32 that has an inverse, however long it goes one way', () => {
    for (const rho of [1, -1]) {
      let damping = 1;
      for (let step = 0; step < 500; step++) damping = adaptedDamping(damping, rho, FACTORS);
      for (const each of [damping, 1 / damping, Math.sqrt(damping)]) {
        expect(Number.isFinite(Math.fround(each))).toBe(true);
        expect(Math.fround(each)).toBeGreaterThan(0);
      }
    }
  });
});
