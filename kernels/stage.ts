/**
 * What a kernel is asked to do. A stage is one dispatch on a GPU, one call on the CPU: which elements it
 * reads, the arithmetic, and which elements it writes. It knows buffers and strides, no programs and no cells.
 */
import type { FunctionName } from '../src/program/functions.js';
import type { DType } from '../src/program/program.js';

/**
 * An affine index in units of elements. In a domain with indices i_k, inside a loop at time t, it is
 *
 *     offset + sum_k strides[k] * i_k + time.stride * ((t + time.shift) mod time.ring)
 *
 * (no modulus when ring is 0; no time part outside of loops).
 */
export interface Affine {
  readonly offset: number;
  /** One stride for each axis of the stage's domain; 0 broadcasts. */
  readonly strides: readonly number[];
  readonly time: TimeStride | null;
}

export interface TimeStride {
  readonly stride: number;
  readonly shift: number;
  readonly ring: number;
}

/** Where the elements of an operand live. `buffer` indexes `Schedule.buffers`. */
export interface Ref extends Affine {
  readonly buffer: number;
}

/** One scalar of the per-element arithmetic; arguments are indices of earlier entries of the list. */
export type Scalar =
  | { readonly kind: 'load'; readonly ref: Ref; readonly gather: Gather | null }
  /** The running sum number `slot` of a gemm stage. */
  | { readonly kind: 'accumulator'; readonly slot: number }
  /** The sum of an earlier scalar along the row, of a rows stage. */
  | { readonly kind: 'rowSum'; readonly value: number }
  | { readonly kind: 'constant'; readonly value: number }
  /** An affine function of the element's place, as a float: `iota` along an axis. */
  | { readonly kind: 'coordinate'; readonly index: Affine }
  /** Uniform in [0, 1): the top 24 bits of threefry2x32(key, [index, stream])[0]. `key` is two integers. */
  | { readonly kind: 'random'; readonly key: Ref; readonly stream: number; readonly index: Affine }
  | { readonly kind: 'call'; readonly fn: FunctionName; readonly args: readonly number[] };

/** Adds `stride * ids[...]` to a load's index: a row of an embedding. An id outside [0, size) is clamped. */
export interface Gather {
  readonly ids: Ref;
  readonly stride: number;
  readonly size: number;
}

export interface Store {
  readonly ref: Ref;
  /** Index into the scalars. */
  readonly value: number;
}

/** Every element of the domain `shape` by itself. All loads of an element come before its stores. */
export interface PointwiseStage {
  readonly kind: 'pointwise';
  readonly shape: readonly number[];
  readonly scalars: readonly Scalar[];
  readonly stores: readonly Store[];
}

/**
 * Rows by themselves: pointwise work over a domain [..., columns] in which sums along the last axis take part, in a
 * fixed order. A sum may be of what other sums went into: the variance of what is centred by its mean. A store that
 * does not move along the row (stride 0) is done once for each row, of a value that is the same all along it. All loads
 * of a row that a sum needs come before its stores, and all loads of an element before the stores of that element.
 */
export interface RowsStage {
  readonly kind: 'rows';
  readonly shape: readonly number[];
  readonly scalars: readonly Scalar[];
  readonly stores: readonly Store[];
}

/**
 * Batched products with pointwise work on the result, over the domain [batch, rows, columns]:
 *
 *     accumulator[slot](b, i, j) = sum over terms that feed the slot, sum_k A(b, i, k) * B(b, k, j + slot's part)
 *
 * One term and one slot is an ordinary GEMM. Four slots are the four gates of an LSTM unit, so that a thread
 * holds all gates of its unit and `scalars` can be the cell's equations. Two terms are two products summed.
 */
export interface GemmStage {
  readonly kind: 'gemm';
  readonly batch: number;
  readonly rows: number;
  readonly columns: number;
  readonly slots: number;
  readonly terms: readonly GemmTerm[];
  readonly scalars: readonly Scalar[];
  readonly stores: readonly Store[];
}

export interface GemmTerm {
  /** The inner dimension. */
  readonly depth: number;
  /** Over [batch, rows, depth]. */
  readonly a: Ref;
  /** Over [batch, depth, columns]. */
  readonly b: Ref;
  /** The slots this term feeds; `offset` elements are added to b's for that slot. */
  readonly slots: readonly { readonly slot: number; readonly offset: number }[];
}

/**
 * out(kept) = sum over `reduced` of a scalar, in a fixed order. The scalars' domain is [...kept, ...reduced]; the
 * stores' domain is `kept` and they store the sum.
 */
export interface ReduceStage {
  readonly kind: 'reduce';
  readonly kept: readonly number[];
  readonly reduced: readonly number[];
  readonly scalars: readonly Scalar[];
  /** The index of the scalar that is summed. */
  readonly value: number;
  readonly stores: readonly Ref[];
}

/** p = softmax(x) along rows; refs over [rows, columns]. */
export interface SoftmaxStage {
  readonly kind: 'softmax';
  readonly rows: number;
  readonly columns: number;
  readonly input: Ref;
  readonly output: Ref;
}

/**
 * Per row, with s = sum of the target and weight w:  loss = w (s lse(o) - t.o),  gradient = w (s softmax(o) - t).
 * A target by class number is a one-hot t; one outside [0, columns) makes the row NaN, unless w is 0.
 */
export interface SoftmaxCrossEntropyStage {
  readonly kind: 'softmaxCrossEntropy';
  readonly rows: number;
  readonly columns: number;
  /** Over [rows, columns]. */
  readonly logits: Ref;
  /** Class numbers over [rows], or a dense target over [rows, columns]. */
  readonly target: { readonly kind: 'classes' | 'dense'; readonly ref: Ref };
  /** Over [rows]. */
  readonly weight: Ref;
  /** Over [rows]. */
  readonly loss: Ref | null;
  /** Over [rows, columns]. */
  readonly gradient: Ref | null;
}

/**
 * target(v, j) = sum over n with ids(n) = v of source(n, j), in the order of n: deterministic, no atomics. An id
 * outside [0, size) counts nowhere.
 */
export interface ScatterAddStage {
  readonly kind: 'scatterAdd';
  readonly count: number;
  readonly size: number;
  readonly width: number;
  /** Over [count]. */
  readonly ids: Ref;
  /** Over [count, width]. */
  readonly source: Ref;
  /** Over [size, width]. */
  readonly target: Ref;
}

export type Stage =
  | PointwiseStage
  | RowsStage
  | GemmStage
  | ReduceStage
  | SoftmaxStage
  | SoftmaxCrossEntropyStage
  | ScatterAddStage;

/**
 * A buffer. Temporary memory, an arena, is buffer 0, of floats, and `isArena`; the others are bound by name. Halves are
 * numbers that were rounded to a 16-bit float: they have 2 bytes where shaders know such floats, and 4 like all others
 * where not.
 */
export interface BufferSpec {
  readonly name: string;
  readonly dtype: DType;
  /** Elements. */
  readonly length: number;
  readonly isArena?: true;
}

/** Bytes of an element. @param halves whether halves have 2 */
export const bytesEach = ({ dtype }: { readonly dtype: DType }, halves: boolean): 2 | 4 =>
  dtype === 'half' && halves ? 2 : 4;
