/** What a stage means, in float64 and plain loops: the oracle of the kernels. */
import type { Affine, Ref, Scalar, Stage } from '../../kernels/stage.js';
import { functions } from '../../src/program/functions.js';
import { threefry2x32 } from '../../src/program/threefry.js';

/** The contents of each buffer of a schedule. */
export type Memory = readonly Float64Array[];

export function place(index: Affine, at: readonly number[], t: number): number {
  let sum = index.offset;
  index.strides.forEach((stride, k) => {
    sum += stride * at[k]!;
  });
  if (index.time !== null) {
    const { stride, shift, ring } = index.time;
    const step = ring === 0 ? t + shift : (((t + shift) % ring) + ring) % ring;
    sum += stride * step;
  }
  return sum;
}

/** All index tuples of a domain, the last axis fastest. */
export function* tuples(shape: readonly number[]): Generator<number[]> {
  const total = shape.reduce((n, size) => n * size, 1);
  for (let linear = 0; linear < total; linear++) {
    const at = new Array<number>(shape.length);
    let rest = linear;
    for (let k = shape.length - 1; k >= 0; k--) {
      at[k] = rest % shape[k]!;
      rest = Math.floor(rest / shape[k]!);
    }
    yield at;
  }
}

export function runStage(stage: Stage, memory: Memory, t = 0): void {
  const load = (ref: Ref, at: readonly number[]) => memory[ref.buffer]![place(ref, at, t)]!;
  const store = (ref: Ref, at: readonly number[], value: number) => {
    memory[ref.buffer]![place(ref, at, t)] = value;
  };
  const evaluate = (scalars: readonly Scalar[], at: readonly number[], sums: readonly number[] = []) => {
    const values: number[] = [];
    for (const scalar of scalars) values.push(one(scalar, at, sums, values));
    return values;
  };
  const one = (scalar: Scalar, at: readonly number[], sums: readonly number[], values: number[]): number => {
    switch (scalar.kind) {
      case 'load': {
        const { ref, gather } = scalar;
        const row = gather === null ? 0 : gather.stride * load(gather.ids, at);
        return memory[ref.buffer]![place(ref, at, t) + row]!;
      }
      case 'accumulator':
        return sums[scalar.slot]!;
      case 'constant':
        return Math.fround(scalar.value);
      case 'coordinate':
        return place(scalar.index, at, t);
      case 'random': {
        const key = place(scalar.key, at, t);
        const keys = memory[scalar.key.buffer]!;
        const [word] = threefry2x32(keys[key]!, keys[key + 1]!, place(scalar.index, at, t), scalar.stream);
        return (word >>> 8) * 2 ** -24;
      }
      case 'call': {
        const { evaluate } = functions[scalar.fn];
        return evaluate(...scalar.args.map((n) => values[n]!));
      }
    }
  };

  switch (stage.kind) {
    case 'pointwise':
      for (const at of tuples(stage.shape)) {
        const values = evaluate(stage.scalars, at);
        for (const { ref, value } of stage.stores) store(ref, at, values[value]!);
      }
      return;
    case 'gemm':
      for (const at of tuples([stage.batch, stage.rows, stage.columns])) {
        const [b, i, j] = at as [number, number, number];
        const sums = new Array<number>(stage.slots).fill(0);
        for (const term of stage.terms)
          for (const { slot, offset } of term.slots)
            for (let k = 0; k < term.depth; k++) {
              const right = { ...term.b, offset: term.b.offset + offset };
              sums[slot]! += load(term.a, [b, i, k]) * load(right, [b, k, j]);
            }
        const values = evaluate(stage.scalars, at, sums);
        for (const { ref, value } of stage.stores) store(ref, at, values[value]!);
      }
      return;
    case 'reduce':
      for (const kept of tuples(stage.kept)) {
        let result = stage.fn === 'sum' ? 0 : Number.NEGATIVE_INFINITY;
        for (const reduced of tuples(stage.reduced)) {
          const value = evaluate(stage.scalars, [...kept, ...reduced])[stage.value]!;
          result = stage.fn === 'sum' ? result + value : Math.max(result, value);
        }
        for (const ref of stage.stores) store(ref, kept, result);
      }
      return;
    case 'softmax':
      for (let i = 0; i < stage.rows; i++) {
        const row = Array.from({ length: stage.columns }, (_, j) => load(stage.input, [i, j]));
        softmax(row).forEach((p, j) => {
          store(stage.output, [i, j], p);
        });
      }
      return;
    case 'softmaxCrossEntropy':
      for (let i = 0; i < stage.rows; i++) {
        const row = Array.from({ length: stage.columns }, (_, j) => load(stage.logits, [i, j]));
        const { kind, ref } = stage.target;
        const targets = row.map((_, j) =>
          kind === 'dense' ? load(ref, [i, j]) : load(ref, [i]) === j ? 1 : 0,
        );
        const weight = load(stage.weight, [i]);
        const total = targets.reduce((sum, t) => sum + t, 0);
        const largest = Math.max(...row);
        const lse = largest + Math.log(row.reduce((sum, o) => sum + Math.exp(o - largest), 0));
        const dot = row.reduce((sum, o, j) => sum + o * targets[j]!, 0);
        if (stage.loss !== null) store(stage.loss, [i], weight * (total * lse - dot));
        if (stage.gradient !== null)
          for (const [j, p] of softmax(row).entries())
            store(stage.gradient, [i, j], weight * (total * p - targets[j]!));
      }
      return;
    case 'scatterAdd':
      for (const [v, j] of tuples([stage.size, stage.width]) as Generator<[number, number]>) {
        let sum = 0;
        for (let n = 0; n < stage.count; n++)
          if (load(stage.ids, [n]) === v) sum += load(stage.source, [n, j]);
        store(stage.target, [v, j], sum);
      }
      return;
  }
}

function softmax(row: readonly number[]): number[] {
  const largest = Math.max(...row);
  const weights = row.map((x) => Math.exp(x - largest));
  const total = weights.reduce((sum, x) => sum + x, 0);
  return weights.map((x) => x / total);
}
