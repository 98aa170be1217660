/** Where an axis has its marks, and how its numbers read. */

export type Scale = 'linear' | 'log';

export interface Axis {
  readonly scale: Scale;
  readonly from: number;
  readonly to: number;
  readonly ticks: readonly number[];
}

/**
 * The axis that shows all numbers: round ends and at most about seven marks. On a log scale the marks are powers of
 * ten, or 1, 2 and 5 times them where the numbers span less than two of those. Numbers that cannot be shown do not count.
 */
export function axisFor(numbers: readonly number[], scale: Scale): Axis {
  const shown = numbers.filter((x) => isShown(x, scale));
  if (shown.length === 0) return { scale, from: 1, to: 10, ticks: [1, 10] };
  const low = shown.reduce((a, b) => Math.min(a, b));
  const high = shown.reduce((a, b) => Math.max(a, b));
  return scale === 'log' ? logAxis(low, high) : linearAxis(low, high);
}

/** Whether a number has a place on an axis: it is finite, and above 0 where the scale asks for that. */
export const isShown = (x: number, scale: Scale): boolean =>
  Number.isFinite(x) && (scale === 'linear' || x > 0);

/** The place of a number on an axis: 0 at its beginning, 1 at its end. */
export function placeOn({ scale, from, to }: Axis, x: number): number {
  if (scale === 'linear') return (x - from) / (to - from);
  return (Math.log(x) - Math.log(from)) / (Math.log(to) - Math.log(from));
}

/** A tick as it is written: short, and with an exponent where many zeros would be needed. */
export function tickText(x: number): string {
  const size = Math.abs(x);
  if (x !== 0 && (size >= 1e5 || size < 1e-3)) return x.toExponential().replace('e+', 'e');
  return String(Number(x.toPrecision(6)));
}

function linearAxis(low: number, high: number): Axis {
  // A single number, or what ticks of 12 digits would not tell from one, gets room on both sides.
  const size = Math.max(Math.abs(low), Math.abs(high));
  const isPoint = high - low <= size * 1e-9 || size < 1e-300;
  const margin = isPoint ? (size < 1e-300 ? 1 : size / 2) : 0;
  const [least, most] = [low - margin, high + margin];
  const raw = (most - least) / 6;
  const decade = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * decade).find((each) => each >= raw * (1 - 1e-9))!;
  const [first, last] = [Math.floor(least / step + 1e-9), Math.ceil(most / step - 1e-9)];
  // Through 12 digits, so that 3 * 0.1 is 0.3.
  const ticks = range(first, last).map((i) => Number((i * step).toPrecision(12)));
  return { scale: 'linear', from: ticks[0]!, to: ticks.at(-1)!, ticks };
}

function logAxis(low: number, high: number): Axis {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  if (high / low < 100) {
    const candidates = range(first - 1, last + 1).flatMap((e) => [1, 2, 5].map((m) => Number(`${m}e${e}`)));
    const begin = candidates.findIndex((x) => x > low) - 1;
    const end = candidates.findIndex((x) => x >= high);
    const ticks = candidates.slice(begin, Math.max(end, begin + 1) + 1);
    return { scale: 'log', from: ticks[0]!, to: ticks.at(-1)!, ticks };
  }
  const stride = Math.ceil((last - first) / 7);
  const ticks = range(0, Math.ceil((last - first) / stride)).map((i) => Number(`1e${first + i * stride}`));
  return { scale: 'log', from: ticks[0]!, to: ticks.at(-1)!, ticks };
}

const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i);
