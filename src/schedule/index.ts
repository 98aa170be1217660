/** The scheduler: a program in, stages and a memory plan out. */
import type { Program } from '../program/program.js';
import { distribute } from './distribute.js';
import { lower } from './lower.js';
import { dropDeadStores, planMemory } from './memory.js';
import { pipeline } from './pipeline.js';
import type { LabelledStage, Loop, Schedule } from './schedule.js';

export function schedule(program: Program): Schedule {
  const { steps, allocations } = lower(distribute(program));
  const pipelined = steps.flatMap((step): (LabelledStage | Loop)[] =>
    step.kind === 'loop' ? pipeline(step) : [step],
  );
  return planMemory(dropDeadStores(pipelined, allocations), allocations);
}
