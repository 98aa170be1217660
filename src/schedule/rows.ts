/**
 * Which loops a workgroup can take some rows of the batch through by itself. Between workgroups of one dispatch there is
 * no order, so whatever one of them writes in the course of the loop, no other may read or write: values flow
 * only within the same rows.
 */
import type { TiledStage } from '../../kernels/task.js';
import { accessesOf, divisibleAxes, type StageAccess } from './accesses.js';
import { areDisjoint, type Footprint, footprintOf, rowsAreDisjoint, type Times } from './footprint.js';
import type { Loop } from './schedule.js';

export interface RowPlan {
  /** Rows of the batch. */
  readonly rows: number;
  readonly stages: readonly TiledStage[];
}

/** An operand, and what it touches in the loop: all of it, and the part of row 0. */
interface Operand {
  readonly isWrite: boolean;
  readonly all: Footprint;
  readonly row: Footprint;
  /** Elements from a row to the next; 0: every row touches the same. */
  readonly pitch: number;
}

/** The loop's stages with the axes of their rows; null when a step mixes rows. */
export function planRows(loop: Loop): RowPlan | null {
  const times = timesOf(loop);
  const stages = loop.stages.map(({ stage }) => ({ stage, accesses: accessesOf(stage) }));
  for (const rows of rowCounts(loop)) {
    const chosen: { axis: number; operands: Operand[] }[] = [];
    // An axis for each stage in turn; back to the one before when none suits those chosen so far.
    const choose = (): boolean => {
      const next = stages[chosen.length];
      if (next === undefined) return true;
      for (const { axis, size } of divisibleAxes(next.stage)) {
        if (size !== rows) continue;
        const operands = next.accesses.map((access) => operandOf(access, axis, times));
        const others = [...chosen.flatMap((c) => c.operands), ...operands];
        if (!operands.every((a) => others.every((b) => keepToTheirRows(a, b, rows)))) continue;
        chosen.push({ axis, operands });
        if (choose()) return true;
        chosen.pop();
      }
      return false;
    };
    if (choose())
      return { rows, stages: stages.map(({ stage }, n) => ({ stage, rowAxis: chosen[n]!.axis })) };
  }
  return null;
}

export const timesOf = ({ first, count, direction }: Pick<Loop, 'first' | 'count' | 'direction'>): Times => ({
  first,
  last: first + direction * (count - 1),
});

/** What the number of rows may be, the most first: more rows are more workgroups. */
function rowCounts({ stages }: Loop): number[] {
  const { stage } = stages[0]!;
  const sizes = stage.kind === 'gemm' ? [stage.rows] : accessesOf(stage).flatMap(({ shape }) => shape);
  return [...new Set(sizes)].sort((a, b) => b - a);
}

function operandOf(access: StageAccess, axis: number, times: Times): Operand {
  return {
    isWrite: access.direction === 'write',
    all: footprintOf(access, times),
    row: footprintOf(access, times, axis),
    pitch: access.inDomain ? access.ref.strides[axis]! : 0,
  };
}

/** Whether two operands never touch the same element in different rows, unless both only read. */
function keepToTheirRows(a: Operand, b: Operand, rows: number): boolean {
  if (rows === 1 || !(a.isWrite || b.isWrite) || areDisjoint(a.all, b.all)) return true;
  return a.pitch === b.pitch && rowsAreDisjoint(a.row, b.row, a.pitch, rows);
}
