import { describe, expect, test } from 'vitest';
import { Pace } from '../../src/cli/pace.js';
import { createProgress } from '../../src/cli/progress.js';
import { Collected } from './collect.js';

/** A clock that is set by hand, in milliseconds. */
function handClock() {
  const clock = { time: 0, now: () => clock.time };
  return clock;
}

describe('plain lines', () => {
  test('one at most every two seconds, and the last', () => {
    const stream = new Collected();
    const clock = handClock();
    const progress = createProgress({ stream, now: clock.now });
    progress.start({ total: 100, tokensPerStep: 2000 });
    for (const [time, step] of [
      [1000, 10],
      [2000, 20],
      [3000, 30],
      [3500, 100],
    ] as const) {
      clock.time = time;
      progress.update({ step, loss: Math.LN2 * 2 });
    }
    progress.log('saved');
    progress.stop();
    expect(stream.lines).toEqual([
      'step 10/100  loss 1.3863  2.000 bits/char  20.0k tokens/s  0:09 left',
      'step 30/100  loss 1.3863  2.000 bits/char  20.0k tokens/s  0:07 left',
      'step 100/100  loss 1.3863  2.000 bits/char  57.1k tokens/s  0:00 left',
      'saved',
    ]);
  });
});

describe('--json', () => {
  test('one object a line, also for a resumed run', () => {
    const stream = new Collected();
    const clock = handClock();
    const progress = createProgress({ json: true, stream, now: clock.now });
    progress.start({ total: 100, done: 50, tokensPerStep: 10 });
    clock.time = 500;
    progress.update({ step: 60, loss: Math.LN2 });
    progress.log('validated', { validationLoss: 1.5 });
    progress.stop();
    expect(stream.lines.map((line) => JSON.parse(line))).toEqual([
      { event: 'start', total: 100, done: 50, tokensPerStep: 10 },
      { event: 'step', step: 60, loss: Math.LN2, bitsPerCharacter: 1, tokensPerSecond: 200, secondsLeft: 2 },
      { event: 'log', message: 'validated', validationLoss: 1.5 },
    ]);
  });
});

describe('a bar on a terminal', () => {
  test('shows the figures, prints lines above itself, and stops twice without harm', () => {
    const terminal = Object.assign(new Collected(), { isTTY: true, columns: 200 });
    const clock = handClock();
    const progress = createProgress({ stream: terminal, now: clock.now });
    progress.log('before');
    progress.start({ total: 10, tokensPerStep: 100 });
    clock.time = 1000;
    progress.update({ step: 5, loss: Math.LN2 * 3 });
    progress.log('saved a checkpoint');
    progress.stop();
    progress.stop();
    progress.log('after');
    expect(terminal.text).toMatch(/^before\n/);
    expect(terminal.text).toContain('50% | 5/10 | loss 2.0794 | 3.000 bits/char | 500 tokens/s | 0:01 left');
    expect(terminal.text).toContain('saved a checkpoint\n');
    expect(terminal.text).toMatch(/after\n$/);
  });
});

describe('Pace', () => {
  test('forgets what lies more than half a minute back', () => {
    const clock = handClock();
    const pace = new Pace(clock.now);
    pace.start(1000, 0, 1);
    clock.time = 20_000; // compiling, say
    pace.at(1);
    for (let step = 2; step <= 60; step += 1) {
      clock.time += 1000;
      pace.at(step);
    }
    clock.time += 1000;
    expect(pace.at(61).tokensPerSecond).toBeCloseTo(1, 10);
  });

  test('before the first step the end is not known', () => {
    const pace = new Pace(() => 0);
    pace.start(10, 0, 1);
    expect(pace.at(0)).toEqual({ tokensPerSecond: 0, secondsLeft: Number.POSITIVE_INFINITY });
  });
});
