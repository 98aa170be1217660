/** The backend for machines without a GPU: WebAssembly SIMD, in Node and in browsers alike. */
import type { Type } from '../../program/program.js';
import type { Schedule } from '../../schedule/schedule.js';
import type { Executable, Tensor } from '../backend.js';
import { CpuExecutable } from './executable.js';
import { Memory } from './memory.js';
import { CpuTensor } from './tensor.js';

export class Float32Backend {
  readonly name = 'cpu';
  readonly description = 'CPU, WebAssembly SIMD, float32';
  readonly #memory = new Memory();

  /** Bytes of tensors and executables that have not been disposed of. */
  get bytesInUse(): number {
    return this.#memory.used;
  }

  tensor(type: Type): Tensor {
    return new CpuTensor(this.#memory, type);
  }

  compileSchedule(schedule: Schedule): Promise<Executable> {
    return CpuExecutable.compile(schedule, this.#memory);
  }

  /** Runs are complete when they return. */
  finish(): Promise<void> {
    return Promise.resolve();
  }
}
