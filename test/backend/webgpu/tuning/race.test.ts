import { describe, expect, it } from 'vitest';
import { race, type Timer } from '../../../../src/backend/webgpu/tuning/race.js';

/** Takes `first` milliseconds for its first run, then those of `runs` in turn for each run. */
function timer(first: number, ...runs: number[]): Timer & { calls: number[] } {
  const calls: number[] = [];
  const run = async (repeats: number) => {
    calls.push(repeats);
    return calls.length === 1 ? first : repeats * runs[(calls.length - 2) % runs.length]!;
  };
  return Object.assign(run, { calls });
}

const never = () => false;

describe('a race', () => {
  it('gives the median of the rounds, without the first run of each', async () => {
    const rule = timer(1000, 8, 20, 9);
    const other = timer(900, 6, 60, 7);
    expect(await race([rule, other], never)).toEqual([9, 7]);
    expect(rule.calls).toEqual([1, 1, 1, 1]);
    expect(other.calls).toEqual([1, 1, 1, 1]);
  });

  it('repeats what is short until the fastest takes milliseconds', async () => {
    const rule = timer(1, 0.02);
    const other = timer(1, 0.01);
    const times = await race([rule, other], never);
    expect(times[0]).toBeCloseTo(0.02, 12);
    expect(times[1]).toBeCloseTo(0.01, 12);
    expect(rule.calls).toEqual([1, 1, 4, 16, 64, 256]);
    expect(other.calls).toEqual([1, 1, 4, 16, 64, 256, 256, 256]);
  });

  it('ends its repeats also on a clock that stands', async () => {
    expect(await race([timer(0, 0), timer(0, 0)], never)).toEqual([0, 0]);
  });

  it('lets what is far behind after the first round out of the others', async () => {
    const far = timer(1, 16);
    await race([timer(1, 10), far, timer(1, 10)], never);
    expect(far.calls).toHaveLength(2);
  });

  it('runs the first round when there is no time, and no other', async () => {
    const timers = [timer(1, 5), timer(1, 4)];
    expect(await race(timers, () => true)).toEqual([5, 4]);
    expect(timers[1]!.calls).toHaveLength(2);
  });
});
