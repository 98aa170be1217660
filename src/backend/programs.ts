/** Programs built and compiled when they are first run, and kept. */
import { Scope } from '../dispose.js';
import { Builder } from '../program/builder.js';
import type { Backend, Executable, Tensor } from './backend.js';

export type Outputs = Parameters<Builder['build']>[0];

export class Programs implements Disposable {
  readonly #scope = new Scope();
  readonly #compiled = new Map<string, Promise<Executable>>();

  constructor(readonly backend: Backend) {}

  /**
   * Runs the program of a key, on tensors bound by the names of its inputs and outputs. Like any run it is queued,
   * and the promise does not wait for a GPU. `build` is called once for each key,
   * and again when compiling failed.
   * @throws KronogradError SHAPE for an ill-shaped tensor, MEMORY, KERNEL
   */
  async run(
    key: string,
    build: (on: Builder) => Outputs,
    tensors: Readonly<Record<string, Tensor>>,
  ): Promise<void> {
    (await this.executable(key, build)).run(tensors);
  }

  /** The program of a key, made ready. @throws KronogradError MEMORY, KERNEL */
  executable(key: string, build: (on: Builder) => Outputs): Promise<Executable> {
    let compiled = this.#compiled.get(key);
    if (compiled === undefined) {
      compiled = this.#compile(build);
      this.#compiled.set(key, compiled);
      // What failed, for want of memory say, may succeed another time.
      compiled.catch(() => this.#compiled.delete(key));
    }
    return compiled;
  }

  async #compile(build: (on: Builder) => Outputs): Promise<Executable> {
    const on = new Builder();
    return this.#scope.own(await this.backend.compile(on.build(build(on))));
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}
