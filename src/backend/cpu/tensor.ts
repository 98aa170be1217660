/** Tensors in the memory of the float32 CPU backend. */
import { KronogradError } from '../../errors.js';
import { roundToHalf } from '../../program/half.js';
import type { Type } from '../../program/program.js';
import type { Numbers, Tensor } from '../backend.js';
import type { Block, Memory } from './memory.js';

export class CpuTensor implements Tensor {
  readonly #memory: Memory;
  readonly #length: number;
  #block: Block | null;

  constructor(
    memory: Memory,
    readonly type: Type,
  ) {
    this.#memory = memory;
    this.#length = type.shape.reduce((product, extent) => product * extent, 1);
    this.#block = memory.allocate(4 * this.#length);
  }

  get length(): number {
    return this.#length;
  }

  /** The byte address of its first element. */
  get address(): number {
    if (this.#block === null) {
      const fix = 'dispose of tensors only after their last use';
      throw new KronogradError('OPTION', 'a tensor is used after it was disposed of', { fix });
    }
    return this.#block.address;
  }

  isIn(memory: Memory): boolean {
    return memory === this.#memory;
  }

  write(data: ArrayLike<number>): void {
    const elements = this.#elements();
    if (data.length !== this.#length) {
      const where = `tensor [${this.type.shape.join(', ')}]`;
      const what = `${data.length} numbers for a tensor of ${this.#length}`;
      throw new KronogradError('SHAPE', what, {
        where,
        fix: 'give as many numbers as the tensor has elements',
      });
    }
    elements.set(this.type.dtype === 'half' ? Float32Array.from(data, roundToHalf) : data);
  }

  read(): Promise<Numbers> {
    return new Promise((resolve) => resolve(this.#elements().slice()));
  }

  [Symbol.dispose](): void {
    if (this.#block !== null) this.#memory.free(this.#block);
    this.#block = null;
  }

  /** Not to be kept: the memory moves when it grows. */
  #elements(): Float32Array | Int32Array {
    const { buffer } = this.#memory.memory;
    const Elements = this.type.dtype === 'int' ? Int32Array : Float32Array;
    return new Elements(buffer, this.address, this.#length);
  }
}
