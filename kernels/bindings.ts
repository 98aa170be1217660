/** The storage buffers of one kernel: which, how they are declared, and how their elements are named in WGSL. */
import { KronogradError } from '../src/errors.js';
import { dependsOnTime, indexExpression } from './affine.js';
import type { Binding, Extension, KernelLimits } from './kernel.js';
import type { Affine, BufferSpec, Ref } from './stage.js';

/** `half` is an alias, of f32 where shaders know no f16. */
const elementType: { readonly [D in BufferSpec['dtype']]: string } = {
  float: 'f32',
  half: 'half',
  int: 'i32',
};

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

  /** @param quads the buffers to bind as arrays of vec4. */
  constructor(buffers: readonly BufferSpec[], quads: Iterable<number> = []) {
    this.#buffers = buffers;
    for (const buffer of quads) this.#quads.add(buffer);
  }

  #name(buffer: number): string {
    let k = this.#order.indexOf(buffer);
    if (k < 0) k = this.#order.push(buffer) - 1;
    return `b${k}`;
  }

  /** Whether a buffer is bound as an array of vec4. */
  isQuads(buffer: number): boolean {
    return this.#quads.has(buffer);
  }

  /** Whether buffers are given, and bound as arrays of vec4. */
  areQuads(buffers: ReadonlySet<number> | undefined): boolean {
    return buffers !== undefined && [...buffers].every((buffer) => this.isQuads(buffer));
  }

  dtype(buffer: number): BufferSpec['dtype'] {
    return this.#buffers[buffer]!.dtype;
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
    return this.dtype(ref.buffer) === 'float' ? element : `f32(${element})`;
  }

  /** An element as an i32: a class number, a row of a table, half of a key. */
  loadInt(ref: Ref, axes: readonly string[]): string {
    const element = this.#element(ref.buffer, this.index(ref, axes));
    return this.dtype(ref.buffer) === 'int' ? element : `i32(${element})`;
  }

  /** Four elements as a vec4<f32>; the index must be a multiple of 4 and the buffer bound as quads. */
  loadQuad(ref: Ref, axes: readonly string[], displacement?: string): string {
    let index = this.index(ref, axes);
    if (displacement !== undefined) index = `${index} + ${displacement}`;
    const quad = `${this.#name(ref.buffer)}[(${index}) >> 2u]`;
    return this.dtype(ref.buffer) === 'float' ? quad : `vec4<f32>(${quad})`;
  }

  /** The statement that stores an f32 expression; into halves, one that was rounded to a half. */
  store(ref: Ref, axes: readonly string[], value: string): string {
    this.#stored.add(ref.buffer);
    const element = this.#element(ref.buffer, this.index(ref, axes));
    const dtype = this.dtype(ref.buffer);
    return `${element} = ${dtype === 'float' ? value : `${elementType[dtype]}(${value})`};`;
  }

  /** The statement that stores a vec4<f32> expression; see `loadQuad`. */
  storeQuad(ref: Ref, axes: readonly string[], value: string): string {
    this.#stored.add(ref.buffer);
    const dtype = this.dtype(ref.buffer);
    const quad = `${this.#name(ref.buffer)}[(${this.index(ref, axes)}) >> 2u]`;
    return `${quad} = ${dtype === 'float' ? value : `vec4<${elementType[dtype]}>(${value})`};`;
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

  get #holdsHalves(): boolean {
    return this.#order.some((buffer) => this.dtype(buffer) === 'half');
  }

  /** What the declarations need of WGSL beyond the core. */
  extensions({ halves }: KernelLimits): Extension[] {
    return halves && this.#holdsHalves ? ['f16'] : [];
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
      const element = elementType[this.dtype(buffer)];
      const { length } = this.#buffers[buffer]!;
      const type = this.isQuads(buffer)
        ? `vec4<${element}>, ${Math.ceil(length / 4)}`
        : `${element}, ${length}`;
      return `@group(0) @binding(${k}) var<storage, ${access}> b${k}: array<${type}>;`;
    });
    if (this.#holdsHalves) lines.push(`alias half = ${limits.halves ? 'f16' : 'f32'};`);
    const uniform = `@group(0) @binding(${this.#order.length}) var<uniform>`;
    if (this.usesTime || this.#usesFirst) lines.push('struct Time { t: i32 }');
    if (this.#usesFirst) lines.push(`${uniform} first: Time;`);
    if (this.usesTime) lines.push(`${this.#clock === 'dispatch' ? uniform : 'var<private>'} time: Time;`);
    return lines;
  }
}
