/** A schedule as a WebAssembly module: functions for its stages, called in order, in loops over time. */
import type { BufferSpec } from '../../../kernels/stage.js';
import { KronogradError } from '../../errors.js';
import { divideBuffers, type LabelledStage, type Schedule } from '../../schedule/schedule.js';
import type { Executable, Tensor } from '../backend.js';
import type { Step } from './member.js';
import type { Block, Memory } from './memory.js';
import { loopInvariance } from './ranges.js';
import type { LoadedModule, Team } from './team.js';
import { CpuTensor } from './tensor.js';
import { ModuleBuilder } from './wasm/assembler.js';
import { Environment } from './wasm/environment.js';
import { compileStage } from './wasm/stage.js';

/** The code of a schedule, and the bytes it needs for its own use. */
interface Code {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly globals: number;
  readonly steps: readonly Step[];
  /** For each thread. */
  readonly scratchBytes: number;
  readonly packedBytes: number;
}

function generate(schedule: Schedule, sharesMemory: boolean): Code {
  const globals = schedule.buffers.length + 2;
  const module = new ModuleBuilder(globals, sharesMemory);
  const environment = new Environment(schedule.buffers, module);
  const functions = (
    stages: readonly LabelledStage[],
    isInvariant: Parameters<typeof compileStage>[2],
  ): Pick<Step, 'prepare' | 'execute'> => {
    environment.packed.reset();
    const compiled = stages.map(({ stage }) => compileStage(stage, environment, isInvariant));
    return {
      prepare: compiled.flatMap(({ prepare }) => (prepare === null ? [] : [module.export(prepare)])),
      execute: compiled.flatMap(({ execute }) => execute.map((f) => module.export(f))),
    };
  };
  const steps = schedule.steps.map((step): Step => {
    if (step.kind === 'loop') {
      const { first, count, direction } = step;
      return { first, count, direction, ...functions(step.stages, loopInvariance(step)) };
    }
    return { first: 0, count: 1, direction: 1, ...functions([step], () => false) };
  });
  const { scratch, packed } = environment;
  return { bytes: module.encode(), globals, steps, scratchBytes: scratch.peak, packedBytes: packed.peak };
}

/** Dispatches of a GPU are stages here, each counted as often as it is executed. */
const countStages = (schedule: Schedule): number =>
  schedule.steps.reduce((sum, step) => sum + (step.kind === 'loop' ? step.count * step.stages.length : 1), 0);

export class CpuExecutable implements Executable {
  readonly arenaBytes: number;
  readonly dispatches: number;
  readonly #memory: Memory;
  readonly #buffers: ReturnType<typeof divideBuffers>;
  readonly #module: LoadedModule;
  /** Packed operands, the scratch memory of each thread, and the arenas; null once disposed of. */
  #blocks: readonly Block[] | null;

  private constructor(memory: Memory, schedule: Schedule, module: LoadedModule, blocks: readonly Block[]) {
    this.#memory = memory;
    this.#buffers = divideBuffers(schedule.buffers);
    this.#module = module;
    this.#blocks = blocks;
    this.arenaBytes = blocks.reduce((sum, { length }) => sum + length, 0);
    this.dispatches = countStages(schedule);
  }

  /** @throws KronogradError MEMORY when it does not fit, before anything is compiled. */
  static async compile(schedule: Schedule, memory: Memory, team: Team): Promise<CpuExecutable> {
    memory.requireAddressable(schedule.buffers.reduce((sum, { length }) => sum + 4 * length, 0));
    const { bytes, globals, steps, scratchBytes, packedBytes } = generate(schedule, memory.shared);
    const arenas = divideBuffers(schedule.buffers).arenas.map(({ length }) => 4 * length);
    const sizes = [packedBytes, ...Array(team.size).fill(scratchBytes), ...arenas];
    const blocks: Block[] = [];
    try {
      for (const size of sizes) blocks.push(memory.allocate(size));
      const loaded = await team.load(await WebAssembly.compile(bytes), globals, steps);
      return new CpuExecutable(memory, schedule, loaded, blocks);
    } catch (error) {
      for (const block of blocks) memory.free(block);
      throw error;
    }
  }

  run(tensors: Readonly<Record<string, Tensor>>): void {
    if (this.#blocks === null) {
      const fix = 'dispose of executables only after their last run';
      throw new KronogradError('OPTION', 'an executable is run after it was disposed of', { fix });
    }
    const { arenas, named } = this.#buffers;
    const [packed, ...rest] = this.#blocks.map(({ address }) => address);
    const scratch = rest.splice(0, rest.length - arenas.length);
    const bound = named.map((buffer) => this.#bound(buffer, tensors).address);
    this.#module.run(scratch.map((own) => [...rest, ...bound, own, packed!]));
  }

  [Symbol.dispose](): void {
    if (this.#blocks === null) return;
    for (const block of this.#blocks) this.#memory.free(block);
    this.#blocks = null;
    this.#module.unload();
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
