/** The one WebAssembly memory of a backend, and who has which part of it. */
import { KronogradError } from '../../errors.js';

const PAGE = 65536;
const MAX_PAGES = 65536;
/** What WebAssembly can address. */
export const MAX_BYTES = MAX_PAGES * PAGE;
/** A cache line, so that no two allocations share one. */
const ALIGNMENT = 64;

/** A part of the memory, in bytes. */
export interface Block {
  readonly address: number;
  readonly length: number;
}

/** First fit over the free blocks, in the order of their addresses; neighbours are joined when freed. */
export class Memory {
  readonly memory: WebAssembly.Memory;
  /** Address 0 is never given out. */
  #free: Block[] = [{ address: ALIGNMENT, length: PAGE - ALIGNMENT }];
  #used = 0;

  /** @param shared Whether other threads are to use it. */
  constructor(readonly shared = false) {
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: MAX_PAGES, shared });
  }

  /** Bytes in use. */
  get used(): number {
    return this.#used;
  }

  /**
   * Zeroed memory.
   * @throws KronogradError MEMORY when it does not fit below 4 GiB, or the machine has no more.
   */
  allocate(bytes: number): Block {
    const length = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
    let k = this.#free.findIndex((block) => block.length >= length);
    if (k < 0) {
      this.#grow(length);
      k = this.#free.length - 1;
    }
    const { address, length: found } = this.#free[k]!;
    const rest = { address: address + length, length: found - length };
    this.#free.splice(k, 1, ...(rest.length > 0 ? [rest] : []));
    this.#used += length;
    new Uint8Array(this.memory.buffer, address, length).fill(0);
    return { address, length };
  }

  /** @throws KronogradError MEMORY when so much does not fit below 4 GiB, whatever is in use. */
  requireAddressable(bytes: number): void {
    if (bytes > MAX_BYTES) throw this.#exhausted(bytes, `at most ${MAX_BYTES} bytes fit below 4 GiB`);
  }

  free(block: Block): void {
    this.#used -= block.length;
    const next = this.#free.findIndex(({ address }) => address > block.address);
    const k = next < 0 ? this.#free.length : next;
    this.#free.splice(k, 0, block);
    this.#join(k);
    if (k > 0) this.#join(k - 1);
  }

  /** Joins free block k with the next one where they touch. */
  #join(k: number): void {
    const block = this.#free[k]!;
    const next = this.#free[k + 1];
    if (next === undefined || block.address + block.length !== next.address) return;
    this.#free.splice(k, 2, { address: block.address, length: block.length + next.length });
  }

  /** Makes the last free block at least this long. */
  #grow(length: number): void {
    const end = this.memory.buffer.byteLength;
    const last = this.#free.at(-1);
    const atEnd = last !== undefined && last.address + last.length === end ? last.length : 0;
    const pages = Math.ceil((length - atEnd) / PAGE);
    const available = (MAX_PAGES - end / PAGE) * PAGE + atEnd;
    if (length > available) throw this.#exhausted(length, `at most ${available} bytes more fit below 4 GiB`);
    try {
      this.memory.grow(pages);
    } catch (cause) {
      throw this.#exhausted(length, 'the machine has no more', cause);
    }
    this.#free.push({ address: end, length: pages * PAGE });
    if (this.#free.length > 1) this.#join(this.#free.length - 2);
  }

  #exhausted(bytes: number, why: string, cause?: unknown): KronogradError {
    const what = `${bytes} bytes are needed and ${this.#used} are in use: ${why}`;
    const fix = 'use a smaller batch, unroll or hidden size, or dispose of tensors no longer needed';
    return new KronogradError('MEMORY', what, { where: 'CPU backend', fix, cause });
  }
}
