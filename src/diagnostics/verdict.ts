/** What the numbers of a layer say, in words. */

/**
 * By how much the error signal of the last step's loss changes from the last state to the first: below `vanishing` of it
 * remains, or it is beyond `exploding` times as large.
 */
export const VERDICT = { vanishing: 0.01, exploding: 100 };

export type VerdictKind = 'vanishing' | 'exploding' | 'kept' | 'no error' | 'one step';

export interface Verdict {
  readonly kind: VerdictKind;
  /** The geometric mean of the change in one step back; null where there is none, or no number for it. */
  readonly perStep: number | null;
  /** What remains at the longest lag, 1 for all; null where there is nothing to remain, or no number for it. */
  readonly remaining: number | null;
  /** A sentence with the numbers. */
  readonly text: string;
}

/** `signals`: |dE_T / ds[T - k]| for k = 0, 1, ... */
export function verdictOn(layer: string, signals: readonly number[]): Verdict {
  const lag = signals.length - 1;
  const [first] = signals as [number];
  const nothing = (kind: VerdictKind, what: string): Verdict => ({
    ...{ kind, perStep: null, remaining: null, text: `${layer}: ${what}` },
  });
  if (!(first > 0)) return nothing('no error', "no error of the last step's loss reaches the state");
  if (lag < 1) return nothing('one step', 'a single step has no flow back');
  const remaining = signals[lag]! / first;
  const steps = `${lag} step${lag === 1 ? '' : 's'}`;
  if (!Number.isFinite(remaining))
    return {
      ...{ kind: 'exploding', perStep: null, remaining: null },
      text: `${layer}: error signals are beyond all numbers after ${steps}: exploding`,
    };
  const perStep = remaining ** (1 / lag);
  const kind =
    remaining < VERDICT.vanishing ? 'vanishing' : remaining > VERDICT.exploding ? 'exploding' : 'kept';
  const change = remaining < 1 ? 'shrink' : 'grow';
  const rest =
    remaining < 1
      ? `after ${steps} ${short(remaining)} of them remain`
      : `after ${steps} they are ${short(remaining)} times as large`;
  return {
    ...{ kind, perStep, remaining },
    text: `${layer}: error signals ${change} by ${short(perStep)} per step; ${rest}: ${kind}`,
  };
}

/** 0.83, 12.4, 6.0e-4 */
export const short = (x: number): string =>
  x !== 0 && (Math.abs(x) < 0.01 || Math.abs(x) >= 1e4)
    ? x.toExponential(1)
    : String(Number(x.toPrecision(3)));
