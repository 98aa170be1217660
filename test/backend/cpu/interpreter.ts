/** Stages by their definition, in float64, element by element: what the generated code is held against. */
import type { Affine, Ref, Scalar, Stage } from '../../../kernels/stage.js';
import { functions } from '../../../src/program/functions.js';
import { threefry2x32 } from '../../../src/program/threefry.js';
import type { Schedule } from '../../../src/schedule/schedule.js';

export type Buffers = readonly Float64Array[];

export function indexOf(ref: Affine, indices: readonly number[], t: number): number {
  let index = ref.offset;
  indices.forEach((i, axis) => {
    index += i * ref.strides[axis]!;
  });
  if (ref.time === null) return index;
  const { stride, shift, ring } = ref.time;
  const step = ring === 0 ? t + shift : (((t + shift) % ring) + ring) % ring;
  return index + stride * step;
}

export function* places(shape: readonly number[]): Generator<number[]> {
  const [extent, ...rest] = shape;
  if (extent === undefined) yield [];
  else for (let i = 0; i < extent; i++) for (const inner of places(rest)) yield [i, ...inner];
}

function evaluate(
  scalars: readonly Scalar[],
  place: readonly number[],
  t: number,
  buffers: Buffers,
  accumulators: readonly number[],
): number[] {
  const read = (ref: Ref, shift = 0): number => buffers[ref.buffer]![indexOf(ref, place, t) + shift]!;
  const values: number[] = [];
  for (const scalar of scalars) {
    values.push(one(scalar));
  }
  return values;

  function one(scalar: Scalar): number {
    switch (scalar.kind) {
      case 'load':
        return read(scalar.ref, scalar.gather ? scalar.gather.stride * read(scalar.gather.ids) : 0);
      case 'accumulator':
        return accumulators[scalar.slot]!;
      case 'constant':
        return scalar.value;
      case 'coordinate':
        return indexOf(scalar.index, place, t);
      case 'random': {
        const index = indexOf(scalar.index, place, t);
        const [word] = threefry2x32(read(scalar.key), read(scalar.key, 1), index, scalar.stream);
        return Math.floor(word / 256) / 2 ** 24;
      }
      case 'call':
        return functions[scalar.fn].evaluate(...scalar.args.map((arg) => values[arg]!));
    }
  }
}

export function interpretStage(stage: Stage, buffers: Buffers, t = 0): void {
  const at = (ref: Ref, place: readonly number[]) => buffers[ref.buffer]![indexOf(ref, place, t)]!;
  const put = (ref: Ref | null, place: readonly number[], value: number) => {
    if (ref !== null) buffers[ref.buffer]![indexOf(ref, place, t)] = value;
  };
  const range = (n: number) => Array.from({ length: n }, (_, i) => i);
  switch (stage.kind) {
    case 'pointwise':
      for (const place of places(stage.shape)) {
        const values = evaluate(stage.scalars, place, t, buffers, []);
        for (const { ref, value } of stage.stores) put(ref, place, values[value]!);
      }
      return;
    case 'gemm':
      for (const place of places([stage.batch, stage.rows, stage.columns])) {
        const [b, i, j] = place as [number, number, number];
        const sums = Array<number>(stage.slots).fill(0);
        for (const term of stage.terms) {
          for (const { slot, offset } of term.slots) {
            const shifted = { ...term.b, offset: term.b.offset + offset };
            for (const k of range(term.depth)) sums[slot]! += at(term.a, [b, i, k]) * at(shifted, [b, k, j]);
          }
        }
        const values = evaluate(stage.scalars, place, t, buffers, sums);
        for (const { ref, value } of stage.stores) put(ref, place, values[value]!);
      }
      return;
    case 'reduce':
      for (const kept of places(stage.kept)) {
        const values = [...places(stage.reduced)].map(
          (reduced) => evaluate(stage.scalars, [...kept, ...reduced], t, buffers, [])[stage.value]!,
        );
        const result = stage.fn === 'sum' ? values.reduce((x, y) => x + y, 0) : Math.max(...values);
        for (const ref of stage.stores) put(ref, kept, result);
      }
      return;
    case 'softmax':
      for (const i of range(stage.rows)) {
        const row = range(stage.columns).map((j) => at(stage.input, [i, j]));
        const exps = row.map((x) => Math.exp(x - Math.max(...row)));
        const total = exps.reduce((x, y) => x + y);
        exps.forEach((e, j) => {
          put(stage.output, [i, j], e / total);
        });
      }
      return;
    case 'softmaxCrossEntropy':
      for (const i of range(stage.rows)) {
        const { target } = stage;
        const columns = range(stage.columns);
        const row = columns.map((j) => at(stage.logits, [i, j]));
        const wanted = columns.map((j) =>
          target.kind === 'dense' ? at(target.ref, [i, j]) : Number(at(target.ref, [i]) === j),
        );
        const weight = at(stage.weight, [i]);
        const max = Math.max(...row);
        const total = row.reduce((sum, x) => sum + Math.exp(x - max), 0);
        const mass = wanted.reduce((x, y) => x + y);
        const dot = row.reduce((sum, x, j) => sum + x * wanted[j]!, 0);
        put(stage.loss, [i], weight * (mass * (max + Math.log(total)) - dot));
        row.forEach((x, j) => {
          put(stage.gradient, [i, j], weight * ((mass * Math.exp(x - max)) / total - wanted[j]!));
        });
      }
      return;
    case 'scatterAdd':
      for (const place of places([stage.size, stage.width])) put(stage.target, place, 0);
      for (const n of range(stage.count)) {
        for (const j of range(stage.width)) {
          const place = [at(stage.ids, [n]), j];
          put(stage.target, place, at(stage.target, place) + at(stage.source, [n, j]));
        }
      }
  }
}

export function interpret(schedule: Schedule, buffers: Buffers): void {
  for (const step of schedule.steps) {
    if (step.kind === 'stage') interpretStage(step.stage, buffers);
    else {
      for (let i = 0, t = step.first; i < step.count; i++, t += step.direction) {
        for (const { stage } of step.stages) interpretStage(stage, buffers, t);
      }
    }
  }
}
