import { describe, expect, test } from 'vitest';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { Parameters } from '../../src/model/parameters.js';
import { decodeCheckpoint } from '../../src/train/checkpoint.js';
import { groupVectors, type ParameterGroup, requireGroups } from '../../src/train/parameter-groups.js';
import { Trainer } from '../../src/train/trainer.js';
import { backends } from '../support/backends.js';
import { advance, bitsOf, newTrainer } from './setup.js';

const init = { kind: 'uniform', scale: 1 } as const;
const parameters = new Parameters([
  { name: 'lstm.weight_hh_l0', shape: [2, 2], init },
  { name: 'lstm.bias_hh_l0', shape: [2], init },
  { name: 'head.weight', shape: [1, 2], init },
  { name: 'head.bias', shape: [1], init },
]);

/** Factor and weight decay of each parameter, of which all elements are alike. */
function resolved(groups: readonly ParameterGroup[], weightDecay = 0.5) {
  const vectors = groupVectors(parameters, { groups, weightDecay })!;
  const [factors, decays] = [vectors.subarray(0, parameters.size), vectors.subarray(parameters.size)];
  return Object.fromEntries(
    parameters.specs.map(({ name }) => {
      const of = (vector: Float32Array) => {
        const [first, ...rest] = parameters.part(vector, name);
        for (const other of rest) expect(other).toBe(first);
        return first;
      };
      return [name, [of(factors), of(decays)]];
    }),
  );
}

describe('the elements of groups', () => {
  test('all are alike without groups', () => {
    expect(groupVectors(parameters, { groups: [], weightDecay: 0.5 })).toBeNull();
  });

  test('a parameter belongs to the first group that it fits', () => {
    expect(
      resolved([
        { match: 'head.bias', weightDecay: 0.25 },
        { match: 'head.*', learningRateFactor: 2 },
        { match: '*_hh_*', learningRateFactor: 0, weightDecay: 0 },
      ]),
    ).toEqual({
      'lstm.weight_hh_l0': [0, 0],
      'lstm.bias_hh_l0': [0, 0],
      'head.weight': [2, 0.5],
      'head.bias': [1, 0.25],
    });
  });

  test('biases that do not decay are a group', () => {
    expect(resolved([{ vectors: true, weightDecay: 0 }])).toEqual({
      'lstm.weight_hh_l0': [1, 0.5],
      'lstm.bias_hh_l0': [1, 0],
      'head.weight': [1, 0.5],
      'head.bias': [1, 0],
    });
  });

  test.each<[string, readonly ParameterGroup[], string]>([
    ['nothing', [{ match: 'gru.*' }], 'groups[0]'],
    ['a part of a name only', [{ match: 'head' }], 'groups[0]'],
    ['a dot as any character', [{ match: 'headxbias' }, { match: 'head.bia.' }], 'groups[0]'],
    ['what another group has', [{ match: 'head.*' }, { match: 'head.bias' }], 'groups[1]'],
    ['only matrices, when it wants vectors', [{ match: '*weight*', vectors: true }], 'groups[0]'],
  ])('a group that matches %s is refused', (_, groups, where) => {
    expect(() => resolved(groups)).toThrow(
      expect.objectContaining({ code: 'OPTION', where, fix: expect.stringContaining('lstm.weight_hh_l0') }),
    );
  });
});

describe('requireGroups', () => {
  test.each<[unknown, string]>([
    ['head.*', 'groups'],
    [{}, 'groups'],
    [['head.*'], 'groups[0]'],
    [[{}, null], 'groups[1]'],
    [[{ name: 'head.*' }], 'groups[0]'],
    [[{ toString: 1 }], 'groups[0]'],
    [[{ match: '' }], 'groups[0].match'],
    [[{ vectors: 'yes' }], 'groups[0].vectors'],
    [[{ learningRateFactor: -1 }], 'groups[0].learningRateFactor'],
    [[{ weightDecay: 2 }], 'groups[0].weightDecay'],
  ])('refuses %j', (value, where) => {
    expect(() => requireGroups(value, 'groups')).toThrow(expect.objectContaining({ code: 'OPTION', where }));
  });
});

describe('training with groups', () => {
  const backend = new Float64Backend();
  const still = { optimizer: 'sgd', dropout: 0, clip: 0, schedule: 'constant', lr: 0.1 };

  test('a group moves as a run with its learning rate and decay does; a factor of 0 keeps it', async () => {
    const groups = [
      { match: 'head.*', learningRateFactor: 0.5, weightDecay: 0.2 },
      { match: '*_hh_*', learningRateFactor: 0 },
    ];
    using plain = await newTrainer(backend, { ...still, weightDecay: 0.1 });
    using like = await newTrainer(backend, { ...still, lr: 0.05, weightDecay: 0.2 });
    using grouped = await newTrainer(backend, { ...still, weightDecay: 0.1, groups });
    const start = await plain.parameters();
    // The gradients of a first step are the same in all.
    for (const trainer of [plain, like, grouped]) advance(trainer, 1);
    const [before, half, after] = [plain, like, grouped].map((trainer) => trainer.parameters());
    const { specs } = plain.model.parameters;
    for (const { name } of specs) {
      const of = async (theta: typeof before) =>
        Array.from(plain.model.parameters.part((await theta)!, name));
      const expected = name.startsWith('head.') ? half : before;
      const wanted = name.includes('_hh_')
        ? Array.from(plain.model.parameters.part(start, name))
        : await of(expected);
      const found = await of(after);
      // The vectors are in float32.
      for (const [i, x] of wanted.entries()) expect(found[i]).toBeCloseTo(x, 8);
      if (name.includes('_hh_')) expect(found).toEqual(wanted);
    }
  });

  test('a run without a group that its model has parameters for is refused', async () => {
    await expect(newTrainer(backend, { groups: [{ match: 'gru.*' }] })).rejects.toMatchObject({
      code: 'OPTION',
      where: 'groups[0]',
    });
  });

  test.each(Object.keys(backends))('%s: a checkpoint keeps them, and the run goes on', async (name) => {
    using backend = await backends[name]!();
    const groups = [
      { vectors: true, weightDecay: 0 },
      { match: 'head.*', learningRateFactor: 0.5 },
    ];
    const changes = { optimizer: 'adamw', weightDecay: 0.01, groups };
    using whole = await newTrainer(backend, changes);
    advance(whole, 6);
    using first = await newTrainer(backend, changes);
    advance(first, 3);
    const saved = await decodeCheckpoint(await bitsOf(first), 'test');
    expect(saved.config.groups).toEqual(groups);
    using second = await Trainer.restore(backend, saved, first.config, first.data);
    advance(second, 3);
    expect(await bitsOf(second)).toEqual(await bitsOf(whole));
  });
});
