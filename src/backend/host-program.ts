/** Programs used from the host: numbers in, numbers out. */
import { Scope } from '../dispose.js';
import type { Program } from '../program/program.js';
import type { Backend, Executable, Numbers } from './backend.js';
import { programTensors, type Tensors } from './program-tensors.js';

/** Numbers by the names of a program's inputs. */
export type HostInputs = Readonly<Record<string, ArrayLike<number>>>;

/** A program with tensors of its own. */
export class HostProgram implements Disposable {
  private constructor(
    readonly program: Program,
    private readonly executable: Executable,
    private readonly tensors: Tensors,
    private readonly scope: Scope,
  ) {}

  /** @throws KronogradError MEMORY, KERNEL */
  static async compile(backend: Backend, program: Program): Promise<HostProgram> {
    const scope = new Scope();
    try {
      const executable = scope.own(await backend.compile(program));
      return new HostProgram(program, executable, programTensors(backend, program, scope), scope);
    } catch (error) {
      scope[Symbol.dispose]();
      throw error;
    }
  }

  /** Inputs that are not given keep what they held; names of none are passed over. @throws KronogradError SHAPE */
  write(inputs: HostInputs): void {
    for (const [name, numbers] of Object.entries(inputs)) this.tensors[name]?.write(numbers);
  }

  run(): void {
    this.executable.run(this.tensors);
  }

  /** Outputs by their names: those that are named, or all. */
  async read(...wanted: readonly string[]): Promise<Record<string, Numbers>> {
    const names = wanted.length > 0 ? wanted : this.program.outputs.map(({ name }) => name);
    const numbers = await Promise.all(names.map((name) => this.tensors[name]!.read()));
    return Object.fromEntries(names.map((name, i) => [name, numbers[i]!]));
  }

  [Symbol.dispose](): void {
    this.scope[Symbol.dispose]();
  }
}

/** The outputs of one run. @throws KronogradError SHAPE, MEMORY, KERNEL */
export async function runOnce(
  backend: Backend,
  program: Program,
  inputs: HostInputs,
): Promise<Record<string, Numbers>> {
  using compiled = await HostProgram.compile(backend, program);
  compiled.write(inputs);
  compiled.run();
  return await compiled.read();
}
