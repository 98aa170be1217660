// Functions of one element that WGSL lacks or leaves too loose, one region each. Generators copy in what they call. All
// but the last are right for four elements too, with vec4<f32> for f32, vec4<u32> for u32 and vec4<bool> for bool: numbers
// that would not widen by themselves are written as calls of their type.
//
// WGSL promises tanh to 1e-5 absolute and log to 2^-21 near 1, which is coarser than the tests allow, and lets
// max, min, clamp and even exp and log drop a NaN. These keep f32's accuracy for all x, and a NaN comes out of every one of them
// so that a diverging run shows.

//#begin from_bits
// A call is not a constant expression, so this can make what WGSL refuses as one: infinities and NaN.
fn from_bits(bits: u32) -> f32 {
  return bitcast<f32>(bits);
}
//#end from_bits

//#begin is_nan
// By its bits: compilers with fast mathematics take x != x for false.
fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & u32(0x7fffffff)) > u32(0x7f800000);
}
//#end is_nan

//#begin exponential
// Some exp functions (SwiftShader's) turn a NaN into infinity, and 1 / (1 + infinity) would then hide it.
fn exponential(x: f32) -> f32 {
  return select(exp(x), x, is_nan(x));
}
//#end exponential

//#begin logarithm
// SwiftShader's log of a NaN, of infinity and of 0 is a finite number.
fn logarithm(x: f32) -> f32 {
  let finite = select(log(x), x, x > f32(3.4028234663852886e38));
  let positive = select(finite, from_bits(u32(0xff800000)), x == f32(0));
  return select(positive, from_bits(u32(0x7fc00000)), (x < f32(0)) | is_nan(x));
}
//#end logarithm

//#begin maximum
fn maximum(x: f32, y: f32) -> f32 {
  return select(select(y, x, (x > y) | is_nan(x)), y, is_nan(y));
}
//#end maximum

//#begin minimum
fn minimum(x: f32, y: f32) -> f32 {
  return select(select(y, x, (x < y) | is_nan(x)), y, is_nan(y));
}
//#end minimum

//#begin relu
// Written so that a NaN, which compares false, stays.
fn relu(x: f32) -> f32 {
  return select(x, f32(0), x <= f32(0));
}
//#end relu

//#begin hyperbolic_tangent
// Near 0 the odd polynomial of Cephes' tanhf (S. Moshier, netlib.org/cephes), where 1 - e cancels; beyond, e <= 1
// cannot overflow.
fn hyperbolic_tangent(x: f32) -> f32 {
  let z = x * x;
  var p = f32(-5.70498872745e-3);
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  let near = p * z * x + x;
  let e = exponential(-2f * abs(x));
  let far = (1f - e) / (1f + e);
  return select(select(far, -far, x < f32(0)), near, abs(x) < f32(0.625));
}
//#end hyperbolic_tangent

//#begin sigmoid
fn sigmoid(x: f32) -> f32 {
  let e = exponential(-abs(x));
  return select(e, f32(1), x >= f32(0)) / (1f + e);
}
//#end sigmoid

//#begin softplus
// max(x, 0) + log1p(e) with e = exp(-|x|) in [0, 1]; log1p(e) = 2 artanh(q), q = e / (2 + e) <= 1/3, by its series
// up to q^13 (the rest is below 1e-8).
fn softplus(x: f32) -> f32 {
  let e = exponential(-abs(x));
  let q = e / (2f + e);
  let z = q * q;
  var p = f32(1f / 13f);
  p = p * z + 1f / 11f;
  p = p * z + 1f / 9f;
  p = p * z + 1f / 7f;
  p = p * z + 1f / 5f;
  p = p * z + 1f / 3f;
  return max(x, f32(0)) + 2f * (p * z * q + q);
}
//#end softplus

//#begin nearest_half
// The nearest 16-bit float, ties to even, from 65520 on infinite. By its bits: WGSL lets a device's own conversion round
// either way and leave out infinities.
fn nearest_half(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let size = bits & u32(0x7fffffff);
  // 13 of the 23 bits behind the point go.
  let normal = (size + u32(0xfff) + ((size >> u32(13)) & u32(1))) & u32(0xffffe000);
  let finite = select(normal, u32(0x7f800000), normal >= u32(0x47800000));
  // Below 2^-14 halves are the multiples of 2^-24.
  let small = bitcast<u32>(round(bitcast<f32>(size) * 0x1p24f) * 0x1p-24f);
  let rounded = select(finite, small, size < u32(0x38800000));
  return bitcast<f32>(select(rounded | (bits & u32(0x80000000)), bits, size > u32(0x7f800000)));
}
//#end nearest_half

//#begin random
// Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), the
// same words as src/program/threefry.ts. Uniform in [0, 1): 24 bits of the first word.
fn random(key: vec2<u32>, counter: vec2<u32>) -> f32 {
  let keys = array<u32, 3>(key.x, key.y, key.x ^ key.y ^ 0x1bd11bdau);
  var rotations = array<vec4<u32>, 2>(vec4<u32>(13u, 15u, 26u, 6u), vec4<u32>(17u, 29u, 16u, 24u));
  var x = counter + key;
  for (var block = 0u; block < 5u; block++) {
    let by = rotations[block & 1u];
    for (var round = 0u; round < 4u; round++) {
      x.x += x.y;
      x.y = ((x.y << by[round]) | (x.y >> (32u - by[round]))) ^ x.x;
    }
    x += vec2<u32>(keys[(block + 1u) % 3u], keys[(block + 2u) % 3u] + block + 1u);
  }
  return f32(x.x >> 8u) * 0x1p-24f;
}
//#end random
