/**
 * Software pipelining of loops. A backward step is pointwise work, then a product with the recurrent weights that
 * the next step's pointwise work reads: two dispatches a step. Run the product of step t together with the pointwise
 * work of the step after it, and it is one; the first and the last step stand alone.
 */
import type { GemmStage, PointwiseStage, Ref, Scalar, Stage } from '../../kernels/stage.js';
import { canonical, eachRef, mapRefs, sameElement } from './refs.js';
import type { LabelledStage, Loop } from './schedule.js';

export function pipeline(loop: Loop): Loop[] {
  const [head, ...rest] = loop.stages;
  if (loop.count < 2 || head?.stage.kind !== 'pointwise') return [loop];
  const { direction, first, count } = loop;
  const later = shift(head, direction);
  // The last product that can stand at the end of the step and feeds the next one's head.
  for (let i = rest.length - 1; i >= 0; i--) {
    const tail = rest[i]!;
    if (tail.stage.kind !== 'gemm' || !rest.slice(i + 1).every((s) => canSwap(tail.stage, s.stage))) continue;
    const middle = rest.filter((s) => s !== tail);
    const merged = merge(tail.stage, later.stage as PointwiseStage, middle);
    if (merged === null) continue;
    return [
      { ...loop, count: 1, stages: [head, ...middle] },
      {
        ...loop,
        count: count - 1,
        stages: [
          { kind: 'stage', label: `${tail.label}; next ${head.label}`, stage: merged },
          ...middle.map((s) => shift(s, direction)),
        ],
      },
      { ...loop, first: first + direction * (count - 1), count: 1, stages: [tail] },
    ];
  }
  return [loop];
}

/** Whether two stages of a step can run in either order. */
function canSwap(a: Stage, b: Stage): boolean {
  const refs = (stage: Stage, wanted: 'read' | 'write') => {
    const found: Ref[] = [];
    eachRef(stage, (ref, direction) => {
      if (direction === wanted) found.push(ref);
    });
    return found;
  };
  const meet = (xs: readonly Ref[], ys: readonly Ref[]) => xs.some((x) => ys.some((y) => mayMeet(x, y)));
  const [written, alsoWritten] = [refs(a, 'write'), refs(b, 'write')];
  return (
    !meet(written, alsoWritten) && !meet(written, refs(b, 'read')) && !meet(refs(a, 'read'), alsoWritten)
  );
}

/** The stage as it runs `by` steps later. */
function shift(stage: LabelledStage, by: number): LabelledStage {
  const moved = mapRefs(stage.stage, (ref) =>
    ref.time === null ? ref : { ...ref, time: { ...ref.time, shift: ref.time.shift + by } },
  );
  if (!('scalars' in moved)) return { ...stage, stage: moved };
  const scalars = moved.scalars.map((s): Scalar => {
    if ((s.kind !== 'coordinate' && s.kind !== 'random') || s.index.time === null) return s;
    return { ...s, index: { ...s.index, time: { ...s.index.time, shift: s.index.time.shift + by } } };
  });
  return { ...stage, stage: { ...moved, scalars } };
}

/** One stage for a product and the pointwise work that reads it in place; null when that is not all it reads. */
function merge(gemm: GemmStage, after: PointwiseStage, middle: readonly LabelledStage[]): GemmStage | null {
  const domain = [gemm.batch, gemm.rows, gemm.columns];
  const lead = domain.length - after.shape.length;
  const fits = lead >= 0 && domain.every((d, i) => (i < lead ? d === 1 : d === after.shape[i - lead]));
  if (!fits) return null;
  const widen = (ref: Ref): Ref => ({
    ...ref,
    strides: [...new Array<number>(lead).fill(0), ...ref.strides].map((s, k) => (domain[k] === 1 ? 0 : s)),
  });
  const still = (ref: Ref): Ref => ({
    ...ref,
    strides: ref.strides.map((s, k) => (domain[k] === 1 ? 0 : s)),
  });
  const wide = mapRefs(after, widen) as PointwiseStage;
  const produced = gemm.stores.map((s) => ({ ref: still(s.ref), value: s.value }));

  // What the pointwise work reads of the product comes from registers; anything else it reads must not be in flux.
  const scalars: Scalar[] = [...gemm.scalars];
  const replaced = new Set<Ref>();
  const index = wide.scalars.map((s): number => {
    if (s.kind === 'load' && s.gather === null) {
      const from = produced.find((p) => sameElement(p.ref, s.ref));
      if (from !== undefined) {
        replaced.add(from.ref);
        return from.value;
      }
    }
    return scalars.push(s) - 1;
  });
  const renumber = (s: Scalar): Scalar =>
    s.kind === 'call' ? { ...s, args: s.args.map((a) => index[a]!) } : s;
  const first = gemm.scalars.length;
  const all = scalars.map((s, i) => (i < first ? s : renumber(s)));
  const lateReads: Ref[] = [];
  for (const s of all.slice(first)) {
    if (s.kind === 'load') lateReads.push(s.ref, ...(s.gather ? [s.gather.ids] : []));
    if (s.kind === 'random') lateReads.push(s.key);
  }
  if (lateReads.some((r) => produced.some((p) => mayMeet(r, p.ref)))) return null;
  const operands = gemm.terms.flatMap((t) => [t.a, t.b]);
  if (wide.stores.some((s) => operands.some((r) => mayMeet(s.ref, r)))) return null;
  const ownReads = gemm.scalars.flatMap((s) => (s.kind === 'load' ? [s.ref] : []));
  if (wide.stores.some((s) => ownReads.some((r) => mayMeet(s.ref, r) && !sameElement(s.ref, still(r)))))
    return null;

  // A ring's slot is read by the next step alone: once that reads registers, the store is for nobody.
  const readElsewhere = new Set<number>();
  for (const { stage } of middle) eachRef(stage, (ref, d) => d === 'read' && readElsewhere.add(ref.buffer));
  for (const ref of [...lateReads, ...operands, ...ownReads]) readElsewhere.add(ref.buffer);
  const stores = gemm.stores.filter((s, i) => {
    const { ref } = produced[i]!;
    return !(replaced.has(ref) && s.ref.time?.ring && !readElsewhere.has(s.ref.buffer));
  });
  return {
    ...gemm,
    scalars: all,
    stores: [...stores, ...wide.stores.map((s) => ({ ref: s.ref, value: index[s.value]! }))],
  };
}

/** Whether two refs of the same step can touch the same element, as far as their time slots tell. */
function mayMeet(a: Ref, b: Ref): boolean {
  if (a.buffer !== b.buffer) return false;
  const x = canonical(a);
  const y = canonical(b);
  if (x.stride === 0 || x.stride !== y.stride || x.ring !== y.ring) return true;
  return x.shift === y.shift;
}
