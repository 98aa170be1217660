/**
 * sum over s, zeta of C(s,zeta) (x) phi_s phi_zeta' with every C(s,zeta) stored (math.md 2.2, 3.2): [r, T, T, m, m] numbers
 * for a weight [m, n]. From it come products for many vectors as batched matrix products, and what no product gives: the
 * dense block, its diagonal and its trace.
 */
import type { Numbers, Tensor } from '../backend/backend.js';
import { mebibytes } from '../backend/capacity.js';
import { Scope } from '../dispose.js';
import { KronogradError } from '../errors.js';
import type { Builder } from '../program/builder.js';
import { sizeOf, type Value } from '../program/program.js';
import type { CurvatureProblem } from './batch-products.js';
import { parameterShape } from './blocks.js';
import {
  BatchFactors,
  curvatureBytes,
  type ExplicitPart,
  type FactorSizes,
  factorSizes,
  hasRoom,
} from './kronecker-factors.js';
import { type KroneckerSample, kroneckerEigenvalues } from './kronecker-spectrum.js';
import { SymmetricOperator } from './linear-operator.js';
import { unitMatrix } from './unit-matrix.js';
import type { VectorSpace } from './vector-space.js';

/** A weight's sum of Kronecker products as an operator that owns C and phi. */
export class ExplicitKronecker extends SymmetricOperator {
  readonly #scope: Scope;

  private constructor(
    space: VectorSpace,
    /** [m, n] of the weight. */
    readonly weightShape: readonly [m: number, n: number],
    readonly factors: readonly BatchFactors[],
    scope: Scope,
  ) {
    super(space, sizeOf(weightShape));
    this.#scope = scope;
  }

  /**
   * Computes C at the problem's theta: unlike products without C, those of a later theta want `update`. What `part`
   * leaves out of the Hessian of a recurrent weight, M + M', is
   * `kroneckerBlock(space, problem, weight, 'recurrent-terms')`.
   * @throws KronogradError MEMORY with the numbers where C does not fit; OPTION for what is no weight with one product
   */
  static async create(
    space: VectorSpace,
    problem: CurvatureProblem,
    weight: string,
    part: ExplicitPart = 'hessian-sum',
  ): Promise<ExplicitKronecker> {
    const shape = parameterShape(problem.model, weight).slice(-2) as [number, number];
    requireRoom(factorSizes(problem, weight), space, weight);
    const scope = new Scope();
    try {
      const factors: BatchFactors[] = [];
      for (const batch of problem.batches)
        factors.push(scope.own(await BatchFactors.create(space.backend, problem, { batch, weight, part })));
      const operator = new ExplicitKronecker(space, shape, factors, scope);
      await operator.update();
      return operator;
    } catch (error) {
      scope[Symbol.dispose]();
      throw error;
    }
  }

  /** Computes C anew, at what theta is now. */
  async update(): Promise<void> {
    for (const factors of this.factors) factors.compute();
    await this.space.backend.finish();
  }

  /** (sum C (x) phi phi') V: out to V phi, through C sample by sample, and back; k vectors at once. */
  protected async multiply(x: Tensor, y: Tensor): Promise<void> {
    const [m, n] = this.weightShape;
    const k = sizeOf(x.type.shape) / (m * n);
    await this.#accumulate('product', { x, y }, (on, { seen, slabs, inputs: { x } }, { r, T }) => {
      const rows = on.reshape(seen, [r * T, n]);
      const images = on.reshape(on.gemm(rows, on.reshape(x!, [k * m, n]), { transB: true }), [r, T, k, m]);
      const beside = on.reshape(on.transpose(images, [0, 2, 1, 3]), [r, k, T * m]);
      const products = on.concat(
        slabs.map((slab) => on.gemm(beside, slab, { transB: true })),
        2,
      );
      const back = on.transpose(on.reshape(products, [r, k, T, m]), [0, 2, 1, 3]);
      return on.gemm(on.reshape(back, [r * T, k * m]), rows, { transA: true });
    });
  }

  /** The matrix, [m n][m n]; index (p, q) is p n + q. In two stages: over zeta, then over s. */
  async dense(): Promise<number[][]> {
    const [m, n] = this.weightShape;
    using y = this.space.vector(m * n, m * n);
    await this.#accumulate('dense', { y }, (on, { seen, slabs }, { r, T, d }) => {
      const half = slabs.map((slab, i) => {
        const rows = on.reshape(on.slice(seen, 1, i * d, d), [r, d, n]);
        return on.gemm(on.reshape(slab, [r, d, m * T * m]), rows, { transA: true });
      });
      // [r, i, s, p, h], summed over zeta.
      const sum = on.reshape(
        half.reduce((a, b) => on.add(a, b)),
        [r, m, T, m, n],
      );
      const rows = on.reshape(on.transpose(sum, [0, 2, 1, 3, 4]), [r * T, m * m * n]);
      const whole = on.gemm(rows, on.reshape(seen, [r * T, n]), { transA: true });
      return on.transpose(on.reshape(whole, [m, m, n, n]), [1, 3, 0, 2]);
    });
    const numbers = await y.read();
    return Array.from({ length: m * n }, (_, i) => Array.from(numbers.subarray(i * m * n, (i + 1) * m * n)));
  }

  /** The exact diagonal, [m n]. */
  async diagonal(): Promise<Numbers> {
    const [m, n] = this.weightShape;
    using y = this.space.vector(m * n);
    await this.#accumulate('diagonal', { y }, (on, { seen, slabs }, { r, T, d }) => {
      const parts = slabs.map((slab, i) => {
        // C(zeta, s)[p, p], [r, zeta, s p].
        const own = on.sum(
          on.mul(on.reshape(slab, [r, d, m, T, m]), on.reshape(unitMatrix(on, m), [m, 1, m])),
          [2],
        );
        const rows = on.slice(seen, 1, i * d, d);
        return on.gemm(on.reshape(own, [r, d, T * m]), rows, { transA: true });
      });
      const sum = on.reshape(
        parts.reduce((a, b) => on.add(a, b)),
        [r, T, m, n],
      );
      return on.sum(on.mul(sum, on.reshape(seen, [r, T, 1, n])), [0, 1]);
    });
    return await y.read();
  }

  /** The exact trace: sum over samples, s and zeta of tr C(s,zeta) phi_s.phi_zeta. */
  async trace(): Promise<number> {
    const [m] = this.weightShape;
    using y = this.space.vector(1);
    await this.#accumulate('trace', { y }, (on, { seen, slabs }, { r, T, d }) => {
      const parts = slabs.map((slab, i) => {
        const traces = on.sum(
          on.mul(on.reshape(slab, [r, d, m, T, m]), on.reshape(unitMatrix(on, m), [m, 1, m])),
          [2, 4],
        );
        const gram = on.gemm(on.slice(seen, 1, i * d, d), seen, { transB: true });
        return on.sumAll(on.mul(traces, gram));
      });
      return parts.reduce((a, b) => on.add(a, b));
    });
    const [trace] = await y.read();
    return trace!;
  }

  /** All m n eigenvalues, ascending, from C and phi on the host: for small layers. */
  async eigenvalues(): Promise<number[]> {
    return kroneckerEigenvalues(await this.samples());
  }

  /** C and phi of every sample, read back: what the closed forms and the bounds are made of. */
  async samples(): Promise<KroneckerSample[]> {
    const [m, n] = this.weightShape;
    const all: KroneckerSample[] = [];
    for (const { samples: r, steps: T, slabs, seen } of this.factors) {
      const phi = await seen.read();
      const parts = await Promise.all(slabs.map((slab) => slab.read()));
      for (let j = 0; j < r; j++)
        all.push({
          C: parts.flatMap((part) => rowsOf(part, j * (part.length / r), (j + 1) * (part.length / r), T * m)),
          seen: rowsOf(phi, j * T * n, (j + 1) * T * n, n),
        });
    }
    return all;
  }

  /** y <- the sum over batches of what `build` makes of each batch's factors. */
  async #accumulate(
    name: string,
    { y, ...others }: { readonly y: Tensor } & Readonly<Record<string, Tensor>>,
    build: (
      on: Builder,
      values: { seen: Value; slabs: Value[]; inputs: Readonly<Record<string, Value>> },
      sizes: { readonly r: number; readonly T: number; readonly d: number },
    ) => Value,
  ): Promise<void> {
    const [m, n] = this.weightShape;
    for (const [i, { samples: r, steps: T, slabs, seen }] of this.factors.entries()) {
      const d = T / slabs.length;
      const named = Object.fromEntries(slabs.map((slab, p) => [`C${p}`, slab]));
      const key = `explicit ${name} [${y.type.shape}] ${[m, n, r, T, d]} ${i > 0}`;
      await this.space.programs.run(
        key,
        (on) => {
          const before = on.input('y', y.type);
          const declare = (tensors: Readonly<Record<string, Tensor>>) =>
            Object.fromEntries(Object.entries(tensors).map(([key, { type }]) => [key, on.input(key, type)]));
          const values = {
            seen: on.input('seen', seen.type),
            slabs: Object.values(declare(named)),
            inputs: declare(others),
          };
          const sum = on.reshape(build(on, values, { r, T, d }), y.type.shape);
          return { y: { value: i > 0 ? on.add(before, sum) : sum, updates: 'y' } };
        },
        { ...named, ...others, seen, y },
      );
    }
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

/** @throws KronogradError MEMORY */
function requireRoom(sizes: readonly FactorSizes[], { backend }: VectorSpace, weight: string): void {
  const needed = curvatureBytes(sizes, backend);
  if (hasRoom(needed, backend)) return;
  const { capacity, description } = backend;
  const room = `there is room for ${mebibytes(capacity.total)}, and ${mebibytes(capacity.buffer)} in a buffer`;
  const each = sizes.map(({ r, T, m }) => `${r} samples x (${T} steps x ${m} units)^2 numbers`);
  throw new KronogradError(
    'MEMORY',
    `C(s,zeta) of '${weight}' is ${[...new Set(each)].join(' and ')}, ${mebibytes(needed.total)} in all; ${room}`,
    { where: description, fix: 'use kroneckerBlock, which never forms C, or fewer samples' },
  );
}

/** Elements from ... to - 1 as rows of `width`. */
const rowsOf = (numbers: Numbers, from: number, to: number, width: number): number[][] =>
  Array.from({ length: (to - from) / width }, (_, i) =>
    Array.from(numbers.subarray(from + i * width, from + (i + 1) * width)),
  );
