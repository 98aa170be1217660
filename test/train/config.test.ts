import { describe, expect, test } from 'vitest';
import {
  CONFIG_KEYS,
  MODEL_KEYS,
  overlayConfig,
  resolveTrainConfig,
  TRAIN_DEFAULTS,
} from '../../src/train/config.js';

describe('resolveTrainConfig', () => {
  test('nothing given means the defaults', () => {
    expect(resolveTrainConfig({})).toEqual(TRAIN_DEFAULTS);
  });

  test('a resolved configuration resolves to itself, also after JSON', () => {
    const config = resolveTrainConfig({ hidden: 7, epochs: 2, embedding: 16, optimizer: 'adamw' });
    expect(config).toMatchObject({ hidden: 7, epochs: 2, embedding: 16 });
    expect(config.steps).toBeUndefined();
    expect(resolveTrainConfig(JSON.parse(JSON.stringify(config)))).toEqual(config);
  });

  const sizes = ['hidden', 'layers', 'batch', 'unroll', 'steps', 'epochs', 'evaluateEvery', 'saveEvery'];
  const notSizes = [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 1e10, '8', null, true];
  test.each(sizes)('%s takes only positive integers of a sane size', (key) => {
    for (const value of notSizes) {
      expect(() => resolveTrainConfig({ [key]: value }), String(value)).toThrow(
        expect.objectContaining({
          code: 'OPTION',
          where: key,
          fix: expect.stringMatching(/^give an integer from 1 to/),
        }),
      );
    }
  });

  test.each([
    ['cell', 'LSTM'],
    ['lr', 0],
    ['lr', -0.1],
    ['lr', Number.NaN],
    ['clip', -1],
    ['dropout', 1],
    ['dropout', -0.1],
    ['recurrentDropout', 1],
    ['zoneout', -0.1],
    ['embedding', 0],
    ['embedding', 'dense'],
    ['optimizer', 'newton'],
    ['weightDecay', -1e-4],
    ['schedule', 'linear'],
    ['clipValue', -1],
    ['groups', 'head.*'],
    ['plateauFactor', 1],
    ['plateauFactor', 0],
    ['plateauPatience', -1],
    ['warmup', -1],
    ['warmup', 1000],
    ['seed', -1],
    ['seed', 2 ** 32],
    ['seed', 0.5],
    ['backend', 'gpu'],
    ['validationFraction', 0.6],
    ['patience', -1],
    ['out', ''],
  ])('%s refuses %s', (key, value) => {
    expect(() => resolveTrainConfig({ [key]: value })).toThrow(
      expect.objectContaining({ code: 'OPTION', where: key, fix: expect.stringMatching(/^give /) }),
    );
  });

  test.each([
    ['clip', 0],
    ['patience', 0],
    ['warmup', 999],
    ['validationFraction', 0],
    ['dropout', 0.5],
    ['seed', 2 ** 32 - 1],
    ['embedding', 'one-hot'],
  ])('%s takes %s', (key, value) => {
    expect(resolveTrainConfig({ [key]: value })).toHaveProperty(key, value);
  });

  test('a plateau needs a validation to be seen in', () => {
    expect(() => resolveTrainConfig({ schedule: 'plateau', validationFraction: 0 })).toThrow(
      expect.objectContaining({ code: 'OPTION', where: 'schedule, validationFraction' }),
    );
  });

  test('steps and epochs exclude each other', () => {
    expect(() => resolveTrainConfig({ steps: 1, epochs: 1 }, (key) => `--${key}`)).toThrow(
      expect.objectContaining({ code: 'OPTION', message: '--steps and --epochs exclude each other' }),
    );
  });

  test('an unknown key is named', () => {
    const misspelt: object = { hiden: 3 };
    expect(() => resolveTrainConfig(misspelt)).toThrow(
      expect.objectContaining({ code: 'OPTION', message: 'unknown key "hiden"', where: 'hiden' }),
    );
  });
});

describe('heads', () => {
  test('belong to multi-head-lstm', () => {
    expect(resolveTrainConfig({ cell: 'multi-head-lstm', heads: 8 }).heads).toBe(8);
    expect(() => resolveTrainConfig({ cell: 'lstm', heads: 8 })).toThrow(
      expect.objectContaining({ code: 'OPTION', where: 'heads' }),
    );
  });
});

describe('overlayConfig', () => {
  test('changes win, undefined changes nothing, steps and epochs replace each other', () => {
    expect(overlayConfig({ hidden: 1, steps: 9 }, { hidden: undefined, epochs: 2 })).toEqual({
      hidden: 1,
      epochs: 2,
    });
    expect(overlayConfig({ epochs: 2 }, { steps: 9 })).toEqual({ steps: 9 });
  });
});

test('the model keys are keys of a configuration', () => {
  expect(CONFIG_KEYS).toEqual(expect.arrayContaining([...MODEL_KEYS]));
});
