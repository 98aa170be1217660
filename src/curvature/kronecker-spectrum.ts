/**
 * Eigenvalues of H = sum C(s,zeta) (x) phi_s phi_zeta' from the small matrices it is made of (Naumov, section 3.3 and
 * eq. 101-108; math.md 2.2, 3.5), on the host. They are those of a weight's Gauss-Newton block, and of its Hessian block
 * where phi is no past state: for recurrent weights M + M' is missing, and neither the closed form nor the bounds hold
 * for the whole block.
 */
import { EigenvalueDecomposition, Matrix, SingularValueDecomposition } from 'ml-matrix';
import { eigenvaluesOf } from './dense.js';

type Rows = readonly (readonly number[])[];

/** What one sample adds to H. */
export interface KroneckerSample {
  /** C as a symmetric matrix [T m][T m], row s m + p for unit p at step s. A_k [m][m] in a feed-forward network. */
  readonly C: Rows;
  /** phi, [T][n] */
  readonly seen: Rows;
}

/**
 * All m n eigenvalues of H, ascending. With N = r T pairs (j, s), fewer than n, they are the N m eigenvalues of
 * (G^1/2 (x) I) blkdiag(C) (G^1/2 (x) I), G the Gram matrix of the phi, and zeros. For one sample and one step that is
 * Naumov's Corollary 2 (46), |z|^2 lambda_i(A) and at least (n - 1) m zeros; for a mini-batch (46) does not hold, this
 * does. With N >= n the matrix itself, [m n, m n], is no larger.
 */
export function kroneckerEigenvalues(samples: readonly KroneckerSample[]): number[] {
  const rows = samples.flatMap(({ seen }) => seen);
  const n = rows[0]!.length;
  const m = samples[0]!.C.length / samples[0]!.seen.length;
  if (rows.length >= n) return symmetricEigenvalues(whole(samples, m, n));
  const root = rootOfGram(rows);
  // blkdiag(C), with rows (pair, unit).
  const small = Matrix.zeros(rows.length * m, rows.length * m);
  let from = 0;
  for (const { C } of samples) {
    small.setSubMatrix(mutable(C), from, from);
    from += C.length;
  }
  const wide = root.kroneckerProduct(Matrix.eye(m));
  const found = symmetricEigenvalues(wide.mmul(small).mmul(wide));
  const zeros = new Array<number>((n - rows.length) * m).fill(0);
  return [...found, ...zeros].sort((a, b) => a - b);
}

export interface EigenvalueBounds {
  /** Of each eigenvalue in ascending order, m n of them. */
  readonly lower: number[];
  readonly upper: number[];
}

/**
 * Bounds on every eigenvalue of H for one sample, from C alone (Naumov, eq. 108 with the exact C, which holds for any
 * activation and layer): by Weyl's inequality (101) they lie around those of one step's own product,
 * |phi_t|^2 lambda_i(C(t,t)) and zeros, as far off as the other steps' products (103) and those between steps (104, 107)
 * can move them. Each of those is counted with its own size where the paper has T times the largest, and the best step t
 * is taken for each eigenvalue. For T = 1 the bounds are the eigenvalues.
 */
export function kroneckerBounds({ C, seen }: KroneckerSample): EigenvalueBounds {
  const T = seen.length;
  const n = seen[0]!.length;
  const m = C.length / T;
  const lengths = seen.map((phi) => Math.hypot(...phi));
  const block = (s: number, z: number) =>
    C.slice(s * m, (s + 1) * m).map((row) => row.slice(z * m, (z + 1) * m));
  const own = lengths.map((length, t) => eigenvaluesOf(block(t, t)).map((value) => length ** 2 * value));
  let between = 0;
  for (let s = 0; s < T; s++)
    for (let z = 0; z < s; z++) {
      const { norm2 } = new SingularValueDecomposition(mutable(block(s, z)));
      between += 2 * norm2 * lengths[s]! * lengths[z]!;
    }
  const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
  const down = own.map((values) => Math.min(0, values[0]!));
  const up = own.map((values) => Math.max(0, values.at(-1)!));
  const zeros = new Array<number>((n - 1) * m).fill(0);
  const around = own.map((values, t) => {
    const ascending = [...values, ...zeros].sort((a, b) => a - b);
    const [below, above] = [sum(down) - down[t]! - between, sum(up) - up[t]! + between];
    return { lower: ascending.map((x) => x + below), upper: ascending.map((x) => x + above) };
  });
  return {
    lower: around[0]!.lower.map((_, i) => Math.max(...around.map(({ lower }) => lower[i]!))),
    upper: around[0]!.upper.map((_, i) => Math.min(...around.map(({ upper }) => upper[i]!))),
  };
}

/** Sum over samples, s and zeta of C(s,zeta) (x) phi_s phi_zeta'. */
function whole(samples: readonly KroneckerSample[], m: number, n: number): Matrix {
  const total = Matrix.zeros(m * n, m * n);
  for (const { C, seen } of samples) {
    // [T m, m n], e_s (x) I turned by phi: row (s, p), column (p, q).
    const spread = Matrix.zeros(C.length, m * n);
    seen.forEach((phi, s) => {
      for (let p = 0; p < m; p++) phi.forEach((x, q) => spread.set(s * m + p, p * n + q, x));
    });
    total.add(spread.transpose().mmul(mutable(C)).mmul(spread));
  }
  return total;
}

/** G^1/2 of G = Phi Phi'. */
function rootOfGram(rows: Rows): Matrix {
  const phi = mutable(rows);
  const { realEigenvalues, eigenvectorMatrix: Q } = new EigenvalueDecomposition(phi.mmul(phi.transpose()), {
    assumeSymmetric: true,
  });
  // Rounding may leave a zero eigenvalue below zero.
  const roots = realEigenvalues.map((x) => Math.sqrt(Math.max(0, x)));
  return Q.mmul(Matrix.diag(roots)).mmul(Q.transpose());
}

const symmetricEigenvalues = (matrix: Matrix): number[] => eigenvaluesOf(matrix.to2DArray());

const mutable = (rows: Rows): Matrix => new Matrix(rows.map((row) => [...row]));
