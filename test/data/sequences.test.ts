import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  permutation,
  type SequenceBatch,
  SequenceSet,
  type SequenceSource,
  SequenceStream,
} from '../../src/data/sequences.js';

async function collect(batches: AsyncIterable<SequenceBatch>): Promise<SequenceBatch[]> {
  const all = [];
  for await (const batch of batches) all.push(batch);
  return all;
}

/** Sequence i: one step, the input i, the class i % 2. */
const numbered = (count: number) =>
  new SequenceSet(
    Array.from({ length: count }, (_, i) => ({ inputs: Float32Array.of(i), target: i % 2 })),
    { features: 1, classes: 2 },
  );

const ragged = new SequenceSet(
  [
    { inputs: Float32Array.of(1, 2, 3, 4), target: [0.5, 1] },
    { inputs: Float64Array.of(5, 6), target: [2, 3] },
    { inputs: Float32Array.of(7, 8, 9, 10, 11, 12), target: [4, 5] },
  ],
  { features: 2 },
);

describe('SequenceStream', () => {
  test('lays sequences out time-major, with masks', () => {
    const { inputs, targets, mask, count } = new SequenceStream(ragged, { batch: 3 }).at(0);
    expect([...inputs]).toEqual([1, 2, 5, 6, 7, 8, 3, 4, 0, 0, 9, 10, 0, 0, 0, 0, 11, 12]);
    expect([...mask!]).toEqual([1, 1, 1, 1, 0, 1, 0, 0, 1]);
    expect(targets).toEqual(Float32Array.of(0.5, 1, 2, 3, 4, 5));
    expect(count).toBe(3);
  });

  test('class targets are ids, and sequences of one length have no mask', () => {
    const batch = new SequenceStream(numbered(4), { batch: 4 }).at(0);
    expect(batch.targets).toEqual(Int32Array.of(0, 1, 0, 1));
    expect('mask' in batch).toBe(false);
  });

  test('weights average over the targets that are real', () => {
    const whole = new SequenceStream(ragged, { batch: 2, remainder: 'keep' });
    expect(whole.at(0)).toMatchObject({ weight: Float32Array.of(0.5, 0.5), targetCount: 2 });
    expect(whole.at(1)).toMatchObject({ weight: Float32Array.of(1, 0), targetCount: 1 });
    // Every step has a target: lengths 1 and 3 of T = 3, and 2 alone in the last batch.
    const lengths = [1, 3, 2];
    const source: SequenceSource = {
      count: 3,
      steps: 3,
      features: 1,
      target: { kind: 'classes', size: 2, perStep: true },
      masked: true,
      write: (index, { mask, place, batch }) => {
        for (let time = lengths[index]!; time < 3; time += 1) mask![time * batch + place] = 0;
      },
    };
    const steps = new SequenceStream(source, { batch: 2, remainder: 'keep' });
    expect(steps.at(0)).toMatchObject({
      weight: Float32Array.of(0.25, 0.25, 0, 0.25, 0, 0.25),
      targetCount: 4,
    });
    expect(steps.at(1)).toMatchObject({ weight: Float32Array.of(0.5, 0, 0.5, 0, 0, 0), targetCount: 2 });
    const unmasked = new SequenceStream({ ...source, masked: false, write: () => {} }, { batch: 3 });
    expect(unmasked.at(0).targetCount).toBe(9);
  });

  test('an epoch has every sequence once, in another order each time', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 0, max: 40 }),
        fc.nat(),
        async (batch, extra, seed) => {
          const count = batch + extra;
          const source = numbered(count);
          const kept = new SequenceStream(source, { batch, shuffle: { seed }, remainder: 'keep' });
          const real = (batches: SequenceBatch[]) => batches.flatMap((b) => [...b.inputs.slice(0, b.count)]);
          const seen = real(await collect(kept.epoch()));
          expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
          const dropped = new SequenceStream(source, { batch, shuffle: { seed } });
          const used = real(await collect(dropped.epoch()));
          expect(used).toEqual(seen.slice(0, Math.floor(count / batch) * batch));
        },
      ),
      { numRuns: 50 },
    );
  });

  test('resumes at a position, across epochs, with the same batches', async () => {
    const make = () => new SequenceStream(numbered(11), { batch: 3, shuffle: { seed: 5 } });
    const all = await collect(make().batches(0, 9));
    expect(await collect(make().batches(4, 9))).toEqual(all.slice(4));
    expect(all.map((b) => b.epoch)).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2]);
    expect(all.map((b) => b.epoch).indexOf(1)).toBe(3);
    expect(all.every((b) => b.resetsState)).toBe(true);
    expect(all[3]!.inputs).not.toEqual(all[0]!.inputs);
    const other = new SequenceStream(numbered(11), { batch: 3, shuffle: { seed: 6 } });
    expect(other.at(0).inputs).not.toEqual(all[0]!.inputs);
    const stream = make();
    expect(stream.at(8)).toEqual(all[8]);
    expect(stream.at(0)).toEqual(all[0]); // back again
  });

  test('without a seed keeps the order; the last batch is filled up with its last sequence', () => {
    const stream = new SequenceStream(numbered(5), { batch: 3, remainder: 'keep' });
    expect(stream.batchesPerEpoch).toBe(2);
    expect(stream.at(1)).toMatchObject({ inputs: Float32Array.of(3, 4, 4), count: 2 });
  });

  test('says how many sequences a batch needs', () => {
    expect(() => new SequenceStream(numbered(3), { batch: 4 })).toThrow(
      expect.objectContaining({ code: 'DATA', fix: 'give more data, or a batch of at most 3' }),
    );
    expect(new SequenceStream(numbered(3), { batch: 4, remainder: 'keep' }).at(0).count).toBe(3);
  });

  test.each([0, -1, 1.5, Number.NaN])('refuses %s as batch, seed or position', (bad) => {
    const refused = expect.objectContaining({ code: 'OPTION' });
    expect(() => new SequenceStream(numbered(3), { batch: bad })).toThrow(refused);
    if (bad === 0) return;
    expect(() => new SequenceStream(numbered(3), { batch: 1, shuffle: { seed: bad } })).toThrow(refused);
    expect(() => new SequenceStream(numbered(3), { batch: 1 }).at(bad)).toThrow(refused);
  });

  test('the first element of permutations is uniform', () => {
    const counts = [0, 0, 0, 0];
    for (let epoch = 0; epoch < 4000; epoch += 1) counts[permutation(4, 1, epoch)[0]!]! += 1;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(120); // > 4 deviations
  });
});

describe('a target at every step', () => {
  const inputs = (length: number) => Float32Array.from({ length }, (_, i) => i + 1);

  test('is laid out as the inputs are, classes and values', () => {
    const classes = new SequenceSet(
      [
        { inputs: inputs(3), target: [0, 1, 1] },
        { inputs: inputs(2), target: [1, 0] },
      ],
      { features: 1, classes: 2, perStep: true },
    );
    expect(new SequenceStream(classes, { batch: 2 }).at(0)).toMatchObject({
      targets: Int32Array.of(0, 1, 1, 0, 1, 0),
      mask: Float32Array.of(1, 1, 1, 1, 1, 0),
      targetCount: 5,
      longest: 3,
    });
    const values = new SequenceSet(
      [
        { inputs: inputs(1), target: [5, 6] },
        { inputs: inputs(2), target: [1, 2, 3, 4] },
      ],
      { features: 1, perStep: true },
    );
    expect(new SequenceStream(values, { batch: 2 }).at(0).targets).toEqual(
      Float32Array.of(5, 6, 1, 2, 0, 0, 3, 4),
    );
  });

  test.each<[string, object, number[] | number, object]>([
    ['as many as steps', { classes: 2 }, [0, 1], { code: 'SHAPE', where: 'sequence 1, target' }],
    ['one for all', { classes: 2 }, 1, { code: 'SHAPE', where: 'sequence 1, target' }],
    ['as many numbers a step', {}, [1, 2, 3, 4, 5, 6], { code: 'SHAPE', where: 'sequence 1, target' }],
    ['classes only', { classes: 2 }, [0, 1, 2], { code: 'DATA', where: 'sequence 1, step 2, target' }],
    ['finite', {}, [1, Number.NaN, 2], { code: 'DATA', where: 'sequence 1, step 1, target' }],
  ])('has to be %s', (_, options, target, error) => {
    const sequences = [
      { inputs: inputs(2), target: [0, 1] },
      { inputs: inputs(3), target },
    ];
    expect(() => new SequenceSet(sequences, { features: 1, perStep: true, ...options })).toThrow(
      expect.objectContaining(error),
    );
  });
});

describe('what a source writes', () => {
  const shape = { count: 3, steps: 2, features: 2, masked: true } as const;
  const source = (write: SequenceSource['write'], target: SequenceSource['target']): SequenceSource => ({
    ...{ ...shape, target },
    write,
  });
  const classes = { kind: 'classes', size: 2, perStep: true } as const;
  const values = { kind: 'values', size: 2, perStep: true } as const;

  test.each<[string, SequenceSource, string]>([
    [
      'an input that is not finite',
      source((i, { inputs }) => i === 1 && inputs.fill(Number.NaN, 7, 8), classes),
      'sequence 1 of the batch, step 1, feature 1',
    ],
    [
      'a class that there is not',
      source((i, { targets }) => i === 1 && targets.fill(2, 3, 4), classes),
      'sequence 1 of the batch, step 1, target',
    ],
    [
      'a class below 0',
      source((_, { targets }) => targets.fill(-1, 2, 3), classes),
      'sequence 0 of the batch, step 1, target',
    ],
    [
      'a class of a whole sequence',
      source((_, { targets, place }) => targets.fill(2 * place, place, place + 1), {
        ...classes,
        perStep: false,
      }),
      'sequence 1 of the batch, target',
    ],
    [
      'a value that is not finite',
      source((_, { targets }) => targets.fill(Number.POSITIVE_INFINITY, 7), values),
      'sequence 1 of the batch, step 1, target',
    ],
    ['a hole', source((_, { mask }) => mask!.fill(0, 0, 1), values), 'mask, sequence 0, step 1'],
    ['a sequence without a step', source((_, { mask }) => mask!.fill(0), values), 'sequence 0'],
  ])('is refused with %s', (_, bad, where) => {
    expect(() => new SequenceStream(bad, { batch: 2 }).at(0)).toThrow(
      expect.objectContaining({ code: 'DATA', where }),
    );
  });
});

describe('SequenceSet', () => {
  const bad = (sequences: ConstructorParameters<typeof SequenceSet>[0], options: object, error: object) =>
    expect(() => new SequenceSet(sequences, { features: 1, ...options })).toThrow(
      expect.objectContaining(error),
    );

  test.each([Number.NaN, Number.NEGATIVE_INFINITY])('refuses %s, naming its place', (value) => {
    bad(
      [{ inputs: Float32Array.of(1, 2, 3, value), target: 0 }],
      { features: 2 },
      { code: 'DATA', where: 'sequence 0, step 1, feature 1' },
    );
    bad([{ inputs: Float32Array.of(1), target: value }], {}, { code: 'DATA', where: 'sequence 0, target' });
  });

  test('refuses lengths of zero or beyond T', () => {
    const data = { code: 'DATA', where: 'sequence 1' };
    const first = { inputs: Float32Array.of(1), target: 0 };
    bad([first, { inputs: new Float32Array(0), target: 0 }], {}, data);
    bad([first, { inputs: new Float32Array(4), target: 0 }], { steps: 3 }, data);
  });

  test.each([2, -1, 0.5, Number.NaN])('refuses the class %s of 2', (target) => {
    bad([{ inputs: Float32Array.of(1), target }], { classes: 2 }, { code: 'DATA' });
  });

  test('refuses parts of steps and targets of different sizes', () => {
    bad([{ inputs: new Float32Array(3), target: 0 }], { features: 2 }, { code: 'SHAPE' });
    bad(
      [
        { inputs: new Float32Array(1), target: [1, 2] },
        { inputs: new Float32Array(1), target: [1] },
      ],
      {},
      { code: 'SHAPE', where: 'sequence 1, target' },
    );
  });
});
