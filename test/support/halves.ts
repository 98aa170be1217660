/** Numbers of 16 bits by IEEE 754: a sign, 5 bits of exponent, 10 of mantissa. */

/** One more is infinite: 65504 and half a unit of its last place. */
const OVERFLOW = 65520;

/** The distance of neighbouring halves around x. */
const unit = (x: number): number => 2 ** (Math.max(-14, Math.floor(Math.log2(Math.abs(x)))) - 10);

/** The nearest half, of two the even one. */
export function roundToHalf(x: number): number {
  if (!Number.isFinite(x) || x === 0) return x;
  if (Math.abs(x) >= OVERFLOW) return Math.sign(x) * Number.POSITIVE_INFINITY;
  const units = Math.abs(x) / unit(x); // exact: a power of 2
  const below = Math.floor(units);
  const rest = units - below;
  const isUp = rest > 0.5 || (rest === 0.5 && below % 2 === 1);
  return Math.sign(x) * (below + (isUp ? 1 : 0)) * unit(x);
}

/** The bits of a number that is a half. */
export function bitsOfHalf(x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  if (Number.isNaN(x)) return 0x7e00;
  if (x === 0) return sign;
  if (!Number.isFinite(x)) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(Math.abs(x))));
  const mantissa = Math.abs(x) / 2 ** (exponent - 10); // below 1024 where it is subnormal
  return sign | (mantissa < 1024 ? mantissa : ((exponent + 15) << 10) | (mantissa - 1024));
}

export function halfOfBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0x1f) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25));
}
