/** One run: an optimizer on a problem until it is solved or the time is up. */
import type { Backend } from '../../src/backend/backend.js';
import type { Contender } from './contenders.js';
import { type Problem, SOLVED } from './problems.js';

export interface Look {
  readonly steps: number;
  /** Of the processor, for the steps alone: neither making batches nor looking counts. */
  readonly seconds: number;
  /** On the test sequences. */
  readonly score: number;
}

export interface Run {
  readonly optimizer: string;
  readonly settings: string;
  readonly isSolved: boolean;
  readonly looks: readonly Look[];
}

/** Of the processor, so that other work on the machine counts little. */
const processorSeconds = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

export async function race(
  backend: Backend,
  problem: Problem,
  contender: Contender,
  budget: number,
): Promise<Run> {
  const { optimizer, settings, samples, batchOf, lookEvery } = contender;
  using runner = await contender.start(backend, problem);
  const looks: Look[] = [];
  let seconds = 0;
  let score = Number.POSITIVE_INFINITY;
  for (let steps = 1; seconds < budget && !(score < SOLVED); steps++) {
    const parts = problem.batch(samples, batchOf(steps - 1));
    const before = processorSeconds();
    await runner.step(parts);
    seconds += processorSeconds() - before;
    if (steps % lookEvery !== 0 && seconds < budget) continue;
    score = await problem.score(runner.theta);
    looks.push({ steps, seconds, score });
  }
  return { optimizer, settings, isSolved: score < SOLVED, looks };
}
