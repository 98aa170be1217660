/** Time series with labels: T rows in, the yes-or-no labels of the last of them out. */
import { KronogradError } from '../errors.js';
import { requireInteger } from '../ranges.js';
import { type RowRange, type RowSeries, RowWindows } from './row-windows.js';
import type { Slot, TargetSpec } from './sequences.js';

export interface LabelledSeries extends RowSeries {
  /** [n, c] of 0 and 1: element (i, k) is at index i * c + k. */
  readonly labels: Uint8Array;
}

/** The windows of a range of rows, each with the c labels of its last row as values of 0 or 1. */
export class LabelWindows extends RowWindows<LabelledSeries> {
  readonly target: TargetSpec;

  /** Throws as RowWindows, and SHAPE unless there are as many labels for each row. */
  constructor(series: LabelledSeries, rows?: RowRange) {
    super(series, rows, { ahead: 0 });
    const { labels, values, columns } = series;
    const n = values.length / columns;
    if (labels.length % n !== 0)
      throw new KronogradError('SHAPE', `${labels.length} labels are not as many for each of ${n} rows`, {
        where: 'labels',
        fix: 'give every row as many labels',
      });
    const size = requireInteger(labels.length / n, 'labels of a row', { min: 1 });
    this.target = { kind: 'values', size, perStep: false };
  }

  /** The labels of all windows, [count, c]. */
  get labels(): Uint8Array {
    const c = this.target.size;
    return this.series.labels.subarray(this.lastRow(0) * c, this.rows.end * c);
  }

  write(index: number, slot: Slot): void {
    this.writeInputs(index, slot);
    const c = this.target.size;
    const row = this.lastRow(index);
    slot.targets.set(this.series.labels.subarray(row * c, (row + 1) * c), slot.place * c);
  }
}
