import { describe, expect, test } from 'vitest';
import { CounterRandom } from '../../src/data/random.js';
import { threefry2x32 } from '../../src/program/threefry.js';

const draws = (count: number, draw: () => number) => Array.from({ length: count }, draw);

describe('CounterRandom', () => {
  test('is Threefry under the key (seed, stream)', () => {
    const [high, low] = threefry2x32(7, 3, 0, 0);
    expect(new CounterRandom(7, 3).uniform()).toBe(((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53);
  });

  test('continues from its JSON state bit for bit', () => {
    const random = new CounterRandom(11, 2);
    draws(5, () => random.normal());
    random.integer(10);
    const resumed = CounterRandom.fromState(JSON.parse(JSON.stringify(random)));
    expect(draws(20, () => resumed.uniform())).toEqual(draws(20, () => random.uniform()));
  });

  test('counts past 32 bits', () => {
    const random = new CounterRandom(1, 0, 2 ** 32 - 1);
    const last = random.uniform();
    const next = random.uniform();
    expect(next).not.toBe(last);
    expect(next).not.toBe(new CounterRandom(1).uniform());
  });

  test('streams and seeds differ', () => {
    const first = (seed: number, stream: number) => new CounterRandom(seed, stream).uniform();
    expect(new Set([first(1, 0), first(1, 1), first(2, 0), first(0, 1)]).size).toBe(4);
  });

  test('uniform and normal have the moments of their distributions', () => {
    const random = new CounterRandom(5);
    const count = 40_000;
    const uniform = draws(count, () => random.uniform());
    const normal = draws(count, () => random.normal());
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    expect(uniform.every((u) => u >= 0 && u < 1)).toBe(true);
    // Bounds of five standard errors.
    expect(Math.abs(mean(uniform) - 0.5)).toBeLessThan((5 * Math.sqrt(1 / 12)) / Math.sqrt(count));
    expect(Math.abs(mean(normal))).toBeLessThan(5 / Math.sqrt(count));
    expect(Math.abs(mean(normal.map((x) => x * x)) - 1)).toBeLessThan((5 * Math.sqrt(2)) / Math.sqrt(count));
  });

  test('integer covers 0 .. n - 1 evenly', () => {
    const random = new CounterRandom(9);
    const counts = [0, 0, 0];
    for (let i = 0; i < 9000; i += 1) counts[random.integer(3)]! += 1;
    for (const count of counts) expect(Math.abs(count - 3000)).toBeLessThan(5 * Math.sqrt(2000));
    expect(random.integer(1)).toBe(0);
    expect(random.integer(2 ** 32)).toBeLessThan(2 ** 32);
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 32, Number.POSITIVE_INFINITY])('refuses the seed %s', (seed) => {
    expect(() => new CounterRandom(seed)).toThrow(expect.objectContaining({ code: 'OPTION' }));
  });

  test.each([0, -1, 1.5, Number.NaN])('refuses integer(%s)', (n) => {
    expect(() => new CounterRandom(1).integer(n)).toThrow(expect.objectContaining({ code: 'OPTION' }));
  });
});
