/** A diagnosis as a chart: what is left of errors, and of the largest they could be, by lag. */
import { lineChart, type Series } from '../plot/line-chart.js';
import type { Diagnosis } from './diagnose.js';

/** An SVG document. Both kinds of lines are 1 at lag 0. */
export function diagnosisChart({ layers }: Diagnosis, title: string): string {
  const line = (name: string, values: readonly number[]): Series => ({
    name,
    points: values.map((value, lag) => [lag, value]),
  });
  return lineChart({
    title,
    x: { label: 'lag, steps before the end' },
    y: { label: 'relative to lag 0', scale: 'log' },
    series: layers.flatMap(({ name, byLag: { errorSignal, product } }) => [
      line(
        `${name}: |dE/ds| of the last loss`,
        errorSignal.map((norm) => norm / errorSignal[0]!),
      ),
      line(`${name}: largest singular value`, product),
    ]),
  });
}
