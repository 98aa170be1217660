/**
 * What the gradient of a weight matrix is made of: products of what flows back with what flowed forwards. For y = W z
 * it is the sum over samples and steps of v z' with v = dL/dy, in the adjoint program one product, often inside a scan
 * and summed over time. Here a gradient is followed back to those products, so that no layer or cell need know of it.
 */
import { KronogradError } from '../errors.js';
import type { Builder } from '../program/builder.js';
import { type Node, sizeOf, type Value } from '../program/program.js';
import { column } from '../program/softmax.js';

/** N vectors: the rows of a matrix [N, size], or one-hot ones by their classes, int[N] below size. */
export interface Rows {
  readonly kind: 'dense' | 'one-hot';
  /** float[N, size], or int[N] below size. */
  readonly value: Value;
  readonly size: number;
}

/**
 * sum over n of left_n right_n', N = T r of them with n = t r + j. Of y = W z, left is v and right is z; of an
 * embedding, whose table holds the vectors as rows, left is one-hot and right is v; of a vector of parameters, a bias
 * or a gain, left is each row's own gradient and right is 1.
 */
export interface GradientFactors {
  readonly left: Rows;
  readonly right: Rows;
}

/**
 * The factors of the gradient of one parameter: of a matrix [m, n] or a vector [m], or of each matrix in turn of a
 * stack [count, m, n] of them. Where a matrix is used more than once, its uses follow each other among the rows. None
 * for a parameter that the loss does not depend on.
 *
 * Samples have to be rows, as in `Builder.linear`. Asks scans for values of their steps.
 * @throws KronogradError PROGRAM for a parameter that is not used linearly. `name` is what it is called there.
 */
export function gradientFactors(on: Builder, gradient: Value, name: string): (GradientFactors | null)[] {
  const { shape } = gradient.type;
  const trace = new Trace(on, name, null);
  if (shape.length === 0 || shape.length > 3) throw notLinear(name);
  if (shape.length === 1) {
    const factors = together(on, trace.matrix(gradient), name);
    return [factors && { left: factors.right, right: factors.left }];
  }
  if (shape.length === 2) return [together(on, trace.matrix(gradient), name)];
  return Array.from({ length: shape[0]! }, (_, i) => together(on, trace.ofStack(gradient, i), name));
}

class Trace {
  constructor(
    private readonly on: Builder,
    private readonly name: string,
    /** The scan in whose body the values are. */
    private readonly scan: Node | null,
  ) {}

  /**
   * The pairs whose products add up to a value [m, n]; [n] counts as [1, n]. A sum over the first axis that is met is one
   * of rows, as for a bias, or of the rows of a gradient [m, n].
   */
  matrix(value: Value, sumOf: 'rows' | 'gradient' = 'rows'): GradientFactors[] {
    const { on } = this;
    const { op, inputs } = value.node;
    const [x, y] = inputs as [Value, Value];
    switch (op.kind) {
      case 'gemm':
        if (!op.transA || op.transB) break;
        return [{ left: this.#dense(x), right: this.#dense(y) }];
      case 'scatterAdd': {
        const classes = this.#everywhere(x);
        const hot: Rows = {
          kind: 'one-hot',
          value: on.reshape(classes, [sizeOf(classes.type.shape)]),
          size: op.size,
        };
        const dense = this.#dense(y);
        return [op.axis === 0 ? { left: hot, right: dense } : { left: dense, right: hot }];
      }
      case 'sum': {
        if (value.type.shape.length !== 1 || op.axes.length === x.type.shape.length) break;
        if (sumOf === 'gradient') return this.#onLeft(x, sumOf, (v) => column(on, on.sum(v, [1])));
        const right = this.#dense(x);
        return [{ left: dense(on.full([right.value.type.shape[0]!, 1], 1)), right }];
      }
      case 'broadcast': {
        const m = op.shape[0]!;
        if (op.shape.length !== 2 || x.type.shape[0] !== 1) break;
        return this.#onLeft(x, 'gradient', (v) => on.broadcast(v, [v.type.shape[0]!, m]));
      }
      case 'reshape': {
        const [from, to] = [x.type.shape, op.shape].map((shape) => shape.filter((d) => d !== 1));
        if (from!.join() !== to!.join()) break;
        return x.type.shape.length === 3 ? this.ofStack(x, 0) : this.matrix(x, sumOf);
      }
      case 'map':
        if (op.fn === 'add') return [...this.matrix(x, sumOf), ...this.matrix(y, sumOf)];
        if (op.fn === 'neg') return this.#onLeft(x, sumOf, (v) => on.call('neg', v));
        if (op.fn === 'mul' && isNumber(y))
          return this.#onLeft(x, sumOf, (v) => on.mul(v, on.constant(y.node.op.value)));
        break;
      case 'scan': {
        const port = op.ports[value.port]!;
        if (port.kind === 'sum') return this.#inside(value.node).matrix(op.body.outputs[port.output]!, sumOf);
        break;
      }
    }
    if (isZero(value)) return [];
    throw notLinear(this.name);
  }

  /** The pairs of matrix i of a value [count, m, n]. */
  ofStack(value: Value, i: number): GradientFactors[] {
    const { op, inputs } = value.node;
    const [x, y] = inputs as [Value, Value];
    switch (op.kind) {
      case 'gemm':
        if (!op.transA || op.transB) break;
        return [{ left: this.#dense(x, i), right: this.#dense(y, i) }];
      case 'reshape':
        if (x.type.shape.length === 2 && value.type.shape[0] === 1) return this.matrix(x);
        break;
      case 'concat': {
        if (op.axis !== 0) break;
        let start = 0;
        for (const piece of inputs) {
          const count = piece.type.shape[0]!;
          if (i < start + count) return this.ofStack(piece, i - start);
          start += count;
        }
        break;
      }
      case 'map':
        if (op.fn === 'add') return [...this.ofStack(x, i), ...this.ofStack(y, i)];
        break;
      case 'scan': {
        const port = op.ports[value.port]!;
        if (port.kind === 'sum') return this.#inside(value.node).ofStack(op.body.outputs[port.output]!, i);
        break;
      }
    }
    if (isZero(value)) return [];
    throw notLinear(this.name);
  }

  #onLeft(value: Value, sumOf: 'rows' | 'gradient', change: (rows: Value) => Value): GradientFactors[] {
    return this.matrix(value, sumOf).map(({ left, right }) => {
      if (left.kind !== 'dense') throw notLinear(this.name);
      return { left: dense(change(left.value)), right };
    });
  }

  /** Rows [..., size], or those of matrix i of [count, rows, size]: at every step, as [N, size]. */
  #dense(value: Value, i?: number): Rows {
    const all = this.#everywhere(value);
    const { shape } = all.type;
    const chosen = i === undefined ? all : this.on.slice(all, shape.length - 3, i, 1);
    const size = shape.at(-1)!;
    return dense(this.on.reshape(chosen, [sizeOf(chosen.type.shape) / size, size]));
  }

  /** A value as it is outside of scans: that of a body stacked over its steps. */
  #everywhere(value: Value): Value {
    return this.scan === null ? value : this.on.stackOf(this.scan, value);
  }

  #inside(scan: Node): Trace {
    if (this.scan !== null) throw notLinear(this.name);
    return new Trace(this.on, this.name, scan);
  }
}

const dense = (value: Value): Rows => ({ kind: 'dense', value, size: value.type.shape[1]! });

type NumberValue = Value & { readonly node: { readonly op: { readonly kind: 'constant' } } };

const isNumber = (value: Value): value is NumberValue => value.node.op.kind === 'constant';

function isZero({ node: { op, inputs } }: Value): boolean {
  if (op.kind === 'constant') return op.value === 0;
  return (op.kind === 'broadcast' || op.kind === 'reshape') && isZero(inputs[0]!);
}

/** All as one: pairs with the same right side have their left sides added, the others follow each other as rows. */
function together(on: Builder, pairs: readonly GradientFactors[], name: string): GradientFactors | null {
  const merged: GradientFactors[] = [];
  for (const pair of pairs) {
    const twin = merged.findIndex(({ right }) => right.value === pair.right.value);
    if (twin < 0) merged.push(pair);
    else merged[twin] = { left: dense(on.add(merged[twin]!.left.value, pair.left.value)), right: pair.right };
  }
  const [first] = merged;
  if (first === undefined) return null;
  const joined = (side: 'left' | 'right'): Rows => {
    const { kind, size } = first[side];
    if (merged.some((pair) => pair[side].kind !== kind)) throw notLinear(name);
    const parts = merged.map((pair) => pair[side].value);
    return { kind, size, value: on.concat(parts, 0) };
  };
  return { left: joined('left'), right: joined('right') };
}

const notLinear = (name: string) =>
  new KronogradError('PROGRAM', `the gradient by '${name}' is no sum of products of two vectors`, {
    where: name,
    fix: 'use it as the matrix of a linear map of rows or as a factor of each row, or choose a method that does not need Kronecker factors',
  });
