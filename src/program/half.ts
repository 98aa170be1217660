/** Halves: the 16-bit floats of IEEE 754, with 10 bits behind the point and exponents from -14 to 15. */

/** From here on, half way from the largest half, 65504, to the next power of two, numbers round to infinity. */
const OVERFLOW = 65520;

/** The half nearest to a number, of two as near the one whose last bit is 0; NaN stays. */
export function roundToHalf(x: number): number {
  const size = Math.abs(x);
  if (!(size < OVERFLOW)) return x * Number.POSITIVE_INFINITY;
  // Where the logarithm rounds across a power of two, both spacings lead to that power.
  const spacing = 2 ** (Math.max(Math.floor(Math.log2(size)), -14) - 10);
  // In float64 neighbours of 2^52 are 1 apart, so that the sum rounds to a whole number.
  return Math.sign(x) * (size / spacing + 2 ** 52 - 2 ** 52) * spacing;
}

/** The bits of the half nearest to a number. */
export function bitsOfHalf(x: number): number {
  const half = roundToHalf(x);
  const size = Math.abs(half);
  const sign = Object.is(half, -size) ? 0x8000 : 0;
  if (Number.isNaN(half)) return 0x7e00;
  if (size === Number.POSITIVE_INFINITY) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | (size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  return sign | (((exponent + 14) << 10) + size * 2 ** (10 - exponent));
}

/** The half of these bits. */
export function halfOfBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 0x3ff) / 1024;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15));
}
