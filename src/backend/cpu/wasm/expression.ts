/** Expressions of generated code, written as they read in mathematics. */
import type { Expression, FunctionBuilder } from './assembler.js';
import type { MemoryOpcode, Opcode } from './opcodes.js';

const call =
  (name: Opcode, ...args: Expression[]): Expression =>
  (f) => {
    for (const arg of args) arg(f);
    f.op(name);
  };

const unary = (name: Opcode) => (x: Expression) => call(name, x);
const binary = (name: Opcode) => (x: Expression, y: Expression) => call(name, x, y);
const ternary = (name: Opcode) => (x: Expression, y: Expression, z: Expression) => call(name, x, y, z);

/** 32-bit integers: sizes, indices, addresses (which wrap, so that negative strides need no care). */
export const i32 = {
  constant:
    (value: number): Expression =>
    (f) =>
      f.i32(value),
  add: binary('i32.add'),
  sub: binary('i32.sub'),
  mul: binary('i32.mul'),
  divide: binary('i32.div_u'),
  remainder: binary('i32.rem_s'),
  less: binary('i32.lt_s'),
  greater: binary('i32.gt_s'),
  atLeast: binary('i32.ge_s'),
  /** Whether 0 <= x < size: a negative number is a large one without its sign. */
  isBelow: (x: Expression, size: number): Expression => call('i32.lt_u', x, i32.constant(size)),
  min: (x: Expression, y: Expression): Expression => call('select', x, y, i32.less(x, y)),
  /** The nearest number in [0, size). */
  clamp:
    (x: Expression, size: number): Expression =>
    (f) => {
      const given = f.let('i32', x);
      const atLeast0 = f.let(
        'i32',
        call('select', given, i32.constant(0), i32.greater(given, i32.constant(0))),
      );
      i32.min(atLeast0, i32.constant(size - 1))(f);
    },
  load: (address: Expression, byteOffset: number) => load('i32.load', address, byteOffset),
  /** x + byteOffset, nothing when it is 0. */
  plus: (x: Expression, constant: number): Expression =>
    constant === 0 ? x : i32.add(x, i32.constant(constant)),
};

/** x[k] * coefficients[k] summed up, on top of `start`; terms with coefficient 0 cost nothing. */
export function affine(
  start: Expression,
  x: readonly Expression[],
  coefficients: readonly number[],
): Expression {
  return x.reduce((sum, factor, k) => {
    const coefficient = coefficients[k]!;
    if (coefficient === 0) return sum;
    return i32.add(sum, coefficient === 1 ? factor : i32.mul(factor, i32.constant(coefficient)));
  }, start);
}

/** Four floats, or four integers or masks in the same register. */
export const f32x4 = {
  constant: (value: number): Expression => vectorOf(Float32Array.of(value, value, value, value)),
  add: binary('f32x4.add'),
  sub: binary('f32x4.sub'),
  mul: binary('f32x4.mul'),
  div: binary('f32x4.div'),
  neg: unary('f32x4.neg'),
  abs: unary('f32x4.abs'),
  sqrt: unary('f32x4.sqrt'),
  /** NaN when either is NaN. */
  min: binary('f32x4.min'),
  /** NaN when either is NaN. */
  max: binary('f32x4.max'),
  /** y < x ? y : x, in one instruction; so x when x is NaN. */
  pmin: binary('f32x4.pmin'),
  /** x < y ? y : x, in one instruction; so x when x is NaN. */
  pmax: binary('f32x4.pmax'),
  equal: binary('f32x4.eq'),
  notEqual: binary('f32x4.ne'),
  less: binary('f32x4.lt'),
  greater: binary('f32x4.gt'),
  fromInt: unary('f32x4.convert_i32x4_s'),
  /** One lane, in all four. */
  splatLane:
    (x: Expression, lane: number): Expression =>
    (f) => {
      x(f);
      f.lane('f32x4.extract_lane', lane);
      f.op('f32x4.splat');
    },
};

export const i32x4 = {
  constant: (a: number, b = a, c = a, d = a): Expression => vectorOf(Int32Array.of(a, b, c, d)),
  splat: unary('i32x4.splat'),
  add: binary('i32x4.add'),
  sub: binary('i32x4.sub'),
  shiftLeft: (x: Expression, bits: number) => call('i32x4.shl', x, i32.constant(bits)),
  shiftRight: (x: Expression, bits: number) => call('i32x4.shr_u', x, i32.constant(bits)),
  shiftRightSigned: (x: Expression, bits: number) => call('i32x4.shr_s', x, i32.constant(bits)),
  fromFloat: unary('i32x4.trunc_sat_f32x4_s'),
};

export const v128 = {
  and: binary('v128.and'),
  /** x and not y. */
  andNot: binary('v128.andnot'),
  or: binary('v128.or'),
  xor: binary('v128.xor'),
  /** Bits of x where the mask is set, of y elsewhere. */
  select: (mask: Expression, x: Expression, y: Expression) => ternary('v128.bitselect')(x, y, mask),
};

function vectorOf(lanes: Float32Array | Int32Array): Expression {
  const bits = new Int32Array(lanes.buffer);
  return (f) => f.v128(bits);
}

/** coefficients[0] x^n + ... + coefficients[n], by Horner's rule. */
export const polynomial = (x: Expression, coefficients: readonly number[]): Expression =>
  coefficients
    .slice(1)
    .reduce<Expression>(
      (sum, coefficient) => f32x4.add(f32x4.mul(sum, x), f32x4.constant(coefficient)),
      f32x4.constant(coefficients[0]!),
    );

/** An address with a constant added: instructions carry offsets, but only those that are not negative. */
function at(address: Expression, byteOffset: number): { address: Expression; offset: number } {
  return byteOffset >= 0
    ? { address, offset: byteOffset }
    : { address: i32.plus(address, byteOffset), offset: 0 };
}

export function load(name: MemoryOpcode, address: Expression, byteOffset: number): Expression {
  const place = at(address, byteOffset);
  return (f) => {
    place.address(f);
    f.memory(name, place.offset);
  };
}

export function store(
  f: FunctionBuilder,
  name: MemoryOpcode,
  address: Expression,
  byteOffset: number,
  value: Expression,
): void {
  const place = at(address, byteOffset);
  place.address(f);
  value(f);
  f.memory(name, place.offset);
}

/** Replaces one lane of a vector by the element at an address. */
export function loadLane(
  address: Expression,
  byteOffset: number,
  lane: number,
  vector: Expression,
): Expression {
  const place = at(address, byteOffset);
  return (f) => {
    place.address(f);
    vector(f);
    f.laneMemory('v128.load32_lane', place.offset, lane);
  };
}

export function storeLane(
  f: FunctionBuilder,
  address: Expression,
  byteOffset: number,
  lane: number,
  vector: Expression,
): void {
  const place = at(address, byteOffset);
  place.address(f);
  vector(f);
  f.laneMemory('v128.store32_lane', place.offset, lane);
}
