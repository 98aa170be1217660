/** Running addresses: one pointer for all operands that move alike, set at the start of a row and advanced along it. */
import type { Affine, Ref } from '../../../../kernels/stage.js';
import type { Expression, FunctionBuilder, Local } from './assembler.js';
import { baseOf } from './environment.js';
import { affine, i32 } from './expression.js';

const ELEMENT_BYTES = 4;

/** A pointer, or a plain integer, that is an affine function of the place in the domain. */
interface Pointer {
  readonly index: Affine;
  /** 4 where it counts bytes, 1 where it is a number. */
  readonly unit: number;
  /** Added at the start of every row: the rows that a gather picks. */
  readonly shift: Expression | null;
  readonly origin: Expression;
  /** Its value where all indices are 0, in this call. */
  readonly base: Local;
  readonly current: Local;
}

/** An operand's place: a pointer, an offset from it and the step to the next element, all in the pointer's unit. */
export interface Place {
  readonly pointer: Expression;
  readonly offset: number;
  readonly stride: number;
}

/** t * stride, with shift and ring; `index.offset` included. */
function start(index: Affine, t: Expression): Expression {
  if (index.time === null) return i32.constant(index.offset);
  const { stride, shift, ring } = index.time;
  const shifted = i32.plus(t, shift);
  const step =
    ring === 0
      ? shifted
      : // The remainder has the sign of t + shift, which may be negative.
        i32.remainder(i32.plus(i32.remainder(shifted, i32.constant(ring)), ring), i32.constant(ring));
  return i32.plus(i32.mul(step, i32.constant(stride)), index.offset);
}

/** The byte address of an operand where all indices are 0. */
export const startAddress = (ref: Ref, t: Expression): Expression =>
  i32.add(baseOf(ref.buffer), i32.mul(start(ref, t), i32.constant(ELEMENT_BYTES)));

export class Addresses {
  readonly #pointers = new Map<string, Pointer>();
  readonly #f: FunctionBuilder;

  constructor(f: FunctionBuilder) {
    this.#f = f;
  }

  /**
   * Where an operand is. `origin` is the address of its buffer when that is not simply the buffer's base.
   * All places must be asked for before the code of the first row is written.
   */
  element(ref: Ref, shift: Expression | null = null, origin = baseOf(ref.buffer)): Place {
    return this.#place(`buffer ${ref.buffer}`, ref, ELEMENT_BYTES, origin, shift);
  }

  /** The value of an affine index itself. */
  number(index: Affine): Place {
    return this.#place('number', index, 1, i32.constant(0), null);
  }

  #place(kind: string, index: Affine, unit: number, origin: Expression, shift: Expression | null): Place {
    // A shift is known to nobody else, so that such a pointer has no company.
    const own = shift === null ? '' : this.#pointers.size;
    const key = JSON.stringify([kind, index.strides, index.time, own]);
    let pointer = this.#pointers.get(key);
    if (pointer === undefined) {
      const base = this.#f.local('i32');
      pointer = { index, unit, shift, origin, base, current: this.#f.local('i32') };
      this.#pointers.set(key, pointer);
    }
    const { current } = pointer;
    return {
      pointer: this.#f.variable(current),
      offset: (index.offset - pointer.index.offset) * unit,
      stride: index.strides.at(-1)! * unit,
    };
  }

  /** Once for each call: the parts that do not depend on the place in the domain. */
  enter(t: Expression): void {
    for (const { index, unit, origin, base } of this.#pointers.values()) {
      this.#f.set(base, i32.add(origin, i32.mul(start(index, t), i32.constant(unit))));
    }
  }

  /** At the start of a row: `indices` are those of all axes, the last one where the row begins. */
  place(indices: readonly Expression[]): void {
    for (const { index, unit, shift, base, current } of this.#pointers.values()) {
      const strides = index.strides.map((stride) => stride * unit);
      const position = affine(this.#f.variable(base), indices, strides);
      this.#f.set(current, shift === null ? position : i32.add(position, shift));
    }
  }

  /** On by some elements within the row. */
  advance(elements: number): void {
    for (const { index, unit, current } of this.#pointers.values()) {
      const step = index.strides.at(-1)! * unit * elements;
      if (step !== 0) this.#f.set(current, i32.plus(this.#f.variable(current), step));
    }
  }
}
