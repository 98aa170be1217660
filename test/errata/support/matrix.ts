/**
 * Dense matrices as nested arrays: what the papers' formulas are written in. Every operation refuses operands whose
 * shapes do not conform, so that a formula that cannot be evaluated is seen to be one.
 */
import { CounterRandom } from '../../../src/data/random.js';

export type Vector = readonly number[];
export type Matrix = readonly Vector[];
/** [T, r, n], or filters [L, m, n]. */
export type Stack = readonly Matrix[];
export type Nested = Vector | readonly Nested[];

/** The shapes of a formula's operands do not conform. */
export class ShapeError extends Error {}

export const shapeOf = (x: Nested | number): number[] =>
  typeof x === 'number' ? [] : [x.length, ...(x.length === 0 ? [] : shapeOf(x[0]!))];

export const flat = (x: Nested): number[] =>
  (x as number[][]).flat(Number.POSITIVE_INFINITY as 1) as number[];

export const times = <X>(n: number, make: (i: number) => X): X[] =>
  Array.from({ length: n }, (_, i) => make(i));

export const zeros = (m: number, n: number): Matrix => times(m, () => times(n, () => 0));

export const eye = (n: number): Matrix => diag(times(n, () => 1));

export const diag = (v: Vector): Matrix => v.map((x, i) => v.map((_, j) => (i === j ? x : 0)));

/** The transpose. */
export const T = (A: Matrix): Matrix => A[0]!.map((_, j) => A.map((row) => row[j]!));

function conform(ok: boolean, what: string, ...operands: Nested[]): void {
  if (!ok) throw new ShapeError(`${what} of ${operands.map((x) => `[${shapeOf(x)}]`).join(' and ')}`);
}

function zip<X extends Nested>(what: string, f: (a: number, b: number) => number, a: X, b: X): X {
  conform(`${shapeOf(a)}` === `${shapeOf(b)}`, what, a, b);
  const join = (x: Nested | number, y: Nested | number): Nested | number =>
    typeof x === 'number' ? f(x, y as number) : (x.map((v, i) => join(v, (y as Nested)[i]!)) as Nested);
  return join(a, b) as X;
}

/** The sum of all terms. */
export const add = <X extends Nested>(first: X, ...rest: X[]): X =>
  rest.reduce((a, b) => zip('sum', (x, y) => x + y, a, b), first);

export const sum = <X extends Nested>(terms: readonly X[]): X => add(terms[0]!, ...terms.slice(1));

export const sub = <X extends Nested>(a: X, b: X): X => zip('difference', (x, y) => x - y, a, b);

/** The element-wise product of all factors. */
export const had = <X extends Nested>(first: X, ...rest: X[]): X =>
  rest.reduce((a, b) => zip('element-wise product', (x, y) => x * y, a, b), first);

export const map = <X extends Nested>(a: X, f: (x: number) => number): X => zip('map', f, a, a);

export const scale = <X extends Nested>(a: X, c: number): X => map(a, (x) => c * x);

/** The matrix product, left to right. */
export const mul = (first: Matrix, ...rest: Matrix[]): Matrix =>
  rest.reduce((A, B) => {
    conform(A[0]!.length === B.length, 'product', A, B);
    const columns = T(B);
    return A.map((row) => columns.map((column) => dot(row, column)));
  }, first);

/** A x */
export const mv = (A: Matrix, x: Vector): Vector => {
  conform(A[0]!.length === x.length, 'product', A, x);
  return A.map((row) => dot(row, x));
};

export const dot = (a: Vector, b: Vector): number => {
  conform(a.length === b.length, 'inner product', a, b);
  return a.reduce((s, x, i) => s + x * b[i]!, 0);
};

/** a b' */
export const outer = (a: Vector, b: Vector): Matrix => a.map((x) => b.map((y) => x * y));

/** (A x B)[(p,q),(i,h)] = A[p,i] B[q,h] (math.md 0.2). */
export const kron = (A: Matrix, B: Matrix): Matrix =>
  A.flatMap((row) => B.map((below) => row.flatMap((a) => below.map((b) => a * b))));

export const concat = (...parts: Vector[]): Vector => parts.flat();

/** Matrices side by side. */
export const beside = (...parts: Matrix[]): Matrix =>
  parts[0]!.map((_, i) => parts.flatMap((A) => [...A[i]!]));

/** The product of factors k = from..to with the last one leftmost; the identity of size n for none. */
export const descending = (n: number, from: number, to: number, factor: (k: number) => Matrix): Matrix =>
  times(Math.max(0, to - from + 1), (i) => factor(from + i)).reduce((Q, F) => mul(F, Q), eye(n));

/** The product of factors k = from..to with the first one leftmost. */
export const ascending = (n: number, from: number, to: number, factor: (k: number) => Matrix): Matrix =>
  times(Math.max(0, to - from + 1), (i) => factor(from + i)).reduce((Q, F) => mul(Q, F), eye(n));

/** By Gauss and Jordan, with pivots. */
export function inverse(A: Matrix): Matrix {
  const n = A.length;
  const rows = A.map((row, i) => [...row, ...times(n, (j) => (i === j ? 1 : 0))]);
  for (let c = 0; c < n; c++) {
    const pivot = times(n - c, (i) => c + i).reduce((a, b) =>
      Math.abs(rows[b]![c]!) > Math.abs(rows[a]![c]!) ? b : a,
    );
    [rows[c], rows[pivot]] = [rows[pivot]!, rows[c]!];
    const top = rows[c]!.map((x) => x / rows[c]![c]!);
    rows.forEach((row, i) => (rows[i] = i === c ? top : row.map((x, j) => x - row[c]! * top[j]!)));
  }
  return rows.map((row) => row.slice(n));
}

/** Singular values, largest first, by one-sided Jacobi rotations (Hestenes): small ones are accurate too. */
export function singularValues(A: Matrix): number[] {
  const columns = T(A.length >= A[0]!.length ? A : T(A)).map((c) => [...c]);
  for (let sweep = 0; sweep < 60; sweep++) {
    let rotated = false;
    for (let p = 0; p < columns.length; p++)
      for (let q = p + 1; q < columns.length; q++) {
        const [a, b] = [columns[p]!, columns[q]!];
        const [aa, bb, ab] = [dot(a, a), dot(b, b), dot(a, b)];
        if (Math.abs(ab) <= 1e-16 * Math.sqrt(aa * bb)) continue;
        rotated = true;
        const [c, s] = rotation((bb - aa) / (2 * ab));
        columns[p] = a.map((x, i) => c * x - s * b[i]!);
        columns[q] = a.map((x, i) => s * x + c * b[i]!);
      }
    if (!rotated) break;
  }
  return columns.map((c) => Math.sqrt(dot(c, c))).sort((x, y) => y - x);
}

/** cos and sin of the Jacobi rotation with cot 2 phi = tau. */
function rotation(tau: number): [number, number] {
  const t = (tau >= 0 ? 1 : -1) / (Math.abs(tau) + Math.hypot(1, tau));
  const c = 1 / Math.hypot(1, t);
  return [c, c * t];
}

/** Eigenvalues, smallest first, and eigenvectors as columns of a symmetric matrix, by Jacobi rotations. */
export function symmetricEigen(A: Matrix): { values: number[]; vectors: Matrix } {
  const n = A.length;
  const S = A.map((row, i) => row.map((x, j) => (x + A[j]![i]!) / 2));
  const V = eye(n).map((row) => [...row]);
  const size = Math.sqrt(dot(flat(S), flat(S)));
  for (let sweep = 0; sweep < 60; sweep++) {
    let rotated = false;
    for (let p = 0; p < n; p++)
      for (let q = p + 1; q < n; q++) {
        const pq = S[p]![q]!;
        if (Math.abs(pq) <= 1e-17 * size) continue;
        rotated = true;
        const [c, s] = rotation((S[q]![q]! - S[p]![p]!) / (2 * pq));
        const turn = (row: number[]) => {
          const [x, y] = [row[p]!, row[q]!];
          row[p] = c * x - s * y;
          row[q] = s * x + c * y;
        };
        S.forEach(turn);
        V.forEach(turn);
        const [a, b] = [S[p]!, S[q]!];
        S[p] = a.map((x, i) => c * x - s * b[i]!);
        S[q] = a.map((x, i) => s * x + c * b[i]!);
      }
    if (!rotated) break;
  }
  const order = times(n, (i) => i).sort((i, j) => S[i]![i]! - S[j]![j]!);
  return { values: order.map((i) => S[i]![i]!), vectors: V.map((row) => order.map((i) => row[i]!)) };
}

/** Eigenvalues of a symmetric matrix, smallest first. */
export const eigenvalues = (A: Matrix): number[] => symmetricEigen(A).values;

/** The spectral norm. */
export const norm2 = (A: Matrix): number => singularValues(A)[0]!;

/** The spectral radius of a matrix of positive elements, by power iteration. */
export function perron(A: Matrix): number {
  let x: Vector = A.map(() => 1);
  let rho = 0;
  for (let i = 0; i < 500; i++) {
    const y = mv(A, x);
    rho = Math.max(...y);
    x = scale(y, 1 / rho);
  }
  return rho;
}

/** max|a - b| / max|b|, the error of section 13; infinite for different shapes. */
export function off(a: Nested, b: Nested): number {
  if (`${shapeOf(a)}` !== `${shapeOf(b)}`) return Number.POSITIVE_INFINITY;
  const [x, y] = [flat(a), flat(b)];
  const largest = Math.max(...y.map(Math.abs));
  const worst = Math.max(
    ...x.map((v, i) => (Number.isNaN(v) ? Number.POSITIVE_INFINITY : Math.abs(v - y[i]!))),
  );
  if (!(largest > 1e-6)) throw new Error('the truth vanishes: comparing with it would prove nothing');
  return worst / largest;
}

/** Draws vectors and matrices. */
export class Draw {
  readonly #random: CounterRandom;

  constructor(seed: number) {
    this.#random = new CounterRandom(seed);
  }

  uniform = (low: number, high: number): number => low + (high - low) * this.#random.uniform();

  integer = (low: number, high: number): number => low + this.#random.integer(high - low + 1);

  vector = (n: number, deviation = 1, mean = 0): Vector =>
    times(n, () => mean + deviation * this.#random.normal());

  matrix = (m: number, n: number, deviation = 1): Matrix => times(m, () => this.vector(n, deviation));

  /** Normal elements whose rows have length `gain` on average. */
  weight = (m: number, n: number, gain = 1.3): Matrix => this.matrix(m, n, gain / Math.sqrt(n));

  stack = (l: number, m: number, n: number, deviation = 1): Stack =>
    times(l, () => this.matrix(m, n, deviation));

  uniforms = (n: number, low: number, high: number): Vector => times(n, () => this.uniform(low, high));

  oneHot = (n: number): Vector => {
    const at = this.integer(0, n - 1);
    return times(n, (i) => (i === at ? 1 : 0));
  };
}

/** An activation's value and its first two derivatives as functions of y (math.md 0.3). */
export interface Activation {
  readonly f: (y: number) => number;
  readonly d1: (y: number) => number;
  readonly d2: (y: number) => number;
}

const logistic = (y: number) => 1 / (1 + Math.exp(-y));

export const activations = {
  identity: { f: (y) => y, d1: () => 1, d2: () => 0 },
  tanh: {
    f: Math.tanh,
    d1: (y) => 1 - Math.tanh(y) ** 2,
    d2: (y) => -2 * Math.tanh(y) * (1 - Math.tanh(y) ** 2),
  },
  sigmoid: {
    f: logistic,
    d1: (y) => logistic(y) * (1 - logistic(y)),
    d2: (y) => logistic(y) * (1 - logistic(y)) * (1 - 2 * logistic(y)),
  },
  softplus: { f: (y) => Math.log1p(Math.exp(y)), d1: logistic, d2: (y) => logistic(y) * (1 - logistic(y)) },
  relu: { f: (y) => Math.max(0, y), d1: (y) => (y > 0 ? 1 : 0), d2: () => 0 },
} as const satisfies Record<string, Activation>;

export const softmax = (o: Vector): Vector => {
  const e = o.map((x) => Math.exp(x - Math.max(...o)));
  return e.map((x) => x / e.reduce((a, b) => a + b));
};
