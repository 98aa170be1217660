import { expect, test } from 'vitest';
import { BigramCounts, bigramBaseline, unigramEntropy } from '../../src/data/ngram.js';

test('unigram entropy of known frequencies', () => {
  expect(unigramEntropy(Int32Array.of(0, 1, 0, 1), 3)).toBe(1);
  expect(unigramEntropy(Int32Array.of(0, 0, 1, 2), 3)).toBe(1.5);
  expect(unigramEntropy(Int32Array.of(2, 2, 2), 3)).toBe(0);
});

test('add-one smoothing by hand', () => {
  // Pairs of 0 0 1 0: (0,0), (0,1), (1,0); so n(0) = 2, n(1) = 1.
  const counts = new BigramCounts(Int32Array.of(0, 0, 1, 0), 2);
  // p(1|0) = (1 + 1) / (2 + 2) = 1/2, p(1|1) = (0 + 1) / (1 + 2) = 1/3.
  expect(counts.bitsPerCharacter(Int32Array.of(0, 1, 1), 1)).toBeCloseTo((1 + Math.log2(3)) / 2, 12);
});

test('leave-one-out by hand', () => {
  // Without itself each pair has count 0: (0,0) and (0,1) cost log2((1 + 2k) / k), (1,0) costs log2(2k / k).
  const counts = new BigramCounts(Int32Array.of(0, 0, 1, 0), 2);
  expect(counts.leaveOneOutBits(1)).toBeCloseTo((2 * Math.log2(3) + 1) / 3, 12);
});

test('the smoothing fits the text: small for a regular one', () => {
  const regular = Int32Array.from({ length: 400 }, (_, i) => i % 4);
  const baseline = bigramBaseline(regular.subarray(0, 300), regular.subarray(300), 4);
  expect(baseline.smoothing).toBe(2 ** -12);
  expect(baseline.bitsPerCharacter).toBeLessThan(0.01);
});

test('a transition never seen in training costs finitely many bits', () => {
  const { bitsPerCharacter } = bigramBaseline(Int32Array.of(0, 1, 0, 1, 0, 1), Int32Array.of(2, 2, 0, 0), 3);
  expect(bitsPerCharacter).toBeGreaterThan(1);
  expect(Number.isFinite(bitsPerCharacter)).toBe(true);
});
