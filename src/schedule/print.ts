/** A schedule that a person can read: dispatch by dispatch, with its work and its traffic. */
import { type Cost, costOf, elementBytes } from '../../kernels/cost.js';
import type { Stage } from '../../kernels/stage.js';
import { arenaBytesOf, type LabelledStage, type Loop, type Schedule } from './schedule.js';

export interface ScheduleTotals {
  readonly dispatches: number;
  readonly flops: number;
  readonly bytes: number;
}

/** What one run costs, loops counted out. @param halves whether a half has 2 bytes */
export function totals(schedule: Schedule, halves = true): ScheduleTotals {
  let dispatches = 0;
  let flops = 0;
  let bytes = 0;
  const costOfStage = costsIn(schedule, halves);
  for (const step of schedule.steps) {
    const times = step.kind === 'loop' ? step.count : 1;
    for (const { stage } of stagesOf(step)) {
      const cost = costOfStage(stage);
      dispatches += times;
      flops += times * cost.flops;
      bytes += times * cost.bytes;
    }
  }
  return { dispatches, flops, bytes };
}

const stagesOf = (step: LabelledStage | Loop): readonly LabelledStage[] =>
  step.kind === 'loop' ? step.stages : [step];

const costsIn = ({ buffers }: Schedule, halves: boolean): ((stage: Stage) => Cost) => {
  const bytesOf = elementBytes(buffers, { halves });
  return (stage) => costOf(stage, bytesOf);
};

export function printSchedule(schedule: Schedule): string {
  const lines: string[] = [];
  const costOfStage = costsIn(schedule, true);
  const line = (indent: string, { label, stage }: LabelledStage, times: number) => {
    const { flops, bytes } = costOfStage(stage);
    const count = times === 1 ? '' : ` x ${times}`;
    lines.push(
      `${indent}${label.padEnd(60 - indent.length)} ${si(flops * times)}flop ${si(bytes * times)}B${count}`,
    );
  };
  for (const step of schedule.steps) {
    if (step.kind === 'stage') {
      line('', step, 1);
      continue;
    }
    const last = step.first + step.direction * (step.count - 1);
    lines.push(`for t = ${step.first}..${last}`);
    for (const stage of step.stages) line('  ', stage, step.count);
  }
  const { dispatches, flops, bytes } = totals(schedule);
  const arena = arenaBytesOf(schedule, true);
  lines.push(`${dispatches} dispatches, ${si(flops)}flop, ${si(bytes)}B moved, arena ${si(arena)}B`);
  return lines.join('\n');
}

/** A number with three digits and an SI prefix. */
function si(x: number): string {
  const prefixes = ['', 'k', 'M', 'G', 'T'];
  const power = x > 0 ? Math.min(prefixes.length - 1, Math.max(0, Math.floor(Math.log10(x) / 3))) : 0;
  return `${(x / 1000 ** power).toPrecision(3)} ${prefixes[power]}`;
}
