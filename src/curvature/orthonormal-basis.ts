/** An orthonormal basis that grows, in one tensor on the backend. */
import type { Tensor } from '../backend/backend.js';
import { KronogradError } from '../errors.js';
import type { Builder } from '../program/builder.js';
import { float, type Value } from '../program/program.js';
import { precisionOf } from './precision.js';
import type { VectorSpace } from './vector-space.js';

/** Rows that a basis begins with; it doubles when they are full. */
const FIRST_ROWS = 16;

/** What was left of a vector when its part within the basis was taken away. */
export interface Orthogonalised {
  /** Its component along the newest vector of the basis; 0 where there is none. */
  readonly along: number;
  /** The norm of what was left; 0 where that was too little. */
  readonly norm: number;
}

export class OrthonormalBasis implements Disposable {
  /** [capacity, n]: the vectors, then rows of zeros. */
  #rows: Tensor;
  #size = 0;
  /** Row to write (none: -1), newest row, and the share of its length that must be left of a vector. */
  readonly #scalars: Tensor;
  readonly #results: Tensor;

  /** For at most `most` vectors of n elements. @throws KronogradError MEMORY */
  constructor(
    readonly space: VectorSpace,
    readonly n: number,
    readonly most: number,
  ) {
    this.#rows = space.vector(this.#roomFor(Math.min(FIRST_ROWS, most)), n);
    this.#scalars = space.vector(3);
    this.#results = space.vector(2);
  }

  /** How many vectors it has. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of all its rows. */
  get bytes(): number {
    return this.#capacity * this.#bytesOfRow;
  }

  /**
   * unit <- what is left of w without its part within the basis, divided by its norm; zero where that is not more than
   * a share of |w|. It joins the basis where it is not zero and there is room for it. Classical Gram-Schmidt with the
   * whole basis, twice, which is enough (Giraud, Langou, Rozloznik and van den Eshof, 2005); what comes back to the host
   * are two numbers.
   * @throws KronogradError MEMORY when the basis would have to grow beyond what the backend can hold
   */
  async extend(w: Tensor, unit: Tensor, share: number): Promise<Orthogonalised> {
    if (this.#size === this.#capacity && this.#size < this.most) await this.#grow();
    const hasRoom = this.#size < this.most;
    const found = await this.#orthogonalise(w, unit, share, hasRoom ? this.#size : -1);
    if (hasRoom && found.norm > 0) this.#size++;
    return found;
  }

  /** As `extend`, for a vector that does not join. */
  orthogonalise(w: Tensor, unit: Tensor, share: number): Promise<Orthogonalised> {
    return this.#orthogonalise(w, unit, share, -1);
  }

  /** Combinations of the vectors, [k, n], for k lists of as many coefficients. */
  async combine(coefficients: readonly (readonly number[])[]): Promise<Tensor> {
    const [k, m] = [coefficients.length, this.#capacity];
    using weights = this.space.vector(k, m);
    weights.write(coefficients.flatMap((row) => [...row, ...new Array(m - row.length).fill(0)]));
    const build = (on: Builder) => ({
      combined: on.gemm(on.input('weights', float(k, m)), on.input('rows', float(m, this.n))),
    });
    const executable = await this.space.programs.executable(`combine ${k} of ${m} ${this.n}`, build);
    const combined = this.space.vector(k, this.n);
    executable.run({ weights, combined, rows: this.#rows });
    return combined;
  }

  async #orthogonalise(w: Tensor, unit: Tensor, share: number, row: number): Promise<Orthogonalised> {
    this.#scalars.write([row, this.#size - 1, share]);
    const [m, n] = [this.#capacity, this.n];
    await this.space.programs.run(`orthogonalise ${m} ${n}`, (on) => orthogonalisation(on, m, n), {
      ...{ rows: this.#rows, w, scalars: this.#scalars, unit, results: this.#results },
    });
    const [along, norm] = await this.#results.read();
    return { along: along!, norm: norm! };
  }

  async #grow(): Promise<void> {
    const [before, after] = [this.#capacity, this.#roomFor(Math.min(2 * this.#capacity, this.most))];
    const build = (on: Builder) => {
      const rows = on.input('rows', float(before, this.n));
      return { larger: on.concat([rows, on.full([after - before, this.n], 0)], 0) };
    };
    const executable = await this.space.programs.executable(`grow ${before} ${after} ${this.n}`, build);
    const larger = this.space.vector(after, this.n);
    executable.run({ rows: this.#rows, larger });
    this.#rows[Symbol.dispose]();
    this.#rows = larger;
  }

  /** The wanted number of rows, or as many as can be had when that is more than there are. */
  #roomFor(rows: number): number {
    const { buffer } = this.space.backend.capacity;
    const possible = Math.min(rows, Math.floor(buffer / this.#bytesOfRow));
    if (possible > this.#size) return possible;
    const needed = (this.#size + 1) * this.#bytesOfRow;
    throw new KronogradError(
      'MEMORY',
      `a basis of ${this.#size + 1} vectors of ${this.n} numbers takes ${needed} bytes; a buffer here holds ${buffer}`,
      {
        where: 'orthonormal basis',
        fix: `allow at most ${this.#size} steps, or ask for fewer eigenvalues or a larger tolerance`,
      },
    );
  }

  get #capacity(): number {
    return this.#rows.type.shape[0]!;
  }

  get #bytesOfRow(): number {
    return this.n * precisionOf(this.space.backend).bytes;
  }

  [Symbol.dispose](): void {
    for (const tensor of [this.#rows, this.#scalars, this.#results]) tensor[Symbol.dispose]();
  }
}

/** The program of `extend` on m rows: products with tall thin matrices, as sums, which is what they are. */
function orthogonalisation(on: Builder, m: number, n: number) {
  const rows = on.input('rows', float(m, n));
  const [row, newest, share] = on.split(on.input('scalars', float(3)), 0, 3) as [Value, Value, Value];
  const components = (x: Value) => on.sum(on.mul(rows, on.reshape(x, [1, n])), [1]);
  const without = (x: Value, part: Value) => on.sub(x, on.sum(on.mul(rows, on.reshape(part, [m, 1])), [0]));
  const w = on.input('w', float(n));
  const first = components(w);
  const once = without(w, first);
  const second = components(once);
  const left = without(once, second);

  const length = (x: Value) => on.reshape(on.call('sqrt', on.sumAll(on.mul(x, x))), [1]);
  const isKept = on.call('greater', length(left), on.mul(share, length(w)));
  // By a product, so that NaN stays NaN and comes to light.
  const norm = on.mul(isKept, length(left));
  const unit = on.call('select', isKept, on.call('div', left, length(left)), on.constant(0));
  const place = on.iota([m], 0);
  const isNewest = on.call('equal', place, newest);
  const along = on.reshape(on.sumAll(on.mul(isNewest, on.add(first, second))), [1]);
  const isRow = on.reshape(on.call('equal', place, row), [m, 1]);
  return {
    rows: { value: on.call('select', isRow, on.reshape(unit, [1, n]), rows), updates: 'rows' },
    unit,
    results: on.concat([along, norm], 0),
  };
}
