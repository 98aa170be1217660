/** Stages with the contents of their buffers, and what becomes of them by the oracle. Needs no backend. */
import type { BufferSpec, Stage } from '../../kernels/stage.js';
import { roundToHalf } from '../../src/program/half.js';
import { runStage } from './run-schedule.js';

/** A buffer with its contents before the stage runs. */
export interface Buffer extends BufferSpec {
  readonly data: readonly number[];
}

export const floats = (name: string, data: readonly number[]): Buffer => ({
  name,
  dtype: 'float',
  length: data.length,
  data: data.map(Math.fround),
});
/** Rounded to halves, which is what such a buffer holds. */
export const halves = (name: string, data: readonly number[]): Buffer => ({
  name,
  dtype: 'half',
  length: data.length,
  data: data.map(roundToHalf),
});
export const ints = (name: string, data: readonly number[]): Buffer => ({
  name,
  dtype: 'int',
  length: data.length,
  data,
});

/** A reproducible sequence of numbers in [-1, 1). */
export function numbers(length: number, seed = 1): number[] {
  let state = seed >>> 0;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround(state / 2 ** 31 - 1);
  });
}

/** The contents of all buffers after the stage, by the oracle. */
export function expected(stage: Stage, buffers: readonly Buffer[], t = 0): Float64Array[] {
  const memory = buffers.map(({ data }) => Float64Array.from(data));
  runStage(stage, memory, t);
  return memory;
}

/** The largest value of a buffer were all numbers positive: what the rounding of a sum is relative to. */
export function magnitude(stage: Stage, buffers: readonly Buffer[], buffer: number): number {
  const absolute = buffers.map((one) => ({ ...one, data: one.data.map(Math.abs) }));
  return expected(stage, absolute)[buffer]!.reduce((largest, x) => Math.max(largest, x), 0);
}

/** Rounding of a float32 sum of `length` products, relative to the sum of their magnitudes; at least 2e-6. */
export const sumTolerance = (length: number): number => Math.max(2e-6, length * 2 ** -24);
