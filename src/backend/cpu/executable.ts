/** A schedule as a WebAssembly module: a function a stage, called in order, in loops over time. */
import type { BufferSpec } from '../../../kernels/stage.js';
import { KronogradError } from '../../errors.js';
import type { LabelledStage, Schedule } from '../../schedule/schedule.js';
import type { Executable, Tensor } from '../backend.js';
import type { Block, Memory } from './memory.js';
import { loopInvariance } from './ranges.js';
import { CpuTensor } from './tensor.js';
import { ModuleBuilder } from './wasm/assembler.js';
import { Environment } from './wasm/environment.js';
import { compileStage } from './wasm/stage.js';

type StageFunction = (t: number) => void;

/** Functions to call for t = first, first + direction, ...; `prepare` before the first. */
interface Step {
  readonly first: number;
  readonly count: number;
  readonly direction: 1 | -1;
  readonly prepare: readonly StageFunction[];
  readonly execute: readonly StageFunction[];
}

/** Names of exported functions in place of the functions: what is known before the module is instantiated. */
interface NamedStep extends Omit<Step, 'prepare' | 'execute'> {
  readonly prepare: readonly string[];
  readonly execute: readonly string[];
}

/** The code of a schedule, and the bytes it needs for its own use. */
interface Code {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly steps: readonly NamedStep[];
  readonly scratchBytes: number;
  readonly packedBytes: number;
}

function generate(schedule: Schedule): Code {
  const module = new ModuleBuilder(schedule.buffers.length + 2);
  const environment = new Environment(schedule.buffers, module);
  const named = (
    stages: readonly LabelledStage[],
    isInvariant: Parameters<typeof compileStage>[2],
  ): Pick<NamedStep, 'prepare' | 'execute'> => {
    environment.packed.reset();
    const prepare: string[] = [];
    const execute: string[] = [];
    for (const { stage } of stages) {
      const compiled = compileStage(stage, environment, isInvariant);
      if (compiled.prepare !== null) prepare.push(module.export(compiled.prepare));
      execute.push(module.export(compiled.execute));
    }
    return { prepare, execute };
  };
  const steps = schedule.steps.map((step): NamedStep => {
    if (step.kind === 'loop') {
      const { first, count, direction } = step;
      return { first, count, direction, ...named(step.stages, loopInvariance(step)) };
    }
    return { first: 0, count: 1, direction: 1, ...named([step], () => false) };
  });
  const { scratch, packed } = environment;
  return { bytes: module.encode(), steps, scratchBytes: scratch.peak, packedBytes: packed.peak };
}

export class CpuExecutable implements Executable {
  readonly arenaBytes: number;
  readonly dispatches: number;
  readonly #memory: Memory;
  readonly #buffers: readonly BufferSpec[];
  readonly #globals: readonly WebAssembly.Global<'i32'>[];
  readonly #steps: readonly Step[];
  /** Arena, scratch and packed operands; null once disposed of. */
  #blocks: readonly Block[] | null;

  private constructor(
    memory: Memory,
    schedule: Schedule,
    globals: readonly WebAssembly.Global<'i32'>[],
    steps: readonly Step[],
    blocks: readonly Block[],
  ) {
    this.#memory = memory;
    this.#buffers = schedule.buffers;
    this.#globals = globals;
    this.#steps = steps;
    this.#blocks = blocks;
    this.arenaBytes = blocks.reduce((sum, { length }) => sum + length, 0);
    this.dispatches = steps.reduce((sum, step) => sum + step.count * step.execute.length, 0);
  }

  /** @throws KronogradError MEMORY when the arena does not fit. */
  static async compile(schedule: Schedule, memory: Memory): Promise<CpuExecutable> {
    const { bytes, steps, scratchBytes, packedBytes } = generate(schedule);
    const globals = Array.from(
      { length: schedule.buffers.length + 2 },
      () => new WebAssembly.Global({ value: 'i32', mutable: true }, 0),
    );
    const env = Object.fromEntries(globals.map((global, k) => [`g${k}`, global]));
    const imports = { env: { ...env, memory: memory.memory } };
    const { instance } = await WebAssembly.instantiate(bytes, imports);
    const lookUp = (name: string) => instance.exports[name] as StageFunction;
    const callable = steps.map((step) => ({
      ...step,
      prepare: step.prepare.map(lookUp),
      execute: step.execute.map(lookUp),
    }));

    const blocks: Block[] = [];
    try {
      const arenaBytes = 4 * (schedule.buffers[0]?.length ?? 0);
      for (const size of [arenaBytes, scratchBytes, packedBytes]) blocks.push(memory.allocate(size));
    } catch (error) {
      for (const block of blocks) memory.free(block);
      throw error;
    }
    const [arena, ...own] = blocks.map(({ address }) => address);
    globals[0]!.value = arena!;
    globals.slice(-2).forEach((global, k) => {
      global.value = own[k]!;
    });
    return new CpuExecutable(memory, schedule, globals, callable, blocks);
  }

  run(tensors: Readonly<Record<string, Tensor>>): void {
    if (this.#blocks === null) {
      const fix = 'dispose of executables only after their last run';
      throw new KronogradError('OPTION', 'an executable is run after it was disposed of', { fix });
    }
    for (let k = 1; k < this.#buffers.length; k++) {
      this.#globals[k]!.value = this.#bound(this.#buffers[k]!, tensors).address;
    }
    for (const { first, count, direction, prepare, execute } of this.#steps) {
      for (const stage of prepare) stage(first);
      for (let i = 0, t = first; i < count; i++, t += direction) {
        for (const stage of execute) stage(t);
      }
    }
  }

  [Symbol.dispose](): void {
    for (const block of this.#blocks ?? []) this.#memory.free(block);
    this.#blocks = null;
  }

  #bound({ name, dtype, length }: BufferSpec, tensors: Readonly<Record<string, Tensor>>): CpuTensor {
    const tensor = tensors[name];
    const refuse = (what: string, fix: string) => new KronogradError('SHAPE', what, { where: name, fix });
    if (tensor === undefined) {
      const given = Object.keys(tensors).join(', ');
      throw refuse(
        `no tensor is bound to '${name}'`,
        `bind one; bound are: ${given === '' ? 'none' : given}`,
      );
    }
    if (!(tensor instanceof CpuTensor) || !tensor.isIn(this.#memory)) {
      throw refuse(`the tensor bound to '${name}' belongs to another backend`, 'make it with this one');
    }
    if (tensor.length !== length || tensor.type.dtype !== dtype) {
      const shape = `${tensor.type.dtype} [${tensor.type.shape.join(', ')}]`;
      throw refuse(
        `'${name}' has ${length} elements of type ${dtype}, the tensor bound to it is ${shape}`,
        'bind a tensor of the type that the program declares',
      );
    }
    return tensor;
  }
}
