/** The one interface of the backends: tensors by name in, tensors by name out. */
import type { Program, Type } from '../program/program.js';

export type Numbers = Float32Array | Float64Array | Int32Array;

/** Memory that outlives a run: parameters, optimizer state, carried state, batches, losses. */
export interface Tensor extends Disposable {
  readonly type: Type;
  /**
   * Replaces all elements, in order with the runs around it.
   * @throws KronogradError SHAPE when the length is not the tensor's.
   */
  write(data: ArrayLike<number>): void;
  /** All elements as they are after every run called so far. Floats come as the backend's precision. */
  read(): Promise<Numbers>;
}

/** A program made ready for one backend. */
export interface Executable extends Disposable {
  /** Bytes of temporary memory, and what one run costs. */
  readonly arenaBytes: number;
  readonly dispatches: number;
  /**
   * Runs once. Every input and output of the program is bound by its name; an output that updates an input
   * is written into that input's tensor. Returns before a GPU is done.
   * @throws KronogradError SHAPE for a missing or ill-shaped tensor.
   */
  run(tensors: Readonly<Record<string, Tensor>>): void;
}

/** Bytes that there is room for; Infinity where nobody knows. */
export interface Capacity {
  /** In one tensor, or in the temporary memory of one executable. */
  readonly buffer: number;
  /** In all of them together. */
  readonly total: number;
}

export interface Backend extends Disposable {
  readonly name: 'webgpu' | 'cpu' | 'cpu-float64';
  /** What a person would recognise: the adapter's name, or the CPU and its instruction set. */
  readonly description: string;
  readonly capacity: Capacity;
  /** Whether a half has 2 bytes; otherwise it has as many as a float, for the same numbers. */
  readonly halves: boolean;
  tensor(type: Type): Tensor;
  compile(program: Program): Promise<Executable>;
  /** Resolves when everything submitted so far is done; rejects with what went wrong. */
  finish(): Promise<void>;
}
