/**
 * What schedules and stages mean, in float64 and plain loops, by the definitions in kernels/stage.ts: the oracle of
 * the scheduler and of the kernels. Elements are visited forwards or backwards: a stage whose result depends on that
 * has a race.
 */
import type { Affine, Ref, Scalar, Stage } from '../../kernels/stage.js';
import { functions } from '../../src/program/functions.js';
import { threefry2x32 } from '../../src/program/threefry.js';
import type { Schedule } from '../../src/schedule/schedule.js';

/** The contents of all buffers after a run. The arena is NaN at first, and so is what gets no input. */
export function runSchedule(
  schedule: Schedule,
  inputs: Readonly<Record<string, ArrayLike<number>>>,
  backwards = false,
): Record<string, Float64Array> {
  const memory = schedule.buffers.map(({ name, length }) => {
    const data = new Float64Array(length).fill(Number.NaN);
    if (inputs[name]) data.set(inputs[name]);
    return data;
  });
  for (const step of schedule.steps) {
    if (step.kind === 'stage') runStage(step.stage, memory, 0, backwards);
    else
      for (let i = 0; i < step.count; i++)
        for (const { stage } of step.stages)
          runStage(stage, memory, step.first + step.direction * i, backwards);
  }
  return Object.fromEntries(schedule.buffers.map(({ name }, i) => [name, memory[i]!]));
}

export function place({ offset, strides, time }: Affine, index: readonly number[], t: number): number {
  let at = offset;
  strides.forEach((s, k) => (at += s * index[k]!));
  if (time === null) return at;
  const turn = t + time.shift;
  return at + time.stride * (time.ring === 0 ? turn : ((turn % time.ring) + time.ring) % time.ring);
}

/** Runs one stage at time t on the contents of the schedule's buffers. */
export function runStage(stage: Stage, memory: readonly Float64Array[], t = 0, backwards = false): void {
  const get = (ref: Ref, index: readonly number[]) => {
    const at = place(ref, index, t);
    const data = memory[ref.buffer]!;
    if (at < 0 || at >= data.length)
      throw new Error(`read outside buffer ${ref.buffer} at ${at} of ${data.length}`);
    return data[at]!;
  };
  const put = (ref: Ref, index: readonly number[], value: number) => {
    const at = place(ref, index, t);
    const data = memory[ref.buffer]!;
    if (at < 0 || at >= data.length)
      throw new Error(`write outside buffer ${ref.buffer} at ${at} of ${data.length}`);
    data[at] = value;
  };
  const evaluate = (
    scalars: readonly Scalar[],
    index: readonly number[],
    accumulators: readonly number[],
    rowSums: ReadonlyMap<Scalar, number> = new Map(),
  ): number[] => {
    const out: number[] = [];
    for (const s of scalars) {
      if (s.kind === 'constant') out.push(s.value);
      else if (s.kind === 'rowSum') out.push(rowSums.get(s) ?? Number.NaN);
      else if (s.kind === 'accumulator') out.push(accumulators[s.slot]!);
      else if (s.kind === 'coordinate') out.push(place(s.index, index, t));
      else if (s.kind === 'call') out.push(functions[s.fn].evaluate(...s.args.map((a) => out[a]!)));
      else if (s.kind === 'random') {
        const key = memory[s.key.buffer]!;
        const k = place(s.key, index, t);
        out.push(
          (threefry2x32(key[k]!, key[k + 1]!, place(s.index, index, t), s.stream)[0] >>> 8) * 2 ** -24,
        );
      } else if (s.gather === null) out.push(get(s.ref, index));
      else {
        const row = Math.min(Math.max(get(s.gather.ids, index), 0), s.gather.size - 1);
        out.push(get({ ...s.ref, offset: s.ref.offset + s.gather.stride * row }, index));
      }
    }
    return out;
  };
  switch (stage.kind) {
    case 'pointwise':
      each(stage.shape, backwards, (index) => {
        const values = evaluate(stage.scalars, index, []);
        for (const { ref, value } of stage.stores) put(ref, index, values[value]!);
      });
      return;
    case 'rows': {
      const columns = stage.shape.at(-1)!;
      each(stage.shape.slice(0, -1), backwards, (row) => {
        const sums = new Map<Scalar, number>();
        const at = (j: number) => evaluate(stage.scalars, [...row, j], [], sums);
        for (const s of stage.scalars)
          if (s.kind === 'rowSum')
            sums.set(
              s,
              Array.from({ length: columns }, (_, j) => at(j)[s.value]!).reduce((a, b) => a + b, 0),
            );
        each([columns], backwards, ([j]) => {
          const values = at(j!);
          for (const { ref, value } of stage.stores) put(ref, [...row, j!], values[value]!);
        });
      });
      return;
    }
    case 'gemm':
      each([stage.batch, stage.rows, stage.columns], backwards, (index) => {
        const sums = new Array<number>(stage.slots).fill(0);
        for (const term of stage.terms)
          for (const { slot, offset } of term.slots)
            for (let k = 0; k < term.depth; k++) {
              const b = { ...term.b, offset: term.b.offset + offset };
              sums[slot]! += get(term.a, [index[0]!, index[1]!, k]) * get(b, [index[0]!, k, index[2]!]);
            }
        const values = evaluate(stage.scalars, index, sums);
        for (const { ref, value } of stage.stores) put(ref, index, values[value]!);
      });
      return;
    case 'reduce':
      each(stage.kept, backwards, (kept) => {
        let total = 0;
        each(stage.reduced, false, (reduced) => {
          total += evaluate(stage.scalars, [...kept, ...reduced], [])[stage.value]!;
        });
        for (const ref of stage.stores) put(ref, kept, total);
      });
      return;
    case 'softmax':
      each([stage.rows], backwards, ([i]) => {
        const x = Array.from({ length: stage.columns }, (_, j) => get(stage.input, [i!, j]));
        const max = Math.max(...x);
        const total = x.reduce((s, v) => s + Math.exp(v - max), 0);
        x.forEach((v, j) => put(stage.output, [i!, j], Math.exp(v - max) / total));
      });
      return;
    case 'softmaxCrossEntropy':
      each([stage.rows], backwards, ([i]) => {
        const { target } = stage;
        const o = Array.from({ length: stage.columns }, (_, j) => get(stage.logits, [i!, j]));
        const tau = o.map((_, j) =>
          target.kind === 'dense' ? get(target.ref, [i!, j]) : get(target.ref, [i!]) === j ? 1 : 0,
        );
        const w = get(stage.weight, [i!]);
        const isUnknown = target.kind === 'classes' && w !== 0 && !tau.includes(1);
        const s = isUnknown ? Number.NaN : tau.reduce((a, b) => a + b, 0);
        const max = Math.max(...o);
        const total = o.reduce((a, v) => a + Math.exp(v - max), 0);
        const dot = o.reduce((a, v, j) => a + v * tau[j]!, 0);
        if (stage.loss) put(stage.loss, [i!], w * (s * (max + Math.log(total)) - dot));
        o.forEach((v, j) => {
          if (stage.gradient) put(stage.gradient, [i!, j], w * ((s * Math.exp(v - max)) / total - tau[j]!));
        });
      });
      return;
    case 'scatterAdd':
      each([stage.size, stage.width], backwards, ([v, j]) => {
        let total = 0;
        for (let n = 0; n < stage.count; n++)
          if (get(stage.ids, [n]) === v) total += get(stage.source, [n, j!]);
        put(stage.target, [v!, j!], total);
      });
  }
}

/** Visits every index of a domain, the last axis fastest. */
export function each(shape: readonly number[], backwards: boolean, visit: (index: number[]) => void): void {
  const size = shape.reduce((n, d) => n * d, 1);
  for (let i = 0; i < size; i++) {
    let rest = backwards ? size - 1 - i : i;
    const index = new Array<number>(shape.length);
    for (let k = shape.length - 1; k >= 0; k--) {
      index[k] = rest % shape[k]!;
      rest = Math.floor(rest / shape[k]!);
    }
    visit(index);
  }
}
