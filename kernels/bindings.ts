/** The storage buffers of one kernel: which, how they are declared, and how their elements are named in WGSL. */
import { KronogradError } from '../src/errors.js';
import { dependsOnTime, indexExpression } from './affine.js';
import type { Binding, KernelLimits } from './kernel.js';
import type { Affine, BufferSpec, Ref } from './stage.js';

/** Collects the buffers a stage touches. Binding k of group 0 is the k-th distinct one, named `b<k>`. */
export class Bindings {
  /** Whether any index so far depends on the time. */
  usesTime = false;
  #clock: 'dispatch' | 'shader' = 'dispatch';
  #usesFirst = false;
  readonly #order: number[] = [];
  readonly #stored = new Set<number>();
  readonly #quads = new Set<number>();
  readonly #buffers: readonly BufferSpec[];

  /** @param quads the buffers to bind as array<vec4<f32>>. */
  constructor(buffers: readonly BufferSpec[], quads: Iterable<number> = []) {
    this.#buffers = buffers;
    for (const buffer of quads) this.#quads.add(buffer);
  }

  #name(buffer: number): string {
    let k = this.#order.indexOf(buffer);
    if (k < 0) k = this.#order.push(buffer) - 1;
    return `b${k}`;
  }

  /** Whether a buffer is bound as array<vec4<f32>>. */
  isQuads(buffer: number): boolean {
    return this.#quads.has(buffer);
  }

  #isInt(buffer: number): boolean {
    return this.#buffers[buffer]!.dtype === 'int';
  }

  /** The i32 expression of an index. */
  index(index: Affine, axes: readonly string[]): string {
    this.usesTime ||= dependsOnTime(index);
    return indexExpression(index, axes);
  }

  #element(buffer: number, index: string): string {
    const name = this.#name(buffer);
    return this.isQuads(buffer) ? `${name}[(${index}) >> 2u][(${index}) & 3]` : `${name}[${index}]`;
  }

  /** An element as an f32. `displacement`: an i32 expression to add to the index. */
  load(ref: Ref, axes: readonly string[], displacement?: string): string {
    let index = this.index(ref, axes);
    if (displacement !== undefined) index = `${index} + ${displacement}`;
    const element = this.#element(ref.buffer, index);
    return this.#isInt(ref.buffer) ? `f32(${element})` : element;
  }

  /** An element as an i32: a class number, a row of a table, half of a key. */
  loadInt(ref: Ref, axes: readonly string[]): string {
    const element = this.#element(ref.buffer, this.index(ref, axes));
    return this.#isInt(ref.buffer) ? element : `i32(${element})`;
  }

  /** Four elements as a vec4<f32>; the index must be a multiple of 4 and the buffer bound as quads. */
  loadQuad(ref: Ref, axes: readonly string[], displacement?: string): string {
    let index = this.index(ref, axes);
    if (displacement !== undefined) index = `${index} + ${displacement}`;
    return `${this.#name(ref.buffer)}[(${index}) >> 2u]`;
  }

  /** The statement that stores an f32 expression. */
  store(ref: Ref, axes: readonly string[], value: string): string {
    this.#stored.add(ref.buffer);
    const element = this.#element(ref.buffer, this.index(ref, axes));
    return `${element} = ${this.#isInt(ref.buffer) ? `i32(${value})` : value};`;
  }

  /**
   * Lets the shader set `time.t` itself, instead of one time for each dispatch.
   * @param first whether it needs `first.t`, the number of steps done by dispatches before this one.
   */
  ownTime(first: boolean): void {
    this.#clock = 'shader';
    this.usesTime = true;
    this.#usesFirst ||= first;
  }

  /** Whether a uniform `{ t: i32 }` follows the buffers. */
  get usesUniform(): boolean {
    return this.#clock === 'dispatch' ? this.usesTime : this.#usesFirst;
  }

  get list(): Binding[] {
    return this.#order.map((buffer) => ({
      buffer,
      access: this.#stored.has(buffer) ? 'read_write' : 'read',
    }));
  }

  /**
   * The declarations of the buffers and of the time.
   * @throws KronogradError KERNEL when the stage touches more buffers than the device binds.
   */
  declarations(limits: KernelLimits): string[] {
    const most = limits.maxStorageBuffersPerShaderStage;
    if (this.#order.length > most)
      throw new KronogradError(
        'KERNEL',
        `a stage uses ${this.#order.length} buffers; the device binds ${most}`,
        {
          where: this.#order.map((buffer) => this.#buffers[buffer]!.name).join(', '),
          fix: 'split the stage, or keep more of its operands in one buffer',
        },
      );
    const lines = this.list.map(({ buffer, access }, k) => {
      const type = this.#quads.has(buffer) ? 'vec4<f32>' : this.#isInt(buffer) ? 'i32' : 'f32';
      return `@group(0) @binding(${k}) var<storage, ${access}> b${k}: array<${type}>;`;
    });
    const uniform = `@group(0) @binding(${this.#order.length}) var<uniform>`;
    if (this.usesTime || this.#usesFirst) lines.push('struct Time { t: i32 }');
    if (this.#usesFirst) lines.push(`${uniform} first: Time;`);
    if (this.usesTime) lines.push(`${this.#clock === 'dispatch' ? uniform : 'var<private>'} time: Time;`);
    return lines;
  }
}
