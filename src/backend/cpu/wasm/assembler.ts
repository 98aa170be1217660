/**
 * A WebAssembly binary emitter, just large enough for the code generators beside it: one imported memory,
 * imported i32 globals, functions with structured loops. The format: https://webassembly.github.io/spec/core/binary/.
 */
import {
  type LaneMemoryOpcode,
  type LaneOpcode,
  laneMemoryOpcodes,
  laneOpcodes,
  type MemoryOpcode,
  memoryOpcodes,
  type Opcode,
  opcodes,
} from './opcodes.js';

export type ValueType = 'i32' | 'v128';
const typeCodes: Record<ValueType, number> = { i32: 0x7f, v128: 0x7b };

/** Code that leaves one value on the stack. It may be emitted more than once, so it should be cheap: see `let`. */
export type Expression = (f: FunctionBuilder) => void;

/** A local variable of a function, by its index. */
export type Local = number;

function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return bytes;
}

function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}

const text = (value: string): number[] => {
  const bytes = new TextEncoder().encode(value);
  return [...unsigned(bytes.length), ...bytes];
};

const vector = (items: readonly (readonly number[])[]): number[] => [
  ...unsigned(items.length),
  ...items.flat(),
];

const section = (id: number, content: readonly number[]): number[] => [
  id,
  ...unsigned(content.length),
  ...content,
];

/** The body of one function, written instruction by instruction. */
export class FunctionBuilder {
  readonly #code: number[] = [];
  /** Set-up that runs once, before everything else: the constants. */
  readonly #prologue: number[] = [];
  readonly #locals: ValueType[] = [];
  readonly #constants = new Map<string, Local>();

  constructor(
    readonly module: ModuleBuilder,
    /** The index by which it is called. */
    readonly index: number,
    readonly parameters: readonly ValueType[],
  ) {}

  /** A local variable, read wherever the expression is used; the parameters are the first locals. */
  variable(local: Local): Expression {
    return (f) => f.get(local);
  }

  local(type: ValueType): Local {
    this.#locals.push(type);
    return this.parameters.length + this.#locals.length - 1;
  }

  /** Evaluates once, into a new local; the result can be used any number of times. */
  let(type: ValueType, value: Expression): Expression {
    const local = this.local(type);
    this.set(local, value);
    return this.variable(local);
  }

  get(local: Local): void {
    this.#code.push(0x20, ...unsigned(local));
  }

  set(local: Local, value: Expression): void {
    value(this);
    this.#code.push(0x21, ...unsigned(local));
  }

  i32(value: number): void {
    this.#code.push(0x41, ...signed(value | 0));
  }

  /** Four 32-bit lanes. The constant lives in a local that is set before the body runs, outside of every loop. */
  v128(lanes: Int32Array): void {
    const key = lanes.join();
    let local = this.#constants.get(key);
    if (local === undefined) {
      local = this.local('v128');
      this.#constants.set(key, local);
      const bytes = new Uint8Array(lanes.buffer, lanes.byteOffset, 16);
      this.#prologue.push(0xfd, 0x0c, ...bytes, 0x21, ...unsigned(local));
    }
    this.get(local);
  }

  global(index: number): void {
    this.#code.push(0x23, ...unsigned(index));
  }

  op(name: Opcode): void {
    this.#code.push(...opcodes[name]);
  }

  memory(name: MemoryOpcode, offset: number): void {
    const { code, alignment } = memoryOpcodes[name];
    this.#code.push(...code, alignment, ...unsigned(offset));
  }

  laneMemory(name: LaneMemoryOpcode, offset: number, lane: number): void {
    this.#code.push(...laneMemoryOpcodes[name], 2, ...unsigned(offset), lane);
  }

  lane(name: LaneOpcode, lane: number): void {
    this.#code.push(...laneOpcodes[name], lane);
  }

  /** Sets `bytes` bytes from `address` on to zero. */
  zero(address: Expression, bytes: Expression): void {
    address(this);
    this.i32(0);
    bytes(this);
    this.#code.push(0xfc, 0x0b, 0x00);
  }

  call(callee: FunctionBuilder, ...args: Expression[]): void {
    for (const arg of args) arg(this);
    this.#code.push(0x10, ...unsigned(callee.index));
  }

  if(condition: Expression, then: () => void): void {
    condition(this);
    this.#code.push(0x04, 0x40);
    then();
    this.#code.push(0x0b);
  }

  /** Repeats the body as long as the condition holds, which is tested before each round. */
  while(condition: Expression, body: () => void): void {
    this.if(condition, () => {
      this.#code.push(0x03, 0x40);
      body();
      condition(this);
      this.#code.push(0x0d, 0x00, 0x0b);
    });
  }

  /** Leaves the `while` whose body this is directly in. */
  breakIf(condition: Expression): void {
    condition(this);
    this.#code.push(0x0d, 0x01);
  }

  /** for (index = from; index < to; index += step) body(index) */
  for(from: Expression, to: Expression, step: number, body: (index: Expression) => void): void {
    const local = this.local('i32');
    const index = this.variable(local);
    this.set(local, from);
    this.while(
      (f) => {
        index(f);
        to(f);
        f.op('i32.lt_s');
      },
      () => {
        body(index);
        this.set(local, (f) => {
          index(f);
          f.i32(step);
          f.op('i32.add');
        });
      },
    );
  }

  /** The body in the binary format, with its size. */
  encode(): number[] {
    const locals = vector(this.#locals.map((type) => [1, typeCodes[type]]));
    const body = [...locals, ...this.#prologue, ...this.#code, 0x0b];
    return [...unsigned(body.length), ...body];
  }
}

/** A module with imports `env.memory` and `env.g0`, `env.g1`, ... (mutable i32 globals). */
export class ModuleBuilder {
  readonly #functions: FunctionBuilder[] = [];
  readonly #exports: number[][] = [];
  readonly #shared = new Map<string, FunctionBuilder>();

  /** @param sharesMemory Whether the memory that it will be given is shared between threads. */
  constructor(
    readonly globals: number,
    readonly sharesMemory: boolean,
  ) {}

  function(...parameters: ValueType[]): FunctionBuilder {
    const f = new FunctionBuilder(this, this.#functions.length, parameters);
    this.#functions.push(f);
    return f;
  }

  /** The function made for this key before, or else by `make`. */
  once(key: string, make: () => FunctionBuilder): FunctionBuilder {
    let f = this.#shared.get(key);
    if (f === undefined) this.#shared.set(key, (f = make()));
    return f;
  }

  /** Makes a function callable from outside, by the name returned. */
  export(f: FunctionBuilder): string {
    const name = `f${f.index}`;
    this.#exports.push([...text(name), 0x00, ...unsigned(f.index)]);
    return name;
  }

  encode(): Uint8Array<ArrayBuffer> {
    const types = this.#functions.map((f) => [
      0x60,
      ...vector(f.parameters.map((type) => [typeCodes[type]])),
      0,
    ]);
    // Its size: any; a shared memory's limit must be given, here that of the address space.
    const limits = this.sharesMemory ? [0x03, 0x00, ...unsigned(65536)] : [0x00, 0x00];
    const imports = [[...text('env'), ...text('memory'), 0x02, ...limits]];
    for (let i = 0; i < this.globals; i++) {
      imports.push([...text('env'), ...text(`g${i}`), 0x03, typeCodes.i32, 0x01]);
    }
    return Uint8Array.from([
      ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
      ...section(1, vector(types)),
      ...section(2, vector(imports)),
      ...section(3, vector(this.#functions.map((f) => unsigned(f.index)))),
      ...section(7, vector(this.#exports)),
      ...section(10, vector(this.#functions.map((f) => f.encode()))),
    ]);
  }
}
