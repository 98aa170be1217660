/** The scheduler: a program in, stages and a memory plan out. */
import type { Program } from '../program/program.js';
import { distribute } from './distribute.js';
import { lower } from './lower.js';
import { dropDeadStores, planMemory } from './memory.js';
import type { Schedule } from './schedule.js';

export function schedule(program: Program): Schedule {
  const { steps, allocations } = lower(distribute(program));
  return planMemory(dropDeadStores(steps, allocations), allocations);
}
