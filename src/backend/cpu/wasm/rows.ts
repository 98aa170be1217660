/**
 * The inner loop of every elementwise pass: scalars evaluated along a row, four elements at a time, the last
 * few one by one. One by one means the same vector code with only lane 0 in use, so that there is one
 * arithmetic, not two.
 */
import type { Ref, Scalar } from '../../../../kernels/stage.js';
import { Addresses, type Place } from './addresses.js';
import type { Expression, FunctionBuilder } from './assembler.js';
import type { Environment } from './environment.js';
import { f32x4, i32, i32x4, load, loadLane, store, storeLane } from './expression.js';
import { vectorCall } from './math.js';
import { uniform } from './threefry.js';

/** How many elements a vector holds: all four lanes, or lane 0 alone. */
export type Lanes = 4 | 1;

/** What is done with the values of the scalars. */
export type Sink = (lanes: Lanes, value: (scalar: number) => Expression) => void;

/** An operand that a sink reads and writes. */
export interface Access {
  load(lanes: Lanes): Expression;
  store(lanes: Lanes, value: Expression): void;
}

type Evaluate = (lanes: Lanes) => Expression;

/** How to evaluate a scalar, and whether it is the same everywhere along the row. */
interface Step {
  readonly scalar: number;
  readonly isUniform: boolean;
  readonly evaluate: Evaluate;
}

/**
 * Use: construct; ask for the accesses of the sink; `enter` once in the function; `row` in the loops over the
 * outer axes. All operands have strides for the outer axes and then the row's.
 */
export class Rows {
  readonly #f: FunctionBuilder;
  readonly #environment: Environment;
  readonly #addresses: Addresses;
  readonly #steps: Step[] = [];
  readonly #values: Expression[] = [];

  /**
   * @param roots The scalars that the sink asks for; only what these need is evaluated.
   * @param origins Addresses of buffers that are not those of the environment.
   */
  constructor(
    f: FunctionBuilder,
    environment: Environment,
    scalars: readonly Scalar[],
    roots: readonly number[],
    private readonly origins: ReadonlyMap<number, Expression> = new Map(),
  ) {
    this.#f = f;
    this.#environment = environment;
    this.#addresses = new Addresses(f);
    const live = reachable(scalars, roots);
    const uniforms = new Set<number>();
    scalars.forEach((scalar, k) => {
      if (!live.has(k)) return;
      const { isUniform, evaluate } = this.#step(scalar, uniforms);
      if (isUniform) uniforms.add(k);
      this.#steps.push({ scalar: k, isUniform, evaluate });
    });
  }

  /** An operand for the sink. `shift`: bytes to add to its address, evaluated at the start of each row. */
  access(ref: Ref, shift: Expression | null = null): Access {
    const place = this.#element(ref, shift);
    const isInt = this.#isInt(ref);
    return {
      load: (lanes) => loadVector(place, isInt, lanes),
      store: (lanes, value) => storeVector(this.#f, place, isInt ? i32x4.fromFloat(value) : value, lanes),
    };
  }

  enter(t: Expression): void {
    this.#addresses.enter(t);
  }

  /** Elements [from, to) of the row at `outer`. */
  row(outer: readonly Expression[], from: Expression, to: Expression, sink: Sink): void {
    const f = this.#f;
    this.#addresses.place([...outer, from]);
    for (const step of this.#steps) if (step.isUniform) this.#evaluate(step, 4);
    const value = (scalar: number) => this.#values[scalar]!;
    const left = f.local('i32');
    const leftOver = f.variable(left);
    f.set(left, i32.sub(to, from));
    for (const lanes of [4, 1] as const) {
      f.while(i32.atLeast(leftOver, i32.constant(lanes)), () => {
        for (const step of this.#steps) if (!step.isUniform) this.#evaluate(step, lanes);
        sink(lanes, value);
        this.#addresses.advance(lanes);
        f.set(left, i32.plus(leftOver, -lanes));
      });
    }
  }

  #evaluate({ scalar, evaluate }: Step, lanes: Lanes): void {
    this.#values[scalar] = this.#f.let('v128', evaluate(lanes));
  }

  #element(ref: Ref, shift: Expression | null = null): Place {
    return this.#addresses.element(ref, shift, this.origins.get(ref.buffer));
  }

  #isInt(ref: Ref): boolean {
    return this.#environment.buffers[ref.buffer]?.dtype === 'int';
  }

  #step(scalar: Scalar, uniforms: ReadonlySet<number>): { isUniform: boolean; evaluate: Evaluate } {
    const f = this.#f;
    switch (scalar.kind) {
      case 'constant':
        return { isUniform: true, evaluate: () => f32x4.constant(scalar.value) };
      case 'load':
        return this.#load(scalar);
      case 'coordinate': {
        const place = this.#addresses.number(scalar.index);
        return { isUniform: place.stride === 0, evaluate: () => f32x4.fromInt(numbers(place)) };
      }
      case 'random': {
        const key = this.#element(scalar.key);
        const index = this.#addresses.number(scalar.index);
        const word = (k: number) => f.let('v128', load('v128.load32_splat', key.pointer, key.offset + 4 * k));
        return {
          isUniform: index.stride === 0,
          evaluate: () => uniform(f, [word(0), word(1)], numbers(index), scalar.stream),
        };
      }
      case 'call':
        return {
          isUniform: scalar.args.every((arg) => uniforms.has(arg)),
          evaluate: () =>
            vectorCall(
              f,
              scalar.fn,
              scalar.args.map((arg) => this.#values[arg]!),
            ),
        };
      case 'accumulator':
        throw new Error('an accumulator outside of a gemm stage');
      case 'rowSum':
        throw new Error('a row sum outside of a rows stage');
    }
  }

  #load({ ref, gather }: Scalar & { kind: 'load' }): { isUniform: boolean; evaluate: Evaluate } {
    const isInt = this.#isInt(ref);
    const along = (shift: Expression | null) => {
      const place = this.#element(ref, shift);
      return { isUniform: place.stride === 0, evaluate: (lanes: Lanes) => loadVector(place, isInt, lanes) };
    };
    if (gather === null) return along(null);
    const ids = this.#element(gather.ids);
    /** The byte distance of the row that an id picks; an id out of range picks the nearest row. */
    const shiftOf = (byteOffset: number) =>
      i32.mul(i32.clamp(i32.load(ids.pointer, byteOffset), gather.size), i32.constant(4 * gather.stride));
    if (ids.stride === 0) return along(shiftOf(ids.offset));
    const place = this.#element(ref);
    const evaluate = (lanes: Lanes): Expression => {
      let elements = f32x4.constant(0);
      for (let lane = 0; lane < lanes; lane++) {
        const address = i32.add(place.pointer, shiftOf(ids.offset + lane * ids.stride));
        elements = loadLane(address, place.offset + lane * place.stride, lane, elements);
      }
      return isInt ? f32x4.fromInt(elements) : elements;
    };
    return { isUniform: false, evaluate };
  }
}

function reachable(scalars: readonly Scalar[], roots: readonly number[]): ReadonlySet<number> {
  const live = new Set<number>();
  const visit = (k: number): void => {
    if (live.has(k)) return;
    live.add(k);
    const scalar = scalars[k]!;
    if (scalar.kind === 'call') scalar.args.forEach(visit);
  };
  roots.forEach(visit);
  return live;
}

/** An affine integer at four successive elements. */
function numbers({ pointer, offset, stride }: Place): Expression {
  const first = i32x4.splat(i32.plus(pointer, offset));
  return stride === 0 ? first : i32x4.add(first, i32x4.constant(0, stride, 2 * stride, 3 * stride));
}

function loadVector({ pointer, offset, stride }: Place, isInt: boolean, lanes: Lanes): Expression {
  return isInt ? f32x4.fromInt(bits()) : bits();

  function bits(): Expression {
    if (stride === 0) return load('v128.load32_splat', pointer, offset);
    if (lanes === 1) return load('v128.load32_zero', pointer, offset);
    if (stride === 4) return load('v128.load', pointer, offset);
    let elements = load('v128.load32_zero', pointer, offset);
    for (let lane = 1; lane < 4; lane++) {
      elements = loadLane(pointer, offset + lane * stride, lane, elements);
    }
    return elements;
  }
}

function storeVector(f: FunctionBuilder, place: Place, value: Expression, lanes: Lanes): void {
  const { pointer, offset, stride } = place;
  if (lanes === 1) storeLane(f, pointer, offset, 0, value);
  else if (stride === 4) store(f, 'v128.store', pointer, offset, value);
  else {
    const elements = f.let('v128', value);
    for (let lane = 0; lane < 4; lane++) storeLane(f, pointer, offset + lane * stride, lane, elements);
  }
}
