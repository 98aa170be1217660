/** Arithmetic on vectors that live on a backend: nothing but scalars comes back. */
import type { Backend, Tensor } from '../backend/backend.js';
import { Programs } from '../backend/programs.js';
import type { Builder } from '../program/builder.js';
import { float, type Shape, type Value } from '../program/program.js';

/** Vectors are tensors of floats of any shape; those of one call have the same. */
export class VectorSpace implements Disposable {
  /** For what is not here: other programs on the same backend. */
  readonly programs: Programs;
  readonly #scalars: Tensor;
  readonly #result: Tensor;

  constructor(readonly backend: Backend) {
    this.programs = new Programs(backend);
    this.#scalars = backend.tensor(float(2));
    this.#result = backend.tensor(float(1));
  }

  /** A new vector, of zeros, that the caller disposes of. */
  vector(...shape: Shape): Tensor {
    return this.backend.tensor(float(...shape));
  }

  /** y <- a x + b y for two vectors. What y held does not count where b is 0, be it NaN. */
  async combine(a: number, x: Tensor, b: number, y: Tensor): Promise<void> {
    const { shape } = x.type;
    const build = (on: Builder) => {
      const [from, to] = [on.input('x', float(...shape)), on.input('y', float(...shape))];
      const [first, second] = on.split(on.input('scalars', float(2)), 0, 2) as [Value, Value];
      const kept = on.call('select', second, on.mul(second, to), on.constant(0));
      return { y: { value: on.add(on.mul(first, from), kept), updates: 'y' } };
    };
    const executable = await this.programs.executable(`combine [${shape}]`, build);
    this.#scalars.write([a, b]);
    executable.run({ x, y, scalars: this.#scalars });
  }

  /** y <- a y */
  async scale(a: number, y: Tensor): Promise<void> {
    const { shape } = y.type;
    const build = (on: Builder) => {
      const [factor] = on.split(on.input('scalars', float(2)), 0, 2) as [Value];
      return { y: { value: on.mul(factor, on.input('y', float(...shape))), updates: 'y' } };
    };
    const executable = await this.programs.executable(`scale [${shape}]`, build);
    this.#scalars.write([a, 0]);
    executable.run({ y, scalars: this.#scalars });
  }

  /** x . y, over all elements. x and y may be one tensor. */
  async dot(x: Tensor, y: Tensor): Promise<number> {
    const { shape } = x.type;
    const build = (on: Builder) => {
      const left = on.input('x', float(...shape));
      const right = x === y ? left : on.input('y', float(...shape));
      return { dot: on.reshape(on.sumAll(on.mul(left, right)), [1]) };
    };
    const executable = await this.programs.executable(`dot [${shape}] ${x === y}`, build);
    executable.run({ x, ...(x === y ? {} : { y }), dot: this.#result });
    // Asked for before anything else can run: dots in flight share the result.
    const [dot] = await this.#result.read();
    return dot!;
  }

  [Symbol.dispose](): void {
    this.programs[Symbol.dispose]();
    this.#scalars[Symbol.dispose]();
    this.#result[Symbol.dispose]();
  }
}
