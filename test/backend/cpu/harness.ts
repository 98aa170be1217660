/** Schedules run on the float32 backend and by their definition in float64, from the same contents. */
import type { BufferSpec, Ref, Stage, TimeStride } from '../../../kernels/stage.js';
import { Float32Backend } from '../../../src/backend/cpu/float32-backend.js';
import type { Schedule } from '../../../src/schedule/schedule.js';
import { runSchedule } from '../../support/run-schedule.js';

export type Buffers = readonly Float64Array[];

/** An operand at the start of a buffer unless told otherwise. */
export const ref = (
  buffer: number,
  strides: readonly number[],
  offset = 0,
  time: TimeStride | null = null,
): Ref => ({ buffer, offset, strides, time });

/** Strides of a contiguous array. */
export const contiguous = (shape: readonly number[]): number[] =>
  shape.map((_, axis) => size(shape.slice(axis + 1)));

export const size = (shape: readonly number[]): number => shape.reduce((x, y) => x * y, 1);

/** Floats in [-1, 1) that float32 holds exactly: a generator of its own, for tests that print no seed. */
export function noise(length: number, seed = 1): Float64Array {
  let state = (seed * 0x9e3779b1) >>> 0;
  return Float64Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 23 - 1;
  });
}

export interface Outcome {
  readonly actual: readonly Float64Array[];
  readonly expected: readonly Float64Array[];
}

/** The schedule of one stage whose buffers 1, 2, ... have these contents; the arena is empty. */
export function scheduleOf(stage: Stage, contents: Buffers, ints: readonly number[] = []): Schedule {
  return { buffers: specs(contents, ints), steps: [{ kind: 'stage', label: 'test', stage }] };
}

export const specs = (contents: Buffers, ints: readonly number[] = [], arena = 0): BufferSpec[] => [
  { name: 'arena', dtype: 'float', length: arena },
  ...contents.map(
    ({ length }, k): BufferSpec => ({
      name: `b${k + 1}`,
      dtype: ints.includes(k + 1) ? 'int' : 'float',
      length,
    }),
  ),
];

/** The contents of buffers 1, 2, ... after a run, by the backend and by definition. */
export async function runBoth(schedule: Schedule, contents: Buffers): Promise<Outcome> {
  const backend = new Float32Backend();
  const tensors = Object.fromEntries(
    contents.map((data, k) => {
      const { name, dtype } = schedule.buffers[k + 1]!;
      const tensor = backend.tensor({ dtype, shape: [data.length] });
      tensor.write(data);
      return [name, tensor];
    }),
  );
  const executable = await backend.compileSchedule(schedule);
  executable.run(tensors);
  const actual = await Promise.all(
    Object.values(tensors).map(async (tensor) => Float64Array.from(await tensor.read())),
  );
  const rounded = contents.map((data, k) => {
    const { name, dtype } = schedule.buffers[k + 1]!;
    return [name, dtype === 'int' ? data : Float64Array.from(data, Math.fround)] as const;
  });
  const results = runSchedule(schedule, Object.fromEntries(rounded));
  const expected = rounded.map(([name]) => results[name]!);
  return { actual, expected };
}

/** max |a - b| / max(scale, |b|), and Infinity where only one of them is NaN. */
export function largestError(actual: ArrayLike<number>, expected: ArrayLike<number>, scale: number): number {
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i]!, expected[i]!];
    if (Number.isNaN(a) !== Number.isNaN(b)) return Infinity;
    if (Object.is(a, b) || a === b || Number.isNaN(a)) continue;
    largest = Math.max(largest, Math.abs(a - b) / Math.max(scale, Math.abs(b)));
  }
  return largest;
}
