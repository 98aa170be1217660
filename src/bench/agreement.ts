/** Whether the contenders do the same work: their losses, step by step, from the same weights and batch. */
import { KronogradError } from '../errors.js';
import type { Contender } from './contender.js';

/**
 * Relative. Float32 sums in another order differ by some 1e-7 over 50 steps; a wrong gradient or update shows in the
 * second step already, at 1e-3 and more.
 */
export const LOSS_TOLERANCE = 1e-5;

export interface Agreement {
  /** The largest relative difference from the first contender's loss; null where the work has no loss. */
  readonly lossError: number | null;
  /** Steps compared, the first included. */
  readonly steps: number;
}

export interface AgreementOptions {
  readonly steps: number;
  /** A contender that has used so much time is compared over fewer steps, but no fewer than 2. */
  readonly milliseconds: number;
}

/**
 * Moves every contender, fresh from its first step, on by single steps.
 * @throws KronogradError DATA when a loss is off, with the engine and the step: its time would mean nothing.
 */
export async function compareLosses(
  contenders: readonly Contender[],
  { steps, milliseconds }: AgreementOptions,
): Promise<Agreement[]> {
  const all: (number | null)[][] = [];
  for (const contender of contenders) {
    const losses = [await contender.loss()];
    let spent = 0;
    while (losses[0] !== null && losses.length < steps && (losses.length < 2 || spent < milliseconds)) {
      spent += await contender.run(1);
      losses.push(await contender.loss());
    }
    all.push(losses);
  }
  const reference = all[0] ?? [];
  return contenders.map((contender, c) => {
    const losses = all[c]!;
    if (losses[0] === null) return { lossError: null, steps: 0 };
    let worst = 0;
    const compared = Math.min(losses.length, reference.length);
    for (let n = 0; n < compared; n++) {
      const error = Math.abs(losses[n]! - reference[n]!) / Math.abs(reference[n]!);
      if (!(error <= LOSS_TOLERANCE))
        throw new KronogradError(
          'DATA',
          `the loss of step ${n + 1} is ${losses[n]} on ${contender.engine} (${contender.backend}) and ${reference[n]} on ${contenders[0]!.engine} (${contenders[0]!.backend})`,
          {
            where: `${contender.engine}, ${contender.adapter}`,
            fix: 'do not compare their times: they do not do the same work; check this engine with kronograd verify',
          },
        );
      worst = Math.max(worst, error);
    }
    return { lossError: worst, steps: compared };
  });
}
