/** What the generated code of one executable has in common. */
import type { BufferSpec } from '../../../../kernels/stage.js';
import type { Expression, FunctionBuilder, ModuleBuilder } from './assembler.js';

/** The byte address of a buffer's first element. */
export const baseOf =
  (buffer: number): Expression =>
  (f) =>
    f.global(buffer);

/** Memory for intermediate results of stages, handed out in order until it is reset. */
class Region {
  #used = 0;
  #peak = 0;

  /** @param base The byte address of the region, when the code runs. */
  constructor(readonly base: Expression) {}

  /** The most bytes that were in use at once. */
  get peak(): number {
    return this.#peak;
  }

  /** The offset of new bytes, at a cache line. */
  take(bytes: number): number {
    const offset = this.#used;
    this.#used += Math.ceil(bytes / 64) * 64;
    this.#peak = Math.max(this.#peak, this.#used);
    return offset;
  }

  reset(): void {
    this.#used = 0;
  }
}

export class Environment {
  /** Overwritten by every stage; each thread has its own. */
  readonly scratch: Region;
  /** Operands in the order of their use: kept for the duration of a loop. */
  readonly packed: Region;

  /**
   * @param buffers The schedule's. Global number k of the module holds the byte address of buffer k; two
   * more globals follow, for `scratch` and `packed`.
   */
  constructor(
    readonly buffers: readonly BufferSpec[],
    readonly module: ModuleBuilder,
  ) {
    this.scratch = new Region(baseOf(buffers.length));
    this.packed = new Region(baseOf(buffers.length + 1));
  }
}

/** The functions of one stage (see share.ts): all shares of one are done before any of the next begins. */
export interface CompiledStage {
  /** Packs the operands that no iteration of the loop changes: called once before the loop. */
  readonly prepare: FunctionBuilder | null;
  readonly execute: readonly FunctionBuilder[];
}
