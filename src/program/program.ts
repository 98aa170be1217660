/**
 * A program: static-shaped tensors in single-assignment form, over few primitives (math.md, design section 4).
 *
 * A `Value` is one output of a `Node`. Nodes are kept in an order in which every input comes before its use.
 * The only mutation is that a scan may gain output ports after it was made: BPTT and tangents ask a scan for
 * values of its steps, and asking never changes what was there.
 */
import type { FunctionName } from './functions.js';

/**
 * Integers index tables and name classes; all arithmetic is on floats, and gives floats. Halves are floats that were
 * rounded to 16 bits by the function `half`, and are kept so: where a float may stand, a half may.
 */
export type DType = 'float' | 'half' | 'int';

export type Shape = readonly number[];

export interface Type {
  readonly dtype: DType;
  readonly shape: Shape;
}

export interface Value {
  readonly type: Type;
  readonly node: Node;
  readonly port: number;
}

export interface Node {
  /** Unique and increasing within a builder. */
  readonly id: number;
  readonly op: Op;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

export type Op =
  | { readonly kind: 'input'; readonly name: string }
  | { readonly kind: 'constant'; readonly value: number }
  /** The index along `axis`, as a float. */
  | { readonly kind: 'iota'; readonly shape: Shape; readonly axis: number }
  /** Pointwise, with the shapes of the operands broadcast to each other as NumPy does. */
  | { readonly kind: 'map'; readonly fn: FunctionName }
  /** [m,k] x [k,n] or [batch,m,k] x [batch,k,n], either side stored transposed. */
  | { readonly kind: 'gemm'; readonly transA: boolean; readonly transB: boolean }
  /** Sum over axes, which are removed. */
  | { readonly kind: 'sum'; readonly axes: readonly number[] }
  /** `adjointLimit`: derivatives that pass backwards are limited to -adjointLimit .. adjointLimit, each element. */
  | { readonly kind: 'reshape'; readonly shape: Shape; readonly adjointLimit?: number }
  | { readonly kind: 'broadcast'; readonly shape: Shape }
  | { readonly kind: 'transpose'; readonly permutation: readonly number[] }
  | { readonly kind: 'slice'; readonly axis: number; readonly start: number; readonly size: number }
  | { readonly kind: 'concat'; readonly axis: number }
  /**
   * (table of rank 2, ids) -> [...ids, width]: rows of the table (axis 0) or columns of it (axis 1). An id out of
   * range stands for the nearest one in it.
   */
  | { readonly kind: 'gather'; readonly axis: 0 | 1 }
  /** (ids, values [...ids, width]) -> [size, width] (axis 0) or [width, size] (axis 1). An id out of range counts nowhere. */
  | { readonly kind: 'scatterAdd'; readonly axis: 0 | 1; readonly size: number }
  /** Along the last axis. */
  | { readonly kind: 'softmax' }
  /**
   * (logits [..., c], target [...] of classes or [..., c] dense, weight [...]) -> loss [...], gradient [..., c]:
   * w (s lse(o) - t.o) and w (s p - t), s = sum t (math.md 0.4). The gradient comes for free with the loss. A class
   * out of range makes both NaN, unless the weight is 0.
   */
  | { readonly kind: 'softmaxCrossEntropy' }
  /** (key of two ints) -> uniform in [0,1): element i is word 0 of threefry2x32(key, [i, stream]). In a scan, i counts on over the steps. */
  | { readonly kind: 'random'; readonly shape: Shape; readonly stream: number }
  | ScanOp;

/**
 * A body run for t = 0..length-1 (direction 1) or length-1..0 (direction -1).
 * Inputs of the node: constants, initial carries, stacked xs [length, ...]. Inputs of the body: constants,
 * carries, the slices xs[t]. The body's first outputs are the new carries.
 */
export interface ScanOp {
  readonly kind: 'scan';
  readonly length: number;
  readonly direction: 1 | -1;
  readonly constants: number;
  readonly carries: number;
  readonly body: ScanBody;
  /** Whether its adjoint computes the steps again, from the first carries, instead of reading what they stored. */
  readonly recompute: boolean;
  /** What each output port of the node is. Grows when a transform asks for more. */
  readonly ports: ScanPort[];
}

export interface ScanBody {
  readonly inputs: readonly Value[];
  readonly nodes: readonly Node[];
  /** New carries first. Grows with the ports. */
  readonly outputs: Value[];
}

export type ScanPort =
  /** The carry after the last step. */
  | { readonly kind: 'final'; readonly carry: number }
  /** [length + 1, ...]: slot t is the carry between steps t-1 and t in time order, whichever way the scan runs. */
  | { readonly kind: 'history'; readonly carry: number }
  /** [length, ...]: a body output at each t. */
  | { readonly kind: 'stack'; readonly output: number }
  /** A body output summed over t. */
  | { readonly kind: 'sum'; readonly output: number };

export interface Output {
  readonly name: string;
  readonly value: Value;
  /** The input that this output replaces after the run (same type), or null. */
  readonly updates: string | null;
}

export interface Program {
  readonly inputs: readonly { readonly name: string; readonly value: Value }[];
  readonly nodes: readonly Node[];
  readonly outputs: readonly Output[];
}

export const sizeOf = (shape: Shape): number => shape.reduce((n, d) => n * d, 1);

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i]);

export const float = (...shape: number[]): Type => ({ dtype: 'float', shape });

export const int = (...shape: number[]): Type => ({ dtype: 'int', shape });

/** Whether a value holds one number for each row, [..., 1], as the mean of its features does. */
export const isColumn = ({ type: { shape } }: Value): boolean =>
  shape.length > 1 && shape[shape.length - 1] === 1;

/** "float[2, 3]", for messages and listings. */
export const typeText = (type: Type): string => `${type.dtype}[${type.shape.join(', ')}]`;

/** The inputs of a scan node, named. */
export function scanInputs(node: Node, op: ScanOp) {
  return {
    constants: node.inputs.slice(0, op.constants),
    initial: node.inputs.slice(op.constants, op.constants + op.carries),
    xs: node.inputs.slice(op.constants + op.carries),
  };
}

/** The inputs of a scan's body, named. */
export function bodyInputs(op: ScanOp) {
  return {
    constants: op.body.inputs.slice(0, op.constants),
    carries: op.body.inputs.slice(op.constants, op.constants + op.carries),
    xs: op.body.inputs.slice(op.constants + op.carries),
  };
}

/** The type of a scan's port. */
export function portType(op: ScanOp, port: ScanPort): Type {
  if ('carry' in port) {
    const { dtype, shape } = bodyInputs(op).carries[port.carry]!.type;
    return { dtype, shape: port.kind === 'history' ? [op.length + 1, ...shape] : shape };
  }
  const { dtype, shape } = op.body.outputs[port.output]!.type;
  return { dtype, shape: port.kind === 'stack' ? [op.length, ...shape] : shape };
}
