/** The backend for machines without a GPU: WebAssembly SIMD, in Node and in browsers alike. */
import { KronogradError } from '../../errors.js';
import type { Program, Type } from '../../program/program.js';
import { schedule } from '../../schedule/index.js';
import type { Schedule } from '../../schedule/schedule.js';
import type { Backend, Executable, Tensor } from '../backend.js';
import { CpuExecutable } from './executable.js';
import { MAX_BYTES, Memory } from './memory.js';
import { type StartWorker, Team } from './team.js';
import { CpuTensor } from './tensor.js';

export class Float32Backend implements Backend {
  readonly name = 'cpu';
  readonly description: string;
  readonly capacity = { buffer: MAX_BYTES, total: MAX_BYTES };
  readonly halves: boolean = false;
  /** Null once disposed of. */
  #own: { readonly memory: Memory; readonly team: Team } | null;

  /** By default all work is done in the calling thread; `threaded` makes one with more. */
  constructor(memory = new Memory(), team = Team.solo(memory)) {
    this.#own = { memory, team };
    const threads = team.size === 1 ? 'one thread' : `${team.size} threads`;
    this.description = `CPU, WebAssembly SIMD, float32, ${threads}`;
  }

  /**
   * Divides the work among threads, with the same results to the last bit. Pays where as many processors are
   * idle: they meet after every stage. In a browser the page must be cross-origin isolated.
   *
   * @param threads How many, the caller's included.
   */
  static async threaded(threads: number, startWorker: StartWorker): Promise<Float32Backend> {
    const memory = new Memory(true);
    return new Float32Backend(memory, await Team.start(memory, threads - 1, startWorker));
  }

  /** Bytes of tensors and executables that have not been disposed of. */
  get bytesInUse(): number {
    return this.#own?.memory.used ?? 0;
  }

  /** @throws KronogradError MEMORY when it does not fit. */
  tensor(type: Type): Tensor {
    return new CpuTensor(this.#live().memory, type);
  }

  compile(program: Program): Promise<Executable> {
    return this.compileSchedule(schedule(program));
  }

  /** @throws KronogradError MEMORY when the temporary memory does not fit. */
  async compileSchedule(schedule: Schedule): Promise<Executable> {
    const { memory, team } = this.#live();
    return CpuExecutable.compile(schedule, memory, team);
  }

  /** Runs are complete when they return. */
  finish(): Promise<void> {
    return Promise.resolve();
  }

  /** Ends the threads, and gives up the memory once no tensor and no executable refers to it. */
  [Symbol.dispose](): void {
    this.#own?.team.disband();
    this.#own = null;
  }

  #live(): { readonly memory: Memory; readonly team: Team } {
    if (this.#own === null) {
      const fix = 'dispose of a backend after everything that was made with it';
      throw new KronogradError('OPTION', 'a backend is used after it was disposed of', { fix });
    }
    return this.#own;
  }
}
