/** Stages outside of loops as stages of a loop: a product of all steps at once, a few steps at a time. */
import type { Affine, Ref, Scalar, Stage } from '../../kernels/stage.js';
import type { StepTask, TimedPart } from '../../kernels/task.js';
import { accessesOf, divisibleAxes } from './accesses.js';
import { areDisjoint, footprintOf, once } from './footprint.js';
import { timedStages } from './levels.js';
import { mapRefs } from './refs.js';

/** How a stage consists of steps: each is `width` neighbouring places along an axis of its domain. */
export interface Cut {
  readonly axis: number;
  readonly width: number;
  readonly steps: number;
  /** In which order they are wanted. */
  readonly direction: 1 | -1;
}

/**
 * The steps of a stage by what it shares with loops: neighbouring steps of both are as many elements apart. Null when
 * it shares nothing with them, or is not made of such steps.
 */
export function cutOf(stage: Stage, loops: readonly TimedPart[]): Cut | null {
  const own = accessesOf(stage).filter(({ inDomain }) => inDomain);
  for (const loop of loops)
    for (const { stage: other, times } of timedStages(loop))
      for (const theirs of accessesOf(other)) {
        const { time } = theirs.ref;
        if (time === null || time.ring > 0) continue;
        for (const access of own) {
          if (theirs.direction === 'read' && access.direction === 'read') continue;
          if (areDisjoint(footprintOf(access, once), footprintOf(theirs, times))) continue;
          for (const { axis, size } of divisibleAxes(stage)) {
            const width = time.stride / access.ref.strides[axis]!;
            const steps = size / width;
            if (width >= 1 && steps > 1 && Number.isInteger(width) && Number.isInteger(steps))
              return { axis, width, steps, direction: loop.direction };
          }
        }
      }
  return null;
}

/** The stage as a task that does `chunk` steps in each dispatch. `chunk` divides the steps. */
export function inPieces(stage: Stage, cut: Cut, chunk: number): StepTask {
  const { steps, direction } = cut;
  const first = direction === 1 ? 0 : steps - chunk;
  return { kind: 'step', first, count: steps, direction, chunk, delay: 0, stage: pieceOf(stage, cut, chunk) };
}

/** The stage of `chunk` steps from step t on. */
function pieceOf(stage: Stage, { axis, width }: Cut, chunk: number): Stage {
  const at = <A extends Affine>(index: A): A => ({
    ...index,
    time: { stride: index.strides[axis]! * width, shift: 0, ring: 0 },
  });
  const shared = new Set<Ref>(stage.kind === 'gemm' ? stage.terms.map(({ b }) => b) : []);
  const moved = mapRefs(stage, (ref) => (shared.has(ref) ? ref : at(ref)));
  const scalar = (s: Scalar): Scalar =>
    s.kind === 'coordinate' || s.kind === 'random' ? { ...s, index: at(s.index) } : s;
  const part = (shape: readonly number[]) => shape.map((size, k) => (k === axis ? chunk * width : size));
  switch (moved.kind) {
    case 'pointwise':
    case 'rows':
      return { ...moved, shape: part(moved.shape), scalars: moved.scalars.map(scalar) };
    case 'gemm':
      return { ...moved, rows: chunk * width, scalars: moved.scalars.map(scalar) };
    case 'reduce':
      return { ...moved, kept: part(moved.kept), scalars: moved.scalars.map(scalar) };
    case 'softmax':
    case 'softmaxCrossEntropy':
      return { ...moved, rows: chunk * width };
    case 'scatterAdd':
      throw new Error('a scatter-add has no steps');
  }
}
