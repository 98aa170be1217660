/** One program at several lengths in time, each compiled when it is first needed, on the same tensors. */
import type { Backend, Executable, Tensor } from '../backend/backend.js';
import { programTensors, type Tensors } from '../backend/program-tensors.js';
import { Scope } from '../dispose.js';
import { type Program, type Type, typeText } from '../program/program.js';

/** Ready to be run. */
export interface ProgramAtLength {
  readonly length: number;
  readonly executable: Executable;
  /** Everything that the program binds but what is left to the caller. */
  readonly tensors: Tensors;
}

export class BucketedProgram implements Disposable {
  readonly #scope = new Scope();
  readonly #backend: Backend;
  readonly #lengths: readonly number[];
  readonly #make: (length: number) => Program;
  readonly #shared: readonly string[];
  readonly #compiled = new Map<number, ProgramAtLength>();
  /** By name and type: what has the same at two lengths is one tensor, the state and the parameters above all. */
  readonly #tensors = new Map<string, Tensor>();

  /**
   * @param lengths Ascending.
   * @param shared Tensors that are left to the caller, by the names under which the programs bind them.
   */
  constructor(
    backend: Backend,
    lengths: readonly number[],
    make: (length: number) => Program,
    shared: readonly string[] = [],
  ) {
    this.#backend = backend;
    this.#lengths = lengths;
    this.#make = make;
    this.#shared = shared;
  }

  /** Compiles, if it is not yet, the shortest program for so many steps. @throws KronogradError MEMORY */
  async prepare(steps: number): Promise<ProgramAtLength> {
    const length = this.#lengths.find((each) => each >= steps)!;
    const known = this.#compiled.get(length);
    if (known !== undefined) return known;
    const program = this.#make(length);
    const executable = this.#scope.own(await this.#backend.compile(program));
    const prepared = { length, executable, tensors: this.#tensorsOf(program) };
    this.#compiled.set(length, prepared);
    return prepared;
  }

  /** The shortest of the compiled programs for so many steps. */
  atLeast(steps: number): ProgramAtLength {
    const fitting = this.#lengths.find((length) => length >= steps && this.#compiled.has(length))!;
    return this.#compiled.get(fitting)!;
  }

  #tensorsOf(program: Program): Tensors {
    const known: Record<string, Tensor> = {};
    for (const { name, value } of [...program.inputs, ...program.outputs]) {
      const tensor = this.#tensors.get(keyOf(name, value.type));
      if (tensor !== undefined) known[name] = tensor;
    }
    const fresh = programTensors(this.#backend, program, this.#scope, [
      ...this.#shared,
      ...Object.keys(known),
    ]);
    for (const [name, tensor] of Object.entries(fresh)) this.#tensors.set(keyOf(name, tensor.type), tensor);
    return { ...known, ...fresh };
  }

  [Symbol.dispose](): void {
    this.#scope[Symbol.dispose]();
  }
}

const keyOf = (name: string, type: Type): string => `${name} ${typeText(type)}`;
