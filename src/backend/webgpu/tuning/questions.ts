/**
 * What of a schedule is worth measuring: where the rules choose between ways that may be about as fast. Each is measured
 * by itself; how tasks share a dispatch side by side stays a matter of rules.
 */
import { describeStage } from '../../../../kernels/describe.js';
import { generateKernel } from '../../../../kernels/index.js';
import type { KernelLimits } from '../../../../kernels/kernel.js';
import { halvesAmong, type ProductTile, productKernel, productWays } from '../../../../kernels/product.js';
import { type IsHalf, productKey } from '../../../../kernels/product_key.js';
import { timeAlone } from '../../../../kernels/sharing.js';
import type { GemmStage, Stage } from '../../../../kernels/stage.js';
import { type SequenceTask, startsOf } from '../../../../kernels/task.js';
import { type Composition, chooseSequence, sequencesByTime, timeApart } from '../../../schedule/compose.js';
import type { Loop, Schedule } from '../../../schedule/schedule.js';
import type { Dispatch } from './stopwatch.js';

/** One way to do it. */
export interface Candidate<Choice> {
  /** As it is remembered. */
  readonly name: string;
  readonly choice: Choice;
  /** What is timed. */
  readonly dispatches: () => readonly Dispatch[];
}

export interface Question<Choice> {
  /** Kind and sizes, and whatever else the answer depends on, except for the device. */
  readonly key: string;
  /** Two or more, the rule's choice first. */
  readonly candidates: readonly Candidate<Choice>[];
}

/** Shapes of a sequence that are tried for a loop. */
const SHAPES = 3;

/** Ways that are expected to take more than this many times the least are not tried: so wrong is no estimate. */
const HOPELESS = 4;

/** Steps of a loop that are timed. */
const STEPS = 16;

type Timed<Choice> = Candidate<Choice> & { readonly time: number };

/** Those worth a try, the chosen one first; null where it is alone. */
function questionOf<Choice>(
  key: string,
  ways: readonly Timed<Choice>[],
  chosen: Timed<Choice>,
): Question<Choice> | null {
  const least = Math.min(...ways.map(({ time }) => time));
  const others = ways.filter((way) => way !== chosen && way.time <= HOPELESS * least);
  return others.length === 0 ? null : { key, candidates: [chosen, ...others] };
}

/** The tile of each product that has, or may have, a dispatch to itself; what the most time is expected to go into first. */
export function productQuestions(
  { buffers, steps }: Schedule,
  limits: KernelLimits,
  composition: Composition,
): Question<ProductTile>[] {
  const isHalf = halvesAmong(buffers);
  const found = new Map<string, { stage: GemmStage; time: number; at: number }>();
  const add = (stage: Stage, count: number, at: number) => {
    if (stage.kind !== 'gemm') return;
    const key = productKey(stage, isHalf);
    const time = count * timeAlone(stage, limits) + (found.get(key)?.time ?? 0);
    found.set(key, { stage, time, at });
  };
  for (const step of steps)
    if (step.kind === 'stage') add(step.stage, 1, 0);
    else if (mayRunApart(step, limits, composition))
      for (const { stage } of step.stages) add(stage, step.count, step.first);
  return [...found]
    .sort(([, a], [, b]) => b.time - a.time)
    .flatMap(([key, { stage, at }]) => {
      const ways = productWays(stage, isHalf, limits).map(({ tile, name, time }) => ({
        ...{ name, time, choice: tile },
        dispatches: () => [{ kernel: productKernel(stage, buffers, limits, tile), time: at }],
      }));
      return questionOf(key, ways, ways[0]!) ?? [];
    });
}

function mayRunApart(loop: Loop, limits: KernelLimits, composition: Composition): boolean {
  if (composition === 'none' || chooseSequence(loop, limits, composition) === null) return true;
  return (
    composition === 'auto' && timeApart(loop, limits) <= HOPELESS * sequencesByTime(loop, limits)[0]!.time
  );
}

/** Of each loop that can be one task, whether it should, and in which shape; null for its steps apart. */
export function loopQuestions(
  { buffers, steps }: Schedule,
  limits: KernelLimits,
): Map<Loop, Question<SequenceTask | null>> {
  const questions = new Map<Loop, Question<SequenceTask | null>>();
  for (const loop of steps) {
    if (loop.kind !== 'loop') continue;
    const sequences = sequencesByTime(loop, limits).slice(0, SHAPES);
    if (sequences.length === 0) continue;
    const count = Math.min(loop.count, STEPS);
    const apart: Timed<null> = {
      name: 'apart',
      choice: null,
      time: timeApart(loop, limits),
      dispatches: () => {
        const kernels = loop.stages.map(({ stage }) => generateKernel(stage, buffers, limits));
        return Array.from({ length: count }, (_, n) => loop.first + n * loop.direction).flatMap((time) =>
          kernels.map((kernel) => ({ kernel, time })),
        );
      },
    };
    const inOne = sequences.map(({ task, time }): Timed<SequenceTask> => {
      const { tileRows, threads } = task.shape;
      return {
        name: `${threads} invocations for ${tileRows} rows`,
        choice: task,
        time,
        dispatches: () => {
          const part = { ...task, count, chunk: Math.min(task.chunk, count) };
          const kernel = generateKernel(part, buffers, limits);
          return startsOf(part).map((time) => ({ kernel, time }));
        },
      };
    });
    const ways = [apart, ...inOne];
    const chosen = chooseSequence(loop, limits, 'auto') === null ? apart : inOne[0]!;
    const question = questionOf<SequenceTask | null>(loopKey(loop, halvesAmong(buffers)), ways, chosen);
    if (question !== null) questions.set(loop, question);
  }
  return questions;
}

const loopKey = ({ count, stages }: Loop, isHalf: IsHalf): string =>
  `${count} steps, ${Math.min(count, STEPS)} timed, of ${stages
    .map(({ stage }) => (stage.kind === 'gemm' ? productKey(stage, isHalf) : describeStage(stage)))
    .join('; ')}`;
