/** Numbers of steps as functions of how long before the end they are. */
import type { LayerTrace } from './layer-trace.js';

/** Of each sample, the steps that were taken, the last one first. */
export function takenSteps({ steps, samples, taken }: LayerTrace): number[][] {
  return Array.from({ length: samples }, (_, sample) =>
    Array.from({ length: steps }, (_, i) => steps - 1 - i).filter(
      (step) => taken[step * samples + sample] === 1,
    ),
  );
}

/** The mean over samples of numbers [T, r], for the last step taken of each sample, the one before it, ... */
export function meanByLag(layer: LayerTrace, numbers: Float64Array): number[] {
  const steps = takenSteps(layer);
  const longest = Math.max(...steps.map(({ length }) => length));
  return Array.from({ length: longest }, (_, lag) => {
    const there = steps.flatMap((own, sample) =>
      lag < own.length ? [numbers[own[lag]! * layer.samples + sample]!] : [],
    );
    return there.reduce((total, x) => total + x, 0) / there.length;
  });
}
