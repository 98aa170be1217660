/** Whether the contenders do the same work: their losses, step by step, from the same weights and batch. */
import { KronogradError } from '../errors.js';
import { type Contender, failureOf } from './contender.js';

/**
 * Relative. Float32 sums in another order differ by some 1e-7 over 50 steps, and the approximations of exp and tanh
 * in the peers' WebAssembly by some 1e-5; a wrong gradient or update shows in the second step already, at 1e-3 and
 * more.
 */
export const LOSS_TOLERANCE = 1e-4;

/** In mixed precision, from the losses in float32. Roundings of 2^-11 leave differences of some 1e-5 over 50 steps. */
export const MIXED_LOSS_TOLERANCE = 1e-3;

export interface Agreement {
  /**
   * The largest relative difference from the loss of the contender, of those in float32, that did the most steps; null
   * where the work has no loss.
   */
  readonly lossError: number | null;
  /** Steps compared, the first included. */
  readonly steps: number;
  /** What ended the contender's steps early, such as a lost device. */
  readonly failure: KronogradError | null;
}

export interface AgreementOptions {
  readonly steps: number;
  /** A contender that has used so much time is compared over fewer steps, but no fewer than 2. */
  readonly milliseconds: number;
}

/**
 * Moves every contender, fresh from its first step, on by single steps. One that fails is not compared.
 * @throws KronogradError DATA when a loss is off, with the engine and the step: its time would mean nothing.
 */
export async function compareLosses(
  contenders: readonly Contender[],
  { steps, milliseconds }: AgreementOptions,
): Promise<Agreement[]> {
  const all: (number | null)[][] = [];
  const failures: (KronogradError | null)[] = [];
  for (const contender of contenders) {
    const losses: (number | null)[] = [];
    all.push(losses);
    failures.push(
      await failureOf(async () => {
        losses.push(await contender.loss());
        let spent = 0;
        while (losses[0] !== null && losses.length < steps && (losses.length < 2 || spent < milliseconds)) {
          spent += await contender.run(1);
          losses.push(await contender.loss());
        }
      }),
    );
  }
  // Everyone is held against whoever did the most steps: our own first backend, where it is no slower than
  // others.
  const isMixed = contenders.map(({ precision }) => precision === 'mixed');
  const lengths = all.map(({ length }, c) => (failures[c] === null && !isMixed[c] ? length : 0));
  const longest = Math.max(...lengths);
  const r = lengths.indexOf(longest);
  return contenders.map((contender, c) => {
    const failure = failures[c]!;
    if (failure !== null || all[c]![0] === null) return { lossError: null, steps: 0, failure };
    let worst = 0;
    const compared = all[c]!.slice(0, longest);
    compared.forEach((loss, n) => {
      const expected = all[r]![n]!;
      const error = Math.abs(loss! - expected) / Math.abs(expected);
      if (!(error <= (isMixed[c] ? MIXED_LOSS_TOLERANCE : LOSS_TOLERANCE)))
        throw disagreement(n, [contender, loss!], [contenders[r]!, expected]);
      worst = Math.max(worst, error);
    });
    return { lossError: worst, steps: compared.length, failure };
  });
}

type Verdict = readonly [contender: Contender, loss: number];

function disagreement(n: number, [one, loss]: Verdict, [other, expected]: Verdict): KronogradError {
  const who = ({ engine, backend }: Contender) => `${engine} (${backend})`;
  return new KronogradError(
    'DATA',
    `the loss of step ${n + 1} is ${loss} on ${who(one)} and ${expected} on ${who(other)}`,
    {
      where: `${one.engine}, ${one.adapter}`,
      fix: 'do not compare their times, they do not do the same work: check this engine with kronograd verify, or leave the peer out',
    },
  );
}
