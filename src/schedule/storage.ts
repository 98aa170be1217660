/** Where values live: allocations, and how an access to a value becomes an address in one. */
import type { TimeStride } from '../../kernels/stage.js';
import { type DType, sizeOf, type Value } from '../program/program.js';
import { type Access, around, join, rowMajor, split, throughView } from './access.js';

/** A piece of memory: part of an arena, or one of the buffers that are bound by name. */
export interface Allocation {
  readonly id: number;
  /** Elements. */
  readonly length: number;
  /** The buffer's name; null: the arena of its dtype. */
  readonly external: string | null;
  readonly dtype: DType;
}

/** Where a value's elements are. */
export type Home =
  /** In row-major order from `offset` on; with `time`, one place for each step of the loop it is computed in. */
  | {
      readonly kind: 'whole';
      readonly allocation: Allocation;
      readonly offset: number;
      readonly time: TimeStride | null;
    }
  /** Elements start.. of one axis of a larger value. */
  | { readonly kind: 'part'; readonly container: Value; readonly axis: number; readonly start: number };

export interface Address extends Access {
  readonly allocation: Allocation;
  readonly time: TimeStride | null;
}

/** Thrown when views cannot be addressed in place: lowering starts again with them copied. */
export class NeedsCopy extends Error {
  constructor(readonly views: readonly Value[]) {
    super('a view has no affine address');
  }
}

/** Thrown when a nest's axis runs over the edge of an axis of what it reads. */
export class NotAffine extends Error {}

/** Thrown when a part of a concat is read so: lowering starts again with the part stored by itself, and copied. */
export class ReadAcrossEdge extends NotAffine {
  constructor(readonly part: Value) {
    super('a part of a concat is read across its edge');
  }
}

/** The access to a whole that an access to a part of it is; null when an axis of the nest runs over the part's edge. */
function throughPart(
  { container, axis, start }: Extract<Home, { kind: 'part' }>,
  part: Value,
  access: Access,
  extents: readonly number[],
): Access | null {
  const [before, size, behind] = around(container.type.shape, axis);
  if (before === 1) return { offset: access.offset + start * behind, strides: access.strides };
  const coordinates = split(access, extents, [before, sizeOf(part.type.shape) / (before * behind), behind]);
  return coordinates && join(coordinates, rowMajor([before, size, behind]), start * behind);
}

export class Storage {
  readonly allocations: Allocation[] = [];
  readonly #homes = new Map<Value, Home>();
  /** For a body's constant or slice x[t]: the value outside, and the elements it advances by at each step. */
  readonly #outside = new Map<Value, { value: Value; perStep: number }>();

  constructor(private readonly copied: ReadonlySet<Value>) {}

  allocate(length: number, dtype: DType, external: string | null): Allocation {
    const allocation: Allocation = { id: this.allocations.length, length, external, dtype };
    this.allocations.push(allocation);
    return allocation;
  }

  /** Temporary memory for a value, so many times. Integers are floats there. */
  allocateFor({ type: { dtype, shape } }: Value, times = 1): Allocation {
    return this.allocate(times * sizeOf(shape), dtype === 'half' ? 'half' : 'float', null);
  }

  setHome(value: Value, home: Home): void {
    this.#homes.set(value, home);
  }

  hasHome(value: Value): boolean {
    return this.#homes.has(value);
  }

  setOutside(value: Value, outside: Value, perStep: number): void {
    this.#outside.set(value, { value: outside, perStep });
  }

  /** Whether a value is only another way to look at its input. */
  isView(value: Value): boolean {
    const { kind } = value.node.op;
    return (
      (kind === 'reshape' || kind === 'slice' || kind === 'transpose' || kind === 'broadcast') &&
      !this.copied.has(value)
    );
  }

  /** Follows views, and a body's inputs to the values outside, down to what was computed, read or is constant. */
  resolve(value: Value, access: Access, extents: readonly number[]): { base: Value; access: Access } {
    let at = value;
    let by = access;
    for (;;) {
      if (this.#homes.has(at)) return { base: at, access: by };
      const outside = this.#outside.get(at);
      if (outside !== undefined) {
        by = { offset: by.offset, strides: by.strides.map((s, k) => (k === 0 ? s + outside.perStep : s)) };
        at = outside.value;
      } else if (this.isView(at)) {
        const through = throughView(at.node, by, extents);
        if (through === null) throw new NeedsCopy([at]);
        by = through;
        at = at.node.inputs[0]!;
      } else return { base: at, access: by };
    }
  }

  /** Whether a place that a copy fills has an address for each point of a nest: no axis runs over an edge of a part. */
  fits(target: Value, access: Access, extents: readonly number[]): boolean {
    const home = this.#homes.get(target);
    if (home?.kind !== 'part') return true;
    const within = throughPart(home, target, access, extents);
    return within !== null && this.fits(home.container, within, extents);
  }

  /** The address of elements of a computed or read value; its home is made if it has none. */
  address(base: Value, access: Access, extents: readonly number[], hasTime: boolean): Address {
    let home = this.#homes.get(base);
    if (home === undefined) {
      home = { kind: 'whole', allocation: this.allocateFor(base), offset: 0, time: null };
      this.#homes.set(base, home);
    }
    if (home.kind === 'part') {
      const within = throughPart(home, base, access, extents);
      if (within === null) throw new ReadAcrossEdge(base);
      return this.address(home.container, within, extents, hasTime);
    }
    const { allocation, offset } = home;
    const perStep = hasTime ? access.strides[0]! : 0;
    const time = home.time ?? (perStep === 0 ? null : { stride: perStep, shift: 0, ring: 0 });
    return {
      allocation,
      offset: offset + access.offset,
      strides: hasTime ? access.strides.slice(1) : access.strides,
      time,
    };
  }
}
