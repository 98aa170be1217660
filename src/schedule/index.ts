/** The scheduler: a program in, stages and a memory plan out. */
import type { Program } from '../program/program.js';
import { distribute } from './distribute.js';
import { lower } from './lower.js';
import { dropDeadStores, planMemory } from './memory.js';
import type { Schedule } from './schedule.js';

/**
 * The steps, by their numbers, of a schedule in which no two temporaries share memory that are to overlap: then they
 * wait for each other no more than they must.
 */
export type Overlapping = (apart: Schedule) => readonly (readonly number[])[];

/** @param overlapping what needs memory of its own to run side by side; nothing unless given. */
export function schedule(program: Program, overlapping?: Overlapping): Schedule {
  const { steps, allocations } = lower(distribute(program));
  const kept = dropDeadStores(steps, allocations);
  const groups = overlapping?.(planMemory(kept, allocations, [[...kept.keys()]]));
  return planMemory(kept, allocations, groups);
}
