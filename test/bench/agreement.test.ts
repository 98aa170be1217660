import { describe, expect, it } from 'vitest';
import { compareLosses, LOSS_TOLERANCE, MIXED_LOSS_TOLERANCE } from '../../src/bench/agreement.js';
import type { Contender } from '../../src/bench/contender.js';
import type { Precision } from '../../src/train/step-program.js';

/** A contender whose losses are those of an honest one, all off by a share. */
function contender(precision: Precision, share = 0, millisecondsEach = 0): Contender {
  let step = 1;
  return {
    ...{ engine: 'made up', backend: 'none', adapter: 'none', features: null, precision },
    facts: {
      dispatches: null,
      submits: null,
      arenaBytes: null,
      firstStepMs: 0,
      firstStepFrom: 'compile start',
    },
    run: async (steps) => {
      step += steps;
      return millisecondsEach * steps;
    },
    loss: async () => (1 + share) / step,
    peakRssBytes: async () => 0,
    [Symbol.dispose]() {},
  };
}

const compare = (...contenders: Contender[]) => compareLosses(contenders, { steps: 9, milliseconds: 5 });

describe('losses are compared', () => {
  it('in float32 and in mixed precision, each within its own tolerance', async () => {
    const share = Math.sqrt(LOSS_TOLERANCE * MIXED_LOSS_TOLERANCE);
    const [, mixed] = await compare(contender('float32'), contender('mixed', share));
    expect(mixed).toMatchObject({ steps: 9, lossError: expect.closeTo(share, 9) });
    await expect(compare(contender('float32'), contender('float32', share))).rejects.toMatchObject({
      code: 'DATA',
    });
    await expect(
      compare(contender('float32'), contender('mixed', 2 * MIXED_LOSS_TOLERANCE)),
    ).rejects.toMatchObject({
      code: 'DATA',
      message: expect.stringContaining('the loss of step 1'),
    });
  });

  it('with those of a contender in float32, also where one in mixed precision did more steps', async () => {
    const [plain, mixed] = await compare(contender('float32', 0, 2), contender('mixed', 2e-4));
    expect(plain).toMatchObject({ steps: 4, lossError: 0 });
    expect(mixed).toMatchObject({ steps: 4, lossError: expect.closeTo(2e-4, 9) });
  });
});
