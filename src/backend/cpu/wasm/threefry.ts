/** threefry2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011), four at a time. */
import type { Expression, FunctionBuilder } from './assembler.js';
import { f32x4, i32x4, v128 } from './expression.js';

/** Skein's key-schedule parity. */
const PARITY = 0x1bd11bda;
const ROTATIONS = [
  [13, 15, 26, 6],
  [17, 29, 16, 24],
] as const;

/** Uniform in [0, 1): the top 24 bits of threefry2x32(key, [index, stream])[0]; all integers, four lanes each. */
export function uniform(
  f: FunctionBuilder,
  key: readonly [Expression, Expression],
  index: Expression,
  stream: number,
): Expression {
  const keys = [key[0], key[1], f.let('v128', v128.xor(v128.xor(key[0], key[1]), i32x4.constant(PARITY)))];
  let x = f.let('v128', i32x4.add(index, keys[0]!));
  let y = f.let('v128', i32x4.add(i32x4.constant(stream), keys[1]!));
  for (let group = 0; group < 5; group++) {
    for (const bits of ROTATIONS[group % 2]!) {
      x = f.let('v128', i32x4.add(x, y));
      const rotated = v128.or(i32x4.shiftLeft(y, bits), i32x4.shiftRight(y, 32 - bits));
      y = f.let('v128', v128.xor(rotated, x));
    }
    x = f.let('v128', i32x4.add(x, keys[(group + 1) % 3]!));
    y = f.let('v128', i32x4.add(y, i32x4.add(keys[(group + 2) % 3]!, i32x4.constant(group + 1))));
  }
  return f32x4.mul(f32x4.fromInt(i32x4.shiftRight(x, 8)), f32x4.constant(2 ** -24));
}
