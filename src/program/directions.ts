/**
 * How tangents along k directions at once are laid out: that of a value [..., n] is [..., k, n], and that of a number is
 * [k]. Time and samples stay in front, so that a scan stacks such tangents like any value; and with the directions beside
 * the features, k products with one matrix are one product of k times the rows or columns. Along a single direction
 * (k null) a tangent has its value's own shape.
 */
import type { Builder } from './builder.js';
import type { Op, Shape, Value } from './program.js';

type Gemm = Extract<Op, { kind: 'gemm' }>;

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

export class Directions {
  constructor(readonly k: number | null) {}

  /** The tangent's shape for a value's. */
  shape(of: Shape): Shape {
    if (this.k === null) return of;
    return [...of.slice(0, -1), this.k, ...of.slice(-1)];
  }

  /** The place of a value's axis in its tangent. */
  axis(axis: number, rank: number): number {
    return this.k !== null && axis === rank - 1 ? rank : axis;
  }

  zero(on: Builder, of: Value): Value {
    return on.full(this.shape(of.type.shape), 0);
  }

  /** The tangent of a value [...] from its directions in front, [k, ...]. */
  inward(on: Builder, directions: Value): Value {
    return this.#move(on, directions, 0, directions.type.shape.length - 2);
  }

  /** The opposite: the directions in front. */
  outward(on: Builder, tangent: Value): Value {
    return this.#move(on, tangent, tangent.type.shape.length - 2, 0);
  }

  /** A value that holds for all directions, as it meets tangents of its own rank in arithmetic. */
  spread(on: Builder, value: Value): Value {
    const { shape } = value.type;
    if (this.k === null || shape.length === 0) return value;
    return on.reshape(value, [...shape.slice(0, -1), 1, ...shape.slice(-1)]);
  }

  /** The tangent of a value as one of rank `rank`, with ones in front. */
  align(on: Builder, tangent: Value, valueRank: number, rank: number): Value {
    // A number's [k] has no axis of features to stand before.
    if (this.k === null || valueRank > 0 || rank === 0) return tangent;
    return on.reshape(tangent, [this.k, 1]);
  }

  broadcast(on: Builder, tangent: Value, from: Shape, to: Shape): Value {
    return on.broadcast(this.align(on, tangent, from.length, to.length), this.shape(to));
  }

  sum(on: Builder, tangent: Value, axes: readonly number[], rank: number): Value {
    const summed = on.sum(
      tangent,
      axes.map((axis) => this.axis(axis, rank)),
    );
    const kept = rank - axes.length;
    // Without its features a tangent [..., p, k] has the directions last.
    if (this.k === null || kept === 0 || !axes.includes(rank - 1)) return summed;
    return this.#move(on, summed, kept, kept - 1);
  }

  reshape(on: Builder, tangent: Value, from: Shape, to: Shape): Value {
    if (this.k === null || (from.length > 0 && to.length > 0 && from.at(-1) === to.at(-1)))
      return on.reshape(tangent, this.shape(to));
    return this.inward(on, on.reshape(this.outward(on, tangent), [this.k, ...to]));
  }

  transpose(on: Builder, tangent: Value, permutation: readonly number[]): Value {
    const rank = permutation.length;
    if (this.k === null || rank === 0) return on.transpose(tangent, permutation);
    const axes = permutation.map((axis) => this.axis(axis, rank));
    return on.transpose(tangent, [...axes.slice(0, -1), rank - 1, ...axes.slice(-1)]);
  }

  /** dA B */
  gemmLeft(on: Builder, tangent: Value, b: Value, op: Gemm): Value {
    if (this.k === null) return on.gemm(tangent, b, op);
    const [batch, rows, columns] = matrix(tangent);
    if (!op.transA) {
      const product = on.gemm(on.reshape(tangent, [...batch, rows * this.k, columns]), b, op);
      return on.reshape(product, [...batch, rows, this.k, product.type.shape.at(-1)!]);
    }
    const product = on.gemm(on.reshape(tangent, [...batch, rows, this.k * columns]), b, op);
    return this.inMatrix(on, on.reshape(product, [...batch, this.k, columns, product.type.shape.at(-1)!]));
  }

  /** A dB */
  gemmRight(on: Builder, a: Value, tangent: Value, op: Gemm): Value {
    if (this.k === null) return on.gemm(a, tangent, op);
    const [batch, rows, columns] = matrix(tangent);
    const flat = op.transB
      ? on.reshape(this.inMatrix(on, tangent), [...batch, this.k * rows, columns])
      : on.reshape(tangent, [...batch, rows, this.k * columns]);
    const product = on.gemm(a, flat, op);
    return on.reshape(product, [...batch, product.type.shape.at(-2)!, this.k, op.transB ? rows : columns]);
  }

  gather(on: Builder, tangent: Value, ids: Value, axis: 0 | 1): Value {
    if (this.k === null) return on.gather(tangent, ids, axis);
    const [, rows, columns] = matrix(tangent);
    const found =
      axis === 0
        ? on.gather(on.reshape(tangent, [rows, this.k * columns]), ids, 0)
        : on.gather(on.reshape(this.inMatrix(on, tangent), [this.k * rows, columns]), ids, 1);
    return on.reshape(found, [...ids.type.shape, this.k, axis === 0 ? columns : rows]);
  }

  scatterAdd(on: Builder, ids: Value, tangent: Value, size: number, axis: 0 | 1): Value {
    if (this.k === null) return on.scatterAdd(ids, tangent, size, axis);
    const width = tangent.type.shape.at(-1)!;
    const flat = on.reshape(tangent, [...ids.type.shape, this.k * width]);
    const added = on.scatterAdd(ids, flat, size, axis);
    if (axis === 0) return on.reshape(added, [size, this.k, width]);
    return this.inMatrix(on, on.reshape(added, [this.k, width, size]));
  }

  /** A step's tangents stacked over time as the tangent of the stack, for a step's value of the given rank. */
  fromSteps(on: Builder, stacked: Value, rank: number): Value {
    return this.k === null || rank > 0 ? stacked : on.transpose(stacked, [1, 0]);
  }

  /** The tangent of something over time as what its steps see of it. */
  toSteps(on: Builder, tangent: Value, rank: number): Value {
    return this.k === null || rank > 0 ? tangent : on.transpose(tangent, [1, 0]);
  }

  /** Matrices [..., m, k, n] as [..., k, m, n], and the other way round. */
  inMatrix(on: Builder, tangent: Value): Value {
    const rank = tangent.type.shape.length;
    return this.#move(on, tangent, rank - 3, rank - 2);
  }

  #move(on: Builder, value: Value, from: number, to: number): Value {
    if (this.k === null || value.type.shape.length < 2) return value;
    const order = range(value.type.shape.length).filter((axis) => axis !== from);
    order.splice(to, 0, from);
    return on.transpose(value, order);
  }
}

/** Of a tangent of matrices, [...batch, rows, k, columns], the sizes without k. */
function matrix(tangent: Value): [batch: readonly number[], rows: number, columns: number] {
  const { shape } = tangent.type;
  return [shape.slice(0, -3), shape.at(-3)!, shape.at(-1)!];
}
