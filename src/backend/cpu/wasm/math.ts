/**
 * The pointwise functions on four floats at a time, in float32, to about two units in the last place.
 * NaN gives NaN. Polynomials: S. L. Moshier, Cephes (expf); fdlibm's reduction for the logarithm.
 */
import type { FunctionName } from '../../../program/functions.js';
import type { Expression, FunctionBuilder } from './assembler.js';
import { f32x4, i32x4, polynomial, v128 } from './expression.js';

const { add, sub, mul, div, pmin, pmax } = f32x4;
const number = f32x4.constant;

/** ln 2 in two parts; products of the first with small integers are exact. */
const LN2_HIGH = 0.693359375;
const LN2_LOW = -2.1219444005469057e-4;

/** x = n ln 2 + r with |r| <= ln(2)/2. */
interface Reduced {
  /** e^r - 1. */
  readonly excess: Expression;
  /** 2^n. */
  readonly power: Expression;
  /** n, as integers. */
  readonly n: Expression;
}

/** For |x| < 2^21. 2^n is right for n in [-126, 127], infinite for n = 128. */
function reduceExponent(f: FunctionBuilder, x: Expression): Reduced {
  // Adding 1.5 * 2^23 rounds to an integer, and leaves that integer in the low bits; the bias of the exponent
  // added as well, a shift makes it 2^n.
  const magic = 1.5 * 2 ** 23 + 127;
  const shifted = f.let('v128', add(mul(x, number(Math.LOG2E)), number(magic)));
  const n = f.let('v128', sub(shifted, number(magic)));
  const r = f.let('v128', sub(sub(x, mul(n, number(LN2_HIGH))), mul(n, number(LN2_LOW))));
  const q = polynomial(
    r,
    [1.98756915e-4, 1.39819995e-3, 8.33345191e-3, 4.16657959e-2, 1.66666655e-1, 5.00000012e-1],
  );
  return {
    excess: f.let('v128', add(mul(mul(r, r), q), r)),
    power: f.let('v128', i32x4.shiftLeft(shifted, 23)),
    n: i32x4.fromFloat(n),
  };
}

const clamp = (x: Expression, low: number, high: number) => pmax(pmin(x, number(high)), number(low));

/** e^x; infinite above 88.72, denormal below -87.34 and 0 below -104. */
function exp(f: FunctionBuilder, x: Expression): Expression {
  const { excess, n } = reduceExponent(f, f.let('v128', clamp(x, -105, 89)));
  // 2^n in two factors, because n itself goes beyond the exponents of normal numbers.
  const half = f.let('v128', i32x4.shiftRightSigned(n, 1));
  const pow2 = (e: Expression) => i32x4.shiftLeft(i32x4.add(e, i32x4.constant(127)), 23);
  return mul(mul(add(excess, number(1)), pow2(half)), pow2(i32x4.sub(n, half)));
}

/** 1 / (1 + e^-x), down to x = -88: beyond, 2^n would overflow and make a NaN with the excess. */
function sigmoid(f: FunctionBuilder, x: Expression): Expression {
  const { excess, power } = reduceExponent(f, f.let('v128', clamp(f32x4.neg(x), -87, 88)));
  return div(number(1), add(number(1), add(mul(excess, power), power)));
}

/** (e^2x - 1) / (e^2x + 1), from e^2x - 1 without cancellation, so that small x keep all their digits. */
function tanh(f: FunctionBuilder, x: Expression): Expression {
  const { excess, power } = reduceExponent(f, f.let('v128', clamp(mul(x, number(2)), -19, 19)));
  const expm1 = f.let('v128', add(mul(excess, power), sub(power, number(1))));
  return div(expm1, add(expm1, number(2)));
}

/** 2/3, 2/5, ...: log((1 + s) / (1 - s)) = 2 s + s (2/3 s^2 + 2/5 s^4 + ...). */
const atanhSeries = (terms: number): number[] =>
  Array.from({ length: terms }, (_, k) => 2 / (2 * (terms - k) + 1));

/** log(1 + x); `terms` of the series in (x / (2 + x))^2. */
function log1p(f: FunctionBuilder, x: Expression, terms: number): Expression {
  const s = f.let('v128', div(x, add(x, number(2))));
  const s2 = f.let('v128', mul(s, s));
  const series = mul(s2, polynomial(s2, atanhSeries(terms)));
  const half = f.let('v128', mul(mul(x, x), number(0.5)));
  return f.let('v128', sub(x, sub(half, mul(s, add(half, series)))));
}

/** -Infinity at 0, NaN below. */
function log(f: FunctionBuilder, x: Expression): Expression {
  const isDenormal = f.let('v128', f32x4.less(x, number(2 ** -126)));
  const normal = f.let('v128', v128.select(isDenormal, mul(x, number(2 ** 25)), x));
  // normal = 2^n m with m in [sqrt(1/2), sqrt(2)): subtracting the bits of sqrt(1/2) leaves n in the exponent.
  const SQRT_HALF_BITS = 0x3f3504f3;
  const bits = f.let('v128', i32x4.sub(normal, i32x4.constant(SQRT_HALF_BITS)));
  const exponent = f32x4.fromInt(i32x4.shiftRightSigned(bits, 23));
  const n = f.let('v128', sub(exponent, v128.and(isDenormal, number(25))));
  const m = i32x4.add(v128.and(bits, i32x4.constant(0x007fffff)), i32x4.constant(SQRT_HALF_BITS));
  const logM = log1p(f, f.let('v128', sub(m, number(1))), 4);
  const finite = add(mul(n, number(LN2_HIGH)), add(mul(n, number(LN2_LOW)), logM));
  const positive = v128.select(f32x4.less(x, number(Infinity)), finite, x);
  const atMostZero = v128.select(f32x4.less(x, number(0)), number(Number.NaN), number(-Infinity));
  // NaN compares false with 0 and with Infinity, and so comes out as itself.
  const isAtMostZero = v128.andNot(f32x4.equal(x, x), f32x4.greater(x, number(0)));
  return v128.select(isAtMostZero, atMostZero, positive);
}

/** max(x, 0) + log(1 + e^-|x|). */
function softplus(f: FunctionBuilder, x: Expression): Expression {
  const e = f.let('v128', exp(f, f.let('v128', f32x4.neg(f32x4.abs(x)))));
  return add(pmax(x, number(0)), log1p(f, e, 8));
}

/** The nearest 16-bit float, ties to even, from 65520 on infinite. */
function half(f: FunctionBuilder, x: Expression): Expression {
  const size = f.let('v128', f32x4.abs(x));
  // A number whose neighbours are as far apart as the halves about x, at least 2^-24: what is added to it rounds so.
  const exponent = v128.and(f32x4.max(size, number(2 ** -14)), i32x4.constant(0x7f800000));
  const anchor = f.let('v128', mul(exponent, number(1.5 * 2 ** 13)));
  const rounded = f.let('v128', sub(add(size, anchor), anchor));
  const infinite = v128.select(f32x4.less(rounded, number(65536)), rounded, number(Infinity));
  const magnitude = v128.select(f32x4.equal(x, x), infinite, x);
  return v128.or(magnitude, v128.and(x, number(-0)));
}

/** A predicate as a float: 1 or 0. */
const indicator = (mask: Expression): Expression => v128.and(mask, number(1));

const vectorFunctions: Record<FunctionName, (f: FunctionBuilder, ...x: Expression[]) => Expression> = {
  add: (_, x, y) => add(x!, y!),
  sub: (_, x, y) => sub(x!, y!),
  mul: (_, x, y) => mul(x!, y!),
  div: (_, x, y) => div(x!, y!),
  neg: (_, x) => f32x4.neg(x!),
  exp: (f, x) => exp(f, x!),
  log: (f, x) => log(f, x!),
  sqrt: (_, x) => f32x4.sqrt(x!),
  tanh: (f, x) => tanh(f, x!),
  sigmoid: (f, x) => sigmoid(f, x!),
  relu: (_, x) => pmax(x!, number(0)),
  softplus: (f, x) => softplus(f, x!),
  max: (_, x, y) => f32x4.max(x!, y!),
  min: (_, x, y) => f32x4.min(x!, y!),
  greater: (_, x, y) => indicator(f32x4.greater(x!, y!)),
  equal: (_, x, y) => indicator(f32x4.equal(x!, y!)),
  select: (_, c, x, y) => v128.select(f32x4.notEqual(c!, number(0)), x!, y!),
  half: (f, x) => half(f, x!),
};

/**
 * The value of a function. The arguments are used several times, so they should be locals; the result is an
 * expression that should be used once.
 */
export const vectorCall = (f: FunctionBuilder, name: FunctionName, args: readonly Expression[]): Expression =>
  vectorFunctions[name](f, ...args);
