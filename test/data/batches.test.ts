import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type TextBatch, TextStream } from '../../src/data/batches.js';

const range = (length: number) => Int32Array.from({ length }, (_, i) => i);

async function collect(batches: AsyncIterable<TextBatch>): Promise<TextBatch[]> {
  const all = [];
  for await (const batch of batches) all.push(batch);
  return all;
}

describe('TextStream', () => {
  test('lays two streams side by side, time-major', async () => {
    const stream = new TextStream(range(14), { batch: 2, unroll: 3 });
    expect(stream.batchesPerEpoch).toBe(2);
    const [first, second] = await collect(stream.epoch());
    expect([...first!.inputs]).toEqual([0, 6, 1, 7, 2, 8]);
    expect([...first!.targets]).toEqual([1, 7, 2, 8, 3, 9]);
    expect([...second!.inputs]).toEqual([3, 9, 4, 10, 5, 11]);
    expect([first!.resetsState, second!.resetsState]).toEqual([true, false]);
  });

  test('each batch continues the one before, and an epoch predicts each used character once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 0, max: 60 }),
        async (batch, unroll, extra) => {
          const stream = new TextStream(range(batch * unroll + 1 + extra), { batch, unroll });
          const batches = await collect(stream.epoch());
          const seen = batches.flatMap((b) => [...b.targets]).sort((a, b) => a - b);
          expect(seen).toEqual([...range(batch * unroll * batches.length)].map((i) => i + 1));
          for (let i = 1; i < batches.length; i += 1) {
            const last = batches[i - 1]!.targets.slice(-batch);
            expect([...batches[i]!.inputs.slice(0, batch)]).toEqual([...last]);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test('resumes at a position, across epochs, with the same batches', async () => {
    const stream = new TextStream(range(40), { batch: 3, unroll: 4 });
    expect(stream.batchesPerEpoch).toBe(3);
    const all = await collect(stream.batches(0, 8));
    expect(await collect(stream.batches(5, 8))).toEqual(all.slice(5));
    expect(all.map((b) => b.epoch)).toEqual([0, 0, 0, 1, 1, 1, 2, 2]);
    expect(all.map((b) => b.resetsState).indexOf(true, 1)).toBe(3);
    expect(all[3]!.inputs).toEqual(all[0]!.inputs);
  });

  test('says how many characters one batch needs and what fits', () => {
    expect(() => new TextStream(range(20), { batch: 4, unroll: 5 })).toThrow(
      expect.objectContaining({
        code: 'TEXT',
        message: 'one batch of 4 streams of 5 characters needs 21 characters, the text has 20',
        fix: 'give a longer text, a batch of at most 3 at unroll 5, or an unroll of at most 4 at batch 4',
      }),
    );
    expect(new TextStream(range(20), { batch: 3, unroll: 5 }).batchesPerEpoch).toBe(1);
    expect(new TextStream(range(20), { batch: 4, unroll: 4 }).batchesPerEpoch).toBe(1);
  });

  test('suggests nothing that does not fit', () => {
    expect(() => new TextStream(range(1), { batch: 4, unroll: 5 })).toThrow(
      expect.objectContaining({ code: 'TEXT', fix: 'give a longer text' }),
    );
  });

  test.each([0, -1, 1.5, Number.NaN])('refuses %s as batch, unroll or position', (bad) => {
    const refused = expect.objectContaining({ code: 'OPTION' });
    expect(() => new TextStream(range(20), { batch: bad, unroll: 2 })).toThrow(refused);
    expect(() => new TextStream(range(20), { batch: 2, unroll: bad })).toThrow(refused);
    if (bad !== 0) expect(() => new TextStream(range(20), { batch: 2, unroll: 2 }).at(bad)).toThrow(refused);
  });
});
