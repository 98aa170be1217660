/**
 * The WebAssembly instructions that the generated code uses, by their names in the specification
 * (https://webassembly.github.io/spec/core/binary/instructions.html). Fixed-width SIMD only: Node 20 has no
 * relaxed SIMD, hence no fused multiply-add.
 */

const simd = (code: number): readonly number[] =>
  code < 0x80 ? [0xfd, code] : [0xfd, (code & 0x7f) | 0x80, code >> 7];

/** Instructions without immediates. */
export const opcodes = {
  select: [0x1b],
  'i32.lt_s': [0x48],
  'i32.lt_u': [0x49],
  'i32.gt_s': [0x4a],
  'i32.ge_s': [0x4e],
  'i32.add': [0x6a],
  'i32.sub': [0x6b],
  'i32.mul': [0x6c],
  'i32.div_u': [0x6e],
  'i32.rem_s': [0x6f],
  'i32x4.splat': simd(0x11),
  'i32x4.add': simd(0xae),
  'i32x4.sub': simd(0xb1),
  'i32x4.shl': simd(0xab),
  'i32x4.shr_s': simd(0xac),
  'i32x4.shr_u': simd(0xad),
  'i32x4.trunc_sat_f32x4_s': simd(0xf8),
  'f32x4.convert_i32x4_s': simd(0xfa),
  'f32x4.splat': simd(0x13),
  'f32x4.eq': simd(0x41),
  'f32x4.ne': simd(0x42),
  'f32x4.lt': simd(0x43),
  'f32x4.gt': simd(0x44),
  'f32x4.abs': simd(0xe0),
  'f32x4.neg': simd(0xe1),
  'f32x4.sqrt': simd(0xe3),
  'f32x4.add': simd(0xe4),
  'f32x4.sub': simd(0xe5),
  'f32x4.mul': simd(0xe6),
  'f32x4.div': simd(0xe7),
  'f32x4.min': simd(0xe8),
  'f32x4.max': simd(0xe9),
  'f32x4.pmin': simd(0xea),
  'f32x4.pmax': simd(0xeb),
  'v128.and': simd(0x4e),
  'v128.andnot': simd(0x4f),
  'v128.or': simd(0x50),
  'v128.xor': simd(0x51),
  'v128.bitselect': simd(0x52),
} as const satisfies Record<string, readonly number[]>;
export type Opcode = keyof typeof opcodes;

/** Loads and stores: an address on the stack, then an alignment (as a power of two) and an offset. */
export const memoryOpcodes = {
  'i32.load': { code: [0x28], alignment: 2 },
  'i32.store': { code: [0x36], alignment: 2 },
  'v128.load': { code: simd(0x00), alignment: 2 },
  'v128.load32_splat': { code: simd(0x09), alignment: 2 },
  'v128.load32_zero': { code: simd(0x5c), alignment: 2 },
  'v128.store': { code: simd(0x0b), alignment: 2 },
} as const satisfies Record<string, { code: readonly number[]; alignment: number }>;
export type MemoryOpcode = keyof typeof memoryOpcodes;

/** Loads and stores of one lane of a vector: like the above, then the lane. */
export const laneMemoryOpcodes = {
  'v128.load32_lane': simd(0x56),
  'v128.store32_lane': simd(0x5a),
} as const;
export type LaneMemoryOpcode = keyof typeof laneMemoryOpcodes;

/** Access to one lane of a vector in a register: the lane follows. */
export const laneOpcodes = {
  'f32x4.extract_lane': simd(0x1f),
} as const;
export type LaneOpcode = keyof typeof laneOpcodes;
