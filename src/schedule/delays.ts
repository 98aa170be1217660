/** How far tasks in the same dispatches must be behind each other. */
import { dispatchesOf, type Part } from '../../kernels/task.js';
import { accessesOf, type StageAccess } from './accesses.js';
import { areDisjoint, type Footprint, footprintOf } from './footprint.js';
import { timedStages } from './levels.js';

/** An operand of a part. */
interface Operand {
  readonly access: StageAccess;
  /** What it touches in dispatches of the part from one number to before another, in any of them unless given. */
  readonly touched: (from?: number, to?: number) => Footprint | null;
  readonly dispatches: number;
}

function operandsOf(part: Part): Operand[] {
  const dispatches = dispatchesOf(part);
  return timedStages(part).flatMap(({ stage }, n) =>
    accessesOf(stage).map((access) => ({
      access,
      touched: (from, to) => {
        const timed = timedStages(part, from, to)[n];
        return timed === undefined ? null : footprintOf(access, timed.times);
      },
      dispatches,
    })),
  );
}

const meet = (a: Footprint | null, b: Footprint | null) => a !== null && b !== null && !areDisjoint(a, b);

/** Pairs of operands, one of an earlier part and one of a later, that touch the same element, unless both only read. */
function* meetings(earlier: readonly Part[], later: readonly Part[]): Generator<[Operand, Operand]> {
  const theirs = earlier.flatMap(operandsOf);
  for (const b of later.flatMap(operandsOf))
    for (const a of theirs)
      if (
        (a.access.direction === 'write' || b.access.direction === 'write') &&
        meet(a.touched(), b.touched())
      )
        yield [a, b];
}

/** Whether the last of several dispatches of the earlier parts touches what the first of the later ones does. */
export function waitForAll(earlier: readonly Part[], later: readonly Part[]): boolean {
  for (const [a, b] of meetings(earlier, later))
    if (a.dispatches > 1 && meet(a.touched(a.dispatches - 1), b.touched(0, 1))) return true;
  return false;
}

/**
 * By how many dispatches each of several groups of parts must be delayed, the groups being in the order in which they run
 * one after the other: what one group's dispatch and an earlier group's touch, unless both read it, they must
 * touch in that order, and not in the same dispatch.
 */
export function delaysOf(groups: readonly (readonly Part[])[]): number[] {
  const delays: number[] = [];
  for (const group of groups) {
    let delay = 0;
    delays.forEach((before, n) => {
      for (const [a, b] of meetings(groups[n]!, group)) delay = Math.max(delay, before + lagOf(a, b));
    });
    delays.push(delay);
  }
  return delays;
}

/** The least lag with which no dispatch k of b meets a dispatch k + lag of a, or a later one. */
function lagOf(a: Operand, b: Operand): number {
  const isEnough = (lag: number) => {
    for (let k = 0; k < b.dispatches; k++) if (meet(a.touched(k + lag), b.touched(k, k + 1))) return false;
    return true;
  };
  let lag = 0;
  while (!isEnough(lag)) lag++;
  return lag;
}
