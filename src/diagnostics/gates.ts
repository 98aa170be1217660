/** How far the gates of a cell are open, over the steps that were taken. */
import type { Numbers } from '../backend/backend.js';
import type { LayerTrace } from './layer-trace.js';

/** A gate below the first is shut, above the second open: in both its derivative k = g (1 - g) is below 0.0475. */
export const SATURATION = { shut: 0.05, open: 0.95 };

export interface GateStatistics {
  readonly mean: number;
  /** The share of all units and steps at which the gate is below SATURATION.shut. */
  readonly shut: number;
  /** The share at which it is above SATURATION.open. */
  readonly open: number;
}

/** Of gates [T, r, features] by their names. */
export function gateStatistics(
  { taken }: LayerTrace,
  gates: Readonly<Record<string, Numbers>>,
): Record<string, GateStatistics> {
  return Object.fromEntries(
    Object.entries(gates).map(([name, values]) => {
      const features = values.length / taken.length;
      const counted = Array.from(values).filter((_, i) => taken[Math.floor(i / features)] === 1);
      const share = (holds: (g: number) => boolean) => counted.filter(holds).length / counted.length;
      const mean = counted.reduce((total, g) => total + g, 0) / counted.length;
      return [
        name,
        { mean, shut: share((g) => g < SATURATION.shut), open: share((g) => g > SATURATION.open) },
      ];
    }),
  );
}
