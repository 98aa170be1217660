/** Dead stores, liveness, and an arena for each dtype: each temporary gets a place that no other needs at the same time. */
import type { BufferSpec, Stage } from '../../kernels/stage.js';
import { eachRef, mapRefs } from './refs.js';
import type { LabelledStage, Loop, Schedule } from './schedule.js';
import type { Allocation } from './storage.js';

/** Places start at multiples of 16 elements, of floats 64 bytes: whole cache lines, and whole vectors of four. */
const ALIGNMENT = 16;

type Step = LabelledStage | Loop;

/** Drops stores into temporaries that nothing reads afterwards, and stages that then store nothing. */
export function dropDeadStores(steps: readonly Step[], allocations: readonly Allocation[]): Step[] {
  const readLater = new Set<number>();
  const kept: Step[] = [];
  for (let i = steps.length - 1; i >= 0; i--) {
    const step = steps[i]!;
    let stages = step.kind === 'loop' ? [...step.stages] : [step];
    for (;;) {
      const wanted = new Set(readLater);
      // Within a loop a later turn may read what this one stores.
      if (step.kind === 'loop')
        for (const { stage } of stages) eachRef(stage, (ref, d) => d === 'read' && wanted.add(ref.buffer));
      const isLive = (buffer: number) => allocations[buffer]!.external !== null || wanted.has(buffer);
      const next = stages.flatMap((s) => {
        const stage = keepStores(s.stage, isLive);
        return stage === null ? [] : [{ ...s, stage }];
      });
      const settled = next.length === stages.length;
      stages = next;
      if (settled) break;
    }
    for (const { stage } of stages) eachRef(stage, (ref, d) => d === 'read' && readLater.add(ref.buffer));
    if (stages.length > 0) kept.push(step.kind === 'loop' ? { ...step, stages } : stages[0]!);
  }
  return kept.reverse();
}

function keepStores(stage: Stage, isLive: (buffer: number) => boolean): Stage | null {
  if (stage.kind === 'pointwise' || stage.kind === 'rows' || stage.kind === 'gemm') {
    const stores = stage.stores.filter((s) => isLive(s.ref.buffer));
    return stores.length === 0 ? null : { ...stage, stores };
  }
  if (stage.kind === 'reduce') {
    const stores = stage.stores.filter((ref) => isLive(ref.buffer));
    return stores.length === 0 ? null : { ...stage, stores };
  }
  let live = false;
  eachRef(stage, (ref, d) => (live ||= d === 'write' && isLive(ref.buffer)));
  return live ? stage : null;
}

/**
 * From which step to which, both counted in, each temporary holds something. A loop counts as one step, and so do all
 * from the first to the last of steps that overlap, for what these touch.
 */
export function lifetimes(
  steps: readonly Step[],
  allocations: readonly Allocation[],
  overlapping: readonly (readonly number[])[] = [],
): Map<number, { from: number; to: number }> {
  const live = new Map<number, { from: number; to: number }>();
  steps.forEach((step, i) => {
    const together = [i, ...overlapping.filter((group) => group.includes(i)).flat()];
    const [from, to] = [Math.min(...together), Math.max(...together)];
    for (const { stage } of step.kind === 'loop' ? step.stages : [step])
      eachRef(stage, ({ buffer }) => {
        if (allocations[buffer]!.external !== null) return;
        const span = live.get(buffer) ?? { from, to };
        live.set(buffer, { from: Math.min(span.from, from), to: Math.max(span.to, to) });
      });
  });
  return live;
}

/** Where each of some temporaries starts, and how long memory is that holds them all. */
function place(
  ids: readonly number[],
  live: ReadonlyMap<number, { from: number; to: number }>,
  allocations: readonly Allocation[],
): { starts: ReadonlyMap<number, number>; length: number } {
  const placed: { start: number; end: number; from: number; to: number; id: number }[] = [];
  const bySize = [...ids].sort((a, b) => allocations[b]!.length - allocations[a]!.length || a - b);
  for (const id of bySize) {
    const { from, to } = live.get(id)!;
    const length = Math.ceil(allocations[id]!.length / ALIGNMENT) * ALIGNMENT;
    const rivals = placed.filter((p) => p.from <= to && from <= p.to).sort((a, b) => a.start - b.start);
    // The smallest gap that holds it, or the end.
    let start = 0;
    let best: { start: number; slack: number } | null = null;
    for (const rival of rivals) {
      const slack = rival.start - start - length;
      if (slack >= 0 && (best === null || slack < best.slack)) best = { start, slack };
      start = Math.max(start, rival.end);
    }
    const at = best?.start ?? start;
    placed.push({ start: at, end: at + length, from, to, id });
  }
  return {
    starts: new Map(placed.map(({ id, start }) => [id, start])),
    length: Math.max(ALIGNMENT, ...placed.map(({ end }) => end)),
  };
}

/**
 * Gives every temporary its place in an arena, of floats or, where there are any, of halves; numbers the buffers.
 * @param overlapping as for `lifetimes`.
 */
export function planMemory(
  steps: readonly Step[],
  allocations: readonly Allocation[],
  overlapping?: readonly (readonly number[])[],
): Schedule {
  const live = lifetimes(steps, allocations, overlapping);
  const buffers: BufferSpec[] = [];
  const places = new Map<number, { buffer: number; start: number }>();
  for (const dtype of ['float', 'half'] as const) {
    const ids = [...live.keys()].filter((id) => allocations[id]!.dtype === dtype);
    if (dtype === 'half' && ids.length === 0) continue;
    const { starts, length } = place(ids, live, allocations);
    for (const [id, start] of starts) places.set(id, { buffer: buffers.length, start });
    const name = dtype === 'half' ? 'arena of halves' : 'arena';
    buffers.push({ name, dtype, length, isArena: true });
  }
  for (const { id, external, length, dtype } of allocations) {
    if (external === null) continue;
    places.set(id, { buffer: buffers.length, start: 0 });
    buffers.push({ name: external, dtype, length });
  }
  const settle = (s: LabelledStage): LabelledStage => ({
    ...s,
    stage: mapRefs(s.stage, (ref) => {
      const { buffer, start } = places.get(ref.buffer)!;
      return { ...ref, buffer, offset: ref.offset + start };
    }),
  });
  return {
    buffers,
    steps: steps.map((step) =>
      step.kind === 'loop' ? { ...step, stages: step.stages.map(settle) } : settle(step),
    ),
  };
}
