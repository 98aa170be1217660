import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ratePrior } from '../../src/data/baselines.js';
import { lengthsOfMask } from '../../src/data/masks.js';
import { type SequenceBatch, SequenceStream } from '../../src/data/sequences.js';
import { addingProblem, copyMemory, parity, type Task, temporalOrder } from '../../src/data/tasks.js';
import { Traffic } from '../../src/data/traffic.js';

/** The inputs of a sequence of a batch, as [length][f]. */
function sequence({ inputs, mask }: SequenceBatch, place: number, batch: number, task: Task): number[][] {
  const length = mask ? lengthsOfMask(mask, task.steps, batch)[place]! : task.steps;
  return Array.from({ length }, (_, time) => {
    const at = (time * batch + place) * task.features;
    return [...inputs.slice(at, at + task.features)];
  });
}

/** Fails unless every number of a batch after a sequence's end is 0. */
function expectZeroPadding(batch: SequenceBatch, task: Task): void {
  batch.mask?.forEach((on, step) => {
    if (on === 0)
      for (let j = 0; j < task.features; j += 1) expect(batch.inputs[step * task.features + j]).toBe(0);
  });
}

const BATCH = 64;
const hot = (row: number[]): number => {
  expect(row.filter((value) => value === 1).length).toBe(1);
  expect(row.filter((value) => value === 0).length).toBe(row.length - 1);
  return row.indexOf(1);
};

describe('every task', () => {
  const tasks: [string, (seed: number) => Task][] = [
    ['adding', (seed) => addingProblem({ seed, steps: 20, varyLength: true })],
    ['copy', (seed) => copyMemory({ seed, symbols: 8, length: 10, delay: 5 })],
    ['order', (seed) => temporalOrder({ seed, steps: 30, varyLength: true })],
    ['parity', (seed) => parity({ seed, steps: 12 })],
  ];
  test.each(tasks)('%s: an example depends on its seed and its number alone', (_name, make) => {
    const stream = new SequenceStream(make(7), { batch: 4 });
    expect(stream.batchesPerEpoch).toBe(Number.POSITIVE_INFINITY);
    const third = stream.at(3);
    expect(new SequenceStream(make(7), { batch: 4 }).at(3)).toEqual(third);
    expect(stream.at(2).inputs).not.toEqual(third.inputs);
    expect(new SequenceStream(make(8), { batch: 4 }).at(3).inputs).not.toEqual(third.inputs);
    const one = new SequenceStream(make(7), { batch: 1 }).at(3 * 4 + 2);
    expect(sequence(one, 0, 1, make(7))).toEqual(sequence(third, 2, 4, make(7)));
    expect(third).toMatchObject({ position: 3, epoch: 0, count: 4 });
  });

  test.each(tasks)('%s: resumes through its AsyncIterable', async (_name, make) => {
    const stream = new SequenceStream(make(1), { batch: 2 });
    const seen = [];
    for await (const batch of stream.batches(5, 7)) seen.push(batch);
    expect(seen).toEqual([stream.at(5), stream.at(6)]);
  });

  test.each([0, -1, 1.5, Number.NaN, 2 ** 30])('refuses %s steps', (steps) => {
    const refused = expect.objectContaining({ code: 'OPTION' });
    expect(() => addingProblem({ seed: 1, steps })).toThrow(refused);
    expect(() => temporalOrder({ seed: 1, steps })).toThrow(refused);
    expect(() => parity({ seed: 1, steps })).toThrow(refused);
    expect(() => copyMemory({ seed: 1, symbols: 8, length: steps, delay: 3 })).toThrow(refused);
    expect(() => copyMemory({ seed: 1, symbols: 8, length: 3, delay: steps })).toThrow(refused);
    expect(() => new Traffic({ seed: 1, days: steps })).toThrow(refused);
  });

  test.each([-1, 0.5, 2 ** 32])('refuses the seed %s', (seed) => {
    for (const [, make] of tasks)
      expect(() => make(seed)).toThrow(expect.objectContaining({ code: 'OPTION' }));
    expect(() => new Traffic({ seed })).toThrow(expect.objectContaining({ code: 'OPTION' }));
  });
});

describe('the adding problem', () => {
  test('marks two values and asks for 0.5 + their sum / 4', () => {
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 60 }), fc.boolean(), fc.nat(), (steps, varyLength, seed) => {
        const task = addingProblem({ seed, steps, varyLength });
        const batch = new SequenceStream(task, { batch: BATCH }).at(0);
        expectZeroPadding(batch, task);
        for (let place = 0; place < BATCH; place += 1) {
          const pairs = sequence(batch, place, BATCH, task);
          expect(pairs.length).toBeGreaterThanOrEqual(steps);
          const marks = pairs.flatMap(([, marker], time) => (marker === 1 ? [time] : []));
          expect(marks.length).toBe(2);
          const half = Math.floor(steps / 2) - 1;
          expect(marks[0]!).toBeLessThan(10);
          expect(marks[1]!).toBeLessThan(half);
          pairs.forEach(([value, marker], time) => {
            expect(Math.abs(value!)).toBeLessThanOrEqual(1);
            if (marks.includes(time)) return;
            expect(marker).toBe(time === 0 || time === pairs.length - 1 ? -1 : 0);
          });
          if (marks[0] === 0) expect(pairs[0]![0]).toBe(0);
          const answer = 0.5 + (pairs[marks[0]!]![0]! + pairs[marks[1]!]![0]!) / 4;
          expect(batch.targets[place]).toBe(Math.fround(answer));
        }
      }),
      { numRuns: 20 },
    );
  });

  test.each([12, 100])('guessing 0.5 scores what it says, T = %s', (steps) => {
    const task = addingProblem({ seed: 3, steps });
    const targets = Array.from(new SequenceStream(task, { batch: 8000 }).at(0).targets);
    const squared = targets.reduce((sum, target) => sum + (target - 0.5) ** 2, 0) / targets.length;
    expect(Math.abs(squared / task.learnedNothing.loss - 1)).toBeLessThan(0.06);
  });
});

describe('copy memory', () => {
  test('asks for the symbols after the mark', () => {
    const [symbols, length, delay] = [3, 4, 6];
    const task = copyMemory({ seed: 1, symbols, length, delay });
    expect(task.steps).toBe(14);
    const { inputs, targets } = new SequenceStream(task, { batch: 1 }).at(0);
    const shown = Array.from({ length: 14 }, (_, t) => hot([...inputs.slice(t * 5, t * 5 + 5)]));
    const memory = shown.slice(0, 4);
    expect(memory.every((symbol) => symbol >= 1 && symbol <= 3)).toBe(true);
    expect(shown).toEqual([...memory, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    expect([...targets]).toEqual([...new Array(10).fill(0), ...memory]);
    expect(task.learnedNothing.loss).toBeCloseTo((4 * Math.log(3)) / 14, 12);
    // Blank for ten steps, then one guess in three.
    expect(task.learnedNothing.accuracy).toBeCloseTo((10 + 4 / 3) / 14, 12);
  });

  test('has the published baseline of the usual size, 10 ln 8 / (D + 20)', () => {
    const task = copyMemory({ seed: 1, symbols: 8, length: 10, delay: 500 });
    expect(task.learnedNothing.loss).toBeCloseTo((10 * Math.log(8)) / 520, 12);
  });
});

describe('temporal order', () => {
  test.each([2, 3] as const)('the class is the order of %s marks', (marks) => {
    const task = temporalOrder({ seed: 5, steps: 100, varyLength: true, marks });
    const batch = new SequenceStream(task, { batch: 512 }).at(0);
    expectZeroPadding(batch, task);
    const counts = new Array(2 ** marks).fill(0);
    const bounds = marks === 2 ? [10, 20, 50, 60] : [10, 20, 33, 43, 66, 76];
    for (let place = 0; place < 512; place += 1) {
      const symbols = sequence(batch, place, 512, task).map(hot);
      expect(symbols[0]).toBe(0);
      expect(symbols.at(-1)).toBe(1);
      const found = symbols.flatMap((symbol, time) => (symbol >= 6 ? [time] : []));
      expect(found.length).toBe(marks);
      found.forEach((time, i) => {
        expect(time).toBeGreaterThanOrEqual(bounds[2 * i]!);
        expect(time).toBeLessThanOrEqual(bounds[2 * i + 1]!);
      });
      const order = found.reduce((digits, time) => 2 * digits + (symbols[time]! - 6), 0);
      expect(batch.targets[place]).toBe(order);
      counts[order] += 1;
    }
    for (const count of counts)
      expect(Math.abs(count - 512 / counts.length)).toBeLessThan(4.5 * Math.sqrt(512 / counts.length));
    expect(task.learnedNothing).toMatchObject({
      accuracy: 1 / 2 ** marks,
      loss: expect.closeTo(marks * Math.LN2, 12),
    });
  });

  test('keeps the marks off the ends of short sequences, and refuses other numbers of marks', () => {
    const task = temporalOrder({ seed: 5, steps: 10, marks: 3 });
    const batch = new SequenceStream(task, { batch: BATCH }).at(0);
    for (let place = 0; place < BATCH; place += 1)
      expect(sequence(batch, place, BATCH, task).filter((row) => hot(row) >= 6).length).toBe(3);
    expect(() => temporalOrder({ seed: 1, steps: 20, marks: 4 as 3 })).toThrow(
      expect.objectContaining({ code: 'OPTION' }),
    );
  });
});

describe('parity', () => {
  test('is that of the bits, at the end or at each step', () => {
    const all = new SequenceStream(parity({ seed: 2, steps: 9 }), { batch: 3 }).at(4);
    const each = new SequenceStream(parity({ seed: 2, steps: 9, perStep: true }), { batch: 3 }).at(4);
    expect(each.inputs).toEqual(all.inputs);
    for (let place = 0; place < 3; place += 1) {
      let ones = 0;
      for (let time = 0; time < 9; time += 1) {
        ones += each.inputs[time * 3 + place]!;
        expect(each.targets[time * 3 + place]).toBe(ones % 2);
      }
      expect(all.targets[place]).toBe(ones % 2);
    }
  });
});

describe('traffic', () => {
  test('has 24 counts a day and three lanes; the same seed and number, the same day', () => {
    const traffic = new Traffic({ seed: 4, days: 10 });
    const batch = new SequenceStream(traffic, { batch: 8 }).at(2);
    expect(batch.inputs.length).toBe(10 * 8 * 24);
    expect(batch.inputs.every((value) => value >= 0 && value < 20)).toBe(true);
    expect(batch.targets.length).toBe(24);
    for (let place = 0; place < 8; place += 1)
      expect([...batch.targets.slice(place * 3, place * 3 + 3)]).toEqual(traffic.targetsOf(16 + place));
    expect(new SequenceStream(new Traffic({ seed: 4, days: 10 }), { batch: 8 }).at(2)).toEqual(batch);
  });

  test('parts of one seed continue each other', () => {
    const first = new SequenceStream(new Traffic({ seed: 4, count: 100 }), { batch: 10 });
    expect(first.batchesPerEpoch).toBe(10);
    const later = new Traffic({ seed: 4, count: 50, first: 30 });
    expect(new SequenceStream(later, { batch: 10 }).at(0).inputs).toEqual(first.at(3).inputs);
  });

  test('is congested as often as its probabilities say, and guessing rates is far from the best', () => {
    const traffic = new Traffic({ seed: 9 });
    const n = 1000;
    const targets = Array.from({ length: n }, (_, i) => traffic.targetsOf(i));
    const probabilities = Array.from({ length: n }, (_, i) => traffic.probabilitiesOf(i));
    for (let lane = 0; lane < 3; lane += 1) {
      const rate = targets.reduce((sum, each) => sum + each[lane]!, 0) / n;
      const expected = probabilities.reduce((sum, each) => sum + each[lane]!, 0) / n;
      expect(Math.abs(rate - expected)).toBeLessThan(0.04);
      expect(rate).toBeGreaterThan(0.1);
      expect(rate).toBeLessThan(0.9);
    }
    const half = n / 2;
    const prior = ratePrior(targets.slice(0, half).flat(), targets.slice(half).flat(), 3);
    expect(traffic.bestLoss(n)).toBeLessThan(0.7 * prior.crossEntropy);
  });

  test('week-ends look different', () => {
    const { inputs } = new SequenceStream(new Traffic({ seed: 1, days: 7 }), { batch: 1 }).at(0);
    const morning = Array.from({ length: 7 }, (_, day) => {
      const counts = [...inputs.slice(day * 24, day * 24 + 24)];
      return counts[8]! / Math.max(...counts);
    });
    expect(morning.filter((share) => share < 0.6).length).toBe(2);
  });
});
