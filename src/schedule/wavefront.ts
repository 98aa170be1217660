/**
 * Layers of a stack in the same dispatches, each behind the one that it reads. Time is cut into chunks, and what is
 * between the loops, such as the product of all steps' inputs, into pieces of as many steps:
 *
 *     dispatch     0         1         2         3       ...
 *     layer 1      chunk 0   chunk 1   chunk 2   chunk 3
 *     product                chunk 0   chunk 1   chunk 2
 *     layer 2                          chunk 0   chunk 1
 *
 * A loop on a few rows of the batch leaves most of a large device idle: there the other layers run. Every part does the
 * arithmetic that it does alone, in the same order.
 */
import type { KernelLimits } from '../../kernels/kernel.js';
import { timeOfTask } from '../../kernels/sharing.js';
import { costOfTask, dispatchesOf, type TimedPart } from '../../kernels/task.js';
import type { Composition } from './compose.js';
import { type ComposedStep, type LabelledTask, MOST_FLOPS, tasksOf } from './composed.js';
import { delaysOf, waitForAll } from './delays.js';
import { conflict, trafficOf } from './levels.js';
import { cutOf, inPieces } from './pieces.js';
import { inOne, placeSideBySide, timedStagesOf } from './side-by-side.js';

type Composed = Exclude<Composition, 'none'>;

/** What takes part: a loop or, cut where time is, a stage between loops. */
interface Member {
  readonly step: ComposedStep;
  /** Steps of time. */
  readonly length: number;
  readonly isCut: boolean;
  readonly labels: readonly string[];
  /** A part for each dispatch that a step takes; `chunk` steps in each, the last ones ending at step `length` of time. */
  readonly parts: (chunk: number, length: number) => readonly TimedPart[];
}

/** Loops that may overlap, what is between them, and what else there is. */
interface Stack {
  readonly members: readonly Member[];
  /** What may come before all of the members. */
  readonly before: readonly ComposedStep[];
  /** What comes after them. */
  readonly after: readonly ComposedStep[];
}

/** A wavefront must be expected to take less than this share of the time without it: estimates are no better. */
const CLEARLY_LESS = 0.9;

/** More chunks are dispatches of next to nothing. */
const MOST_CHUNKS = 32;

/** Where time does not matter: enough that every layer has a first, a last, and others. */
const CHUNKS = 4;

/**
 * The same steps, with loops that need not wait for each other's end in one task.
 * @param own the steps as they are best by themselves.
 * @param together the same as they may be in one task with others.
 * @returns with them the numbers of the steps that went into each such task.
 */
export function skewLayers(
  own: readonly ComposedStep[],
  together: readonly ComposedStep[],
  limits: KernelLimits,
  composition: Composed,
): { steps: ComposedStep[]; stacks: number[][] } {
  const waits = dependences(together);
  const numbers = new Map(together.map((step, n) => [step, n]));
  const alone = (list: readonly ComposedStep[]) => list.map((step) => own[numbers.get(step)!]!);
  const steps: ComposedStep[] = [];
  const stacks: number[][] = [];
  let rest = [...together];
  while (rest.length > 0) {
    const stack = isLoop(rest[0]!) ? stackFrom(rest, waits, limits) : null;
    const wave = stack && waveOf(stack, alone, limits, composition);
    if (wave) {
      steps.push(...alone(stack.before), wave);
      stacks.push(stack.members.map(({ step }) => numbers.get(step)!));
      rest = [...stack.after];
    } else steps.push(...alone(rest.splice(0, 1)));
  }
  return { steps, stacks };
}

/** What each step waits for, of those before it. */
type Waits = ReadonlyMap<ComposedStep, readonly ComposedStep[]>;

function dependences(steps: readonly ComposedStep[]): Waits {
  const traffic = steps.map((step) => trafficOf(timedStagesOf(step)));
  return new Map(
    steps.map((step, n) => [step, steps.slice(0, n).filter((_, k) => conflict(traffic[n]!, traffic[k]!))]),
  );
}

const isLoop = (step: ComposedStep): boolean =>
  step.kind === 'loop' ? step.count > 1 : step.task.kind === 'sequence' && step.task.count > 1;

/** The first step, a loop, with all loops of its kind that may overlap those before them, and what these wait for. */
function stackFrom(steps: readonly ComposedStep[], waits: Waits, limits: KernelLimits): Stack | null {
  const [seed, ...others] = steps as [ComposedStep, ...ComposedStep[]];
  let members = withSteps([], [seed], limits)!;
  const taken = new Set([seed]);
  const before: ComposedStep[] = [];
  const after = new Set<ComposedStep>();
  for (const step of others) {
    if (isLoop(step) && step.kind === seed.kind) {
      const needed = neededBy(step, after, waits);
      const more = needed && withSteps(members, [...needed, step], limits);
      if (more) {
        members = more;
        for (const each of [...needed, step]) {
          taken.add(each);
          after.delete(each);
        }
        continue;
      }
    }
    if (waits.get(step)!.some((each) => taken.has(each) || after.has(each))) after.add(step);
    else before.push(step);
  }
  return members.length > 1 ? { members, before, after: [...after] } : null;
}

/** Those of some steps that a step waits for, and that these wait for, in order; null when a loop is among them. */
function neededBy(step: ComposedStep, among: ReadonlySet<ComposedStep>, waits: Waits): ComposedStep[] | null {
  const needed = new Set([step]);
  for (const each of needed)
    for (const earlier of waits.get(each)!) {
      if (!among.has(earlier)) continue;
      if (isLoop(earlier)) return null;
      needed.add(earlier);
    }
  return [...among].filter((each) => needed.has(each));
}

/** The members and some steps more; null where one of these is not made of steps of time, waits for all, or has no room. */
function withSteps(
  members: readonly Member[],
  steps: readonly ComposedStep[],
  limits: KernelLimits,
): readonly Member[] | null {
  const all = [...members];
  for (const step of steps) {
    const next = membersOf(step, all.flatMap(stepByStep));
    for (const each of next)
      if (all.some((earlier) => waitForAll(stepByStep(earlier), stepByStep(each)))) return null;
    if (next.length === 0) return null;
    all.push(...next);
  }
  const length = lengthOf(all);
  const isEven = all.every((each) => !each.isCut || each.length === length);
  const fits = inTurn(all.map(stepByStep)).every((parts) => inOne(parts, limits) !== null);
  return isEven && fits ? all : null;
}

/** A step as members beside others; none when it is a stage that is not made of their steps. */
function membersOf(step: ComposedStep, others: readonly TimedPart[]): Member[] {
  const tasks = tasksOf(step);
  const labels = tasks.map(({ label }) => label);
  const { task } = tasks[0]!;
  if (task.kind !== 'sequence' && task.kind !== 'step') {
    if (task.kind === 'parallel') return [];
    const cut = cutOf(task, others);
    if (cut === null) return [];
    return [{ step, length: cut.steps, isCut: true, labels, parts: (chunk) => [inPieces(task, cut, chunk)] }];
  }
  const timed = tasks.map((each) => each.task as TimedPart);
  const { count } = task;
  const member = (parts: typeof timed, labels: readonly string[]): Member => ({
    ...{ step, length: count, isCut: false, labels },
    parts: (chunk, length) =>
      parts.map((part) => ({ ...part, chunk, delay: count === 1 ? 0 : (length - count) % chunk })),
  });
  // Stages of a loop of one step wait for each other like any others.
  return count === 1 ? timed.map((part, n) => member([part], [labels[n]!])) : [member(timed, labels)];
}

const stepByStep = (member: Member): readonly TimedPart[] => member.parts(1, member.length);

const lengthOf = (members: readonly Member[]): number => Math.max(...members.map(({ length }) => length));

/** The first parts of all groups, then the second ones. */
const inTurn = <T>(groups: readonly (readonly T[])[]): T[][] =>
  Array.from({ length: Math.max(...groups.map(({ length }) => length)) }, (_, n) =>
    groups.flatMap((group) => group.slice(n, n + 1)),
  );

/** The stack with `chunk` steps in a dispatch; null when that is too much for one, or if nothing is behind anything. */
function inChunks({ members }: Stack, chunk: number, limits: KernelLimits): ComposedStep | null {
  const length = lengthOf(members);
  const groups = members.map((member) => member.parts(chunk, length));
  const delays = delaysOf(groups);
  if (delays.every((delay) => delay === 0)) return null;
  const delayed = groups.map((parts, n) =>
    parts.map((part, k) => ({
      label: members[n]!.labels[k]!,
      part: { ...part, delay: part.delay + chunk * delays[n]! },
    })),
  );
  const tasks: LabelledTask[] = [];
  for (const together of inTurn(delayed)) {
    const parts = together.map(({ part }) => part);
    const flops = parts.reduce((sum, part) => sum + costOfTask({ ...part, count: chunk }).flops, 0);
    const task = flops > MOST_FLOPS ? null : inOne(parts, limits);
    if (task === null) return null;
    tasks.push({ kind: 'task', label: together.map(({ label }) => label).join(' | '), task });
  }
  const count = Math.max(...tasks.map(({ task }) => dispatchesOf(task)));
  return members[0]!.step.kind === 'task'
    ? tasks[0]!
    : { kind: 'loop', first: 0, count, direction: 1, tasks };
}

/** The stack in the chunks that are expected to take the least time; null when it is better without. */
function waveOf(
  stack: Stack,
  alone: (steps: readonly ComposedStep[]) => readonly ComposedStep[],
  limits: KernelLimits,
  composition: Composed,
): ComposedStep | null {
  const { members } = stack;
  const before = alone(stack.before);
  const chunks = chunksOf(members);
  if (composition === 'all') {
    const short = chunks.filter((chunk) => CHUNKS * chunk <= lengthOf(members));
    for (const chunk of short.length > 0 ? short : chunks.slice(-1)) {
      const wave = inChunks(stack, chunk, limits);
      if (wave !== null) return wave;
    }
    return null;
  }
  const timeOf = (steps: readonly ComposedStep[]) =>
    placeSideBySide(steps, limits, composition)
      .flatMap(tasksOf)
      .reduce((sum, { task }) => sum + timeOfTask(task, limits), 0);
  let time = CLEARLY_LESS * timeOf([...before, ...alone([...new Set(members.map(({ step }) => step))])]);
  let best: ComposedStep | null = null;
  for (const chunk of chunks) {
    const wave = inChunks(stack, chunk, limits);
    if (wave === null) continue;
    const expected = timeOf([...before, wave]);
    if (expected < time) [best, time] = [wave, expected];
  }
  return best;
}

/** Steps of a dispatch to choose from, most first: of loops whose stages are dispatches, one; else what divides time. */
function chunksOf(members: readonly Member[]): number[] {
  if (members[0]!.step.kind === 'loop') return [1];
  const length = lengthOf(members);
  const shorter = Array.from({ length: length - 1 }, (_, n) => length - 1 - n);
  return shorter.filter((chunk) => length % chunk === 0 && length / chunk <= MOST_CHUNKS);
}
