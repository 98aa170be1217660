/**
 * The blocks of K-FAC (Martens and Grosse 2015, section 3): which parameters share a Kronecker product left (x) right,
 * and its factors on a batch. Weights to which one vector of derivatives belongs, as in y = W x + U h + b, are one block,
 * that of [W U b]: [x; h; 1] is its right side, and a bias needs no rule of its own.
 */
import { KronogradError } from '../errors.js';
import type { Parameters } from '../model/parameters.js';
import { adjoint } from '../program/adjoint.js';
import type { Builder } from '../program/builder.js';
import { dependents } from '../program/dependence.js';
import { type Shape, sizeOf, type Value } from '../program/program.js';
import { gradientFactors, type Rows } from './gradient-factors.js';
import { unitMatrix } from './unit-matrix.js';

/** The matrix of a block, [m, n]: matrices of parameters side by side. */
export interface KfacBlock {
  /** Matrices [m, columns], row by row from `offset` of theta. */
  readonly parts: readonly BlockPart[];
  /** Shapes of the factors: [m, m] and [n, n]; of those that are diagonal, [m] and [n]. */
  readonly left: Shape;
  readonly right: Shape;
}

interface BlockPart {
  readonly parameter: string;
  readonly offset: number;
  readonly columns: number;
}

/** Both factors of a block, of the shapes that it says. */
export interface KroneckerPair {
  readonly left: Value;
  readonly right: Value;
}

/**
 * What the steps of a sample are to a weight that they share (Eschenhagen et al. 2023): to `expand`, vectors of their
 * own, as samples are; to `reduce`, one vector, the sum of what flows back at each of them and the mean of what flowed
 * forwards.
 */
export type TimeTreatment = 'expand' | 'reduce';

export interface VectorOptions {
  readonly time: TimeTreatment;
  /** r */
  readonly samples: number;
}

/** A block with the vectors whose products add up to its gradient. */
export interface BlockVectors {
  readonly block: KfacBlock;
  readonly left: Rows;
  readonly right: Rows;
}

/** What flows back from an output to the parameters in theta [P]. */
export interface Flow {
  readonly theta: Value;
  readonly output: Value;
  /** Of the output's shape. */
  readonly adjoint: Value;
}

/**
 * The blocks of a model, with the vectors that are met on the way back from its output. A parameter to which nothing flows
 * is in none of them.
 * @throws KronogradError PROGRAM for a parameter that is not used linearly (see `gradientFactors`)
 */
export function blockVectors(
  on: Builder,
  parameters: Parameters,
  { theta, output, adjoint: flowing }: Flow,
  options: VectorOptions,
): BlockVectors[] {
  const { specs } = parameters;
  const views = specs.map(({ name }) => parameters.view(on, theta, name));
  requireViews(on, theta, views, output);
  const gradients = adjoint(on, [{ value: output, adjoint: flowing }], views);
  const groups: { left: Rows; rights: Rows[]; parts: BlockPart[] }[] = [];
  let offset = 0;
  specs.forEach(({ name }, i) => {
    const size = sizeOf(gradients[i]!.type.shape);
    const matrices = gradientFactors(on, gradients[i]!, name);
    matrices.forEach((factors, k) => {
      if (factors === null) return;
      const { left, right } = factors;
      const start = offset + (k * size) / matrices.length;
      const part = { parameter: name, offset: start, columns: right.size };
      const joins = ({ kind }: Rows) => kind === 'dense' && right.kind === 'dense';
      const group = groups.find((g) => g.left.value === left.value && g.rights.every(joins));
      if (group === undefined) groups.push({ left, rights: [right], parts: [part] });
      else {
        group.rights.push(right);
        group.parts.push(part);
      }
    });
    offset += size;
  });
  return groups.map(({ left, rights, parts }) => {
    const sides = { left: overTime(on, left, options, 'sum'), right: joined(on, rights, options) };
    return { block: { parts, left: factorShape(sides.left), right: factorShape(sides.right) }, ...sides };
  });
}

/** Every way from theta to the output has to lead through a parameter. */
function requireViews(on: Builder, theta: Value, views: readonly Value[], output: Value): void {
  const own = new Set(views.map(({ node }) => node));
  const others = on.nodes.filter((node) => !own.has(node));
  if (!own.has(theta.node) && dependents(others, new Set([theta])).has(output))
    throw new KronogradError('PROGRAM', 'the model reads theta otherwise than parameter by parameter', {
      where: 'theta',
      fix: 'take parameters from `Parameters.view`',
    });
}

const factorShape = ({ kind, size }: Rows): Shape => (kind === 'dense' ? [size, size] : [size]);

function joined(on: Builder, rights: readonly Rows[], options: VectorOptions): Rows {
  const all = rights.map((rows) => overTime(on, rows, options, 'mean'));
  if (all.length === 1) return all[0]!;
  const value = on.concat(
    all.map((rows) => rows.value),
    1,
  );
  return { kind: 'dense', value, size: value.type.shape[1]! };
}

/** The vectors as time is treated: those of `reduce` are one for each sample. */
function overTime(on: Builder, rows: Rows, { time, samples }: VectorOptions, how: 'sum' | 'mean'): Rows {
  if (time === 'expand') return rows;
  const { size } = rows;
  // A mean of one-hot vectors is none.
  const dense = rows.kind === 'dense' ? rows.value : on.gather(unitMatrix(on, size), rows.value);
  const steps = dense.type.shape[0]! / samples;
  const sum = on.sum(on.reshape(dense, [steps, samples, size]), [0]);
  return { kind: 'dense', value: how === 'sum' ? sum : on.mul(sum, on.constant(1 / steps)), size };
}

/**
 * The sums of left left' and of right right'. With the second over the number of vectors, left (x) right stands for the
 * sum over vectors of both products at once.
 */
export const secondMoments = (on: Builder, { left, right }: BlockVectors): KroneckerPair => ({
  left: secondMoment(on, left),
  right: secondMoment(on, right),
});

/** How many vectors a block has. */
export const vectorCount = ({ left }: BlockVectors): number => left.value.type.shape[0]!;

/** The sum of x x' over vectors x; of one-hot ones, its diagonal: how often each class occurs. */
function secondMoment(on: Builder, { kind, value, size }: Rows): Value {
  if (kind === 'dense') return on.gemm(value, value, { transA: true });
  const ones = on.full([value.type.shape[0]!, 1], 1);
  return on.reshape(on.scatterAdd(value, ones, size), [size]);
}

/** The block-diagonal matrix of all left (x) right times vectors [P] or [k, P]: left V right for each block V. */
export function kroneckerProducts(
  on: Builder,
  blocks: readonly KfacBlock[],
  factors: readonly KroneckerPair[],
  vectors: Value,
): Value {
  const size = vectors.type.shape.at(-1)!;
  const k = sizeOf(vectors.type.shape) / size;
  const flat = on.reshape(vectors, [k, size]);
  const pieces: { offset: number; value: Value }[] = [];
  blocks.forEach(({ parts, left }, i) => {
    const m = left[0]!;
    const matrices = parts.map(({ offset, columns }) =>
      on.reshape(on.slice(flat, 1, offset, m * columns), [k, m, columns]),
    );
    const product = kroneckerProduct(on, factors[i]!, on.concat(matrices, 2));
    let from = 0;
    for (const { offset, columns } of parts) {
      const value = on.reshape(on.slice(product, 2, from, columns), [k, m * columns]);
      pieces.push({ offset, value });
      from += columns;
    }
  });
  return on.reshape(filled(on, pieces, [k, size]), vectors.type.shape);
}

/** left V right for each V of [k, m, n]. */
function kroneckerProduct(on: Builder, { left, right }: KroneckerPair, v: Value): Value {
  const [k, m, n] = v.type.shape as [number, number, number];
  const scaled =
    right.type.shape.length === 1
      ? on.mul(v, right)
      : on.reshape(on.gemm(on.reshape(v, [k * m, n]), right), [k, m, n]);
  if (left.type.shape.length === 1) return on.mul(scaled, on.reshape(left, [m, 1]));
  if (k === 1) return on.reshape(on.gemm(left, on.reshape(scaled, [m, n])), [1, m, n]);
  const beside = on.reshape(on.transpose(scaled, [1, 0, 2]), [m, k * n]);
  return on.transpose(on.reshape(on.gemm(left, beside), [m, k, n]), [1, 0, 2]);
}

/** Pieces [k, ...] of rows [k, size], with zeros where there are none. */
function filled(
  on: Builder,
  pieces: readonly { readonly offset: number; readonly value: Value }[],
  [k, size]: [number, number],
): Value {
  const all: Value[] = [];
  let at = 0;
  const fillTo = (offset: number) => {
    if (offset > at) all.push(on.full([k, offset - at], 0));
  };
  for (const { offset, value } of [...pieces].sort((a, b) => a.offset - b.offset)) {
    fillTo(offset);
    all.push(value);
    at = offset + value.type.shape[1]!;
  }
  fillTo(size);
  return on.concat(all, 1);
}

/** Bytes of the factors of all blocks, in floats of `bytes`. */
export const factorBytes = (blocks: readonly KfacBlock[], bytes: number): number =>
  blocks.reduce((sum, { left, right }) => sum + bytes * (sizeOf(left) + sizeOf(right)), 0);
