/** Which tasks wait for which: those of one level wait for none of each other. */
import type { Stage } from '../../kernels/stage.js';
import { dispatchesOf, type Part, stagesOf, type Task } from '../../kernels/task.js';
import { accessesOf } from './accesses.js';
import { areDisjoint, type Footprint, footprintOf, once, type Times } from './footprint.js';

/** A stage at all the times at which it runs. */
export interface TimedStage {
  readonly stage: Stage;
  readonly times: Times;
}

/** The stages of a part, at the times of its dispatches from one number to before another: all of them unless given. */
export function timedStages(part: Part, from = 0, to = dispatchesOf(part)): TimedStage[] {
  if (part.kind !== 'sequence' && part.kind !== 'step') return [{ stage: part, times: once }];
  const { first, count, direction, chunk, delay } = part;
  const begin = Math.max(0, from * chunk - delay);
  const end = Math.min(count, to * chunk - delay);
  if (begin >= end) return [];
  // The stage of a step runs at the first time of each dispatch.
  const last = part.kind === 'step' ? end - 1 - ((end - 1 - begin) % chunk) : end - 1;
  const times = { first: first + direction * begin, last: first + direction * last };
  return stagesOf(part).map((stage) => ({ stage, times }));
}

/** The stages of a task at all times at which they run. */
export const allTimedStages = (task: Task): TimedStage[] =>
  task.kind === 'parallel' ? task.parts.flatMap((part) => timedStages(part)) : timedStages(task);

export interface Traffic {
  readonly reads: readonly Footprint[];
  readonly writes: readonly Footprint[];
}

/**
 * A number for each list of stages, from 0 on. Lists of one level may run side by side or in any order, after those
 * of all levels below: none reads or writes what another one writes.
 */
export function levelsOf(tasks: readonly (readonly TimedStage[])[]): number[] {
  const traffic = tasks.map(trafficOf);
  const levels: number[] = [];
  traffic.forEach((own, n) => {
    let level = 0;
    for (let earlier = 0; earlier < n; earlier++)
      if (levels[earlier]! >= level && conflict(own, traffic[earlier]!)) level = levels[earlier]! + 1;
    levels.push(level);
  });
  return levels;
}

export function trafficOf(stages: readonly TimedStage[]): Traffic {
  const all = stages.flatMap(({ stage, times }) =>
    accessesOf(stage).map((access) => ({
      direction: access.direction,
      footprint: footprintOf(access, times),
    })),
  );
  const of = (wanted: 'read' | 'write') =>
    all.filter(({ direction }) => direction === wanted).map(({ footprint }) => footprint);
  return { reads: of('read'), writes: of('write') };
}

const meet = (xs: readonly Footprint[], ys: readonly Footprint[]) =>
  xs.some((x) => ys.some((y) => !areDisjoint(x, y)));

/** Whether one writes what the other reads or writes. */
export const conflict = (a: Traffic, b: Traffic): boolean =>
  meet(a.writes, b.writes) || meet(a.writes, b.reads) || meet(a.reads, b.writes);
