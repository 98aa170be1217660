import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { exponentOf, type Growth, measureGrowth } from '../../src/bench/growth.js';

it('finds the exponent of a power', () => {
  const sizes = fc.uniqueArray(fc.integer({ min: 1, max: 1000 }), { minLength: 2, maxLength: 9 });
  const power = fc.double({ min: -3, max: 3, noNaN: true });
  fc.assert(
    fc.property(sizes, power, fc.double({ min: 0.01, max: 100, noNaN: true }), (xs, p, c) => {
      expect(exponentOf(xs.map((x) => [x, c * x ** p] as const))).toBeCloseTo(p, 8);
    }),
  );
});

it.each<[Growth, number, number]>([
  [{ name: 'r', key: 'batch', sizes: [64, 128, 256] }, 1, 0],
  [{ name: 'T', key: 'unroll', sizes: [64, 128, 256] }, 1, 1],
])('a step does work in proportion to $name', async (growth, ofFlops, ofDispatches) => {
  using backend = new Float32Backend();
  const points = await measureGrowth(backend, growth, { base: 'T', seconds: 0.01 });
  const exponent = (of: (point: (typeof points)[number]) => number) =>
    exponentOf(points.map((point) => [point.size, of(point)] as const));
  expect(exponent(({ flops }) => flops)).toBeCloseTo(ofFlops, 1);
  expect(exponent(({ dispatches }) => dispatches)).toBeCloseTo(ofDispatches, 0);
  expect(exponent(({ arenaBytes }) => arenaBytes)).toBeCloseTo(1, 1);
  for (const { medianMs, minMs } of points) expect(medianMs).toBeGreaterThanOrEqual(minMs);
});

it('memory grows more slowly with T where steps are computed again', async () => {
  using backend = new Float32Backend();
  const growth = { name: 'T', key: 'unroll', sizes: [32, 128] } as const;
  const measured = (recompute: boolean) =>
    measureGrowth(backend, { ...growth, recompute }, { base: 'T', seconds: 0.01 });
  const [stored, again] = [await measured(false), await measured(true)];
  const ratio = (n: number) => again[n]!.arenaBytes / stored[n]!.arenaBytes;
  expect(ratio(1)).toBeLessThan(ratio(0));
  expect(ratio(1)).toBeLessThan(1);
});
