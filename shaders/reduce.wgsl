// Sums of a per-element expression, in a fixed order: the same bits every time.
//
//   y(o) = sum_e f(x(o, e))        o over the kept axes, e over the reduced ones
//
// A workgroup has OUTPUTS x LANES invocations. Lane l of an output adds up e = l, l + LANES, ... and a tree in
// workgroup memory adds up the lanes (M. Harris, "Optimizing parallel reduction in CUDA", 2007). What it adds at a time
// is an element, or a vec4 where memory allows: four neighbouring outputs, or four neighbouring elements of one.
// Neighbouring invocations are neighbouring lanes when the reduced axis is contiguous, else neighbouring outputs.
//
// As it stands: row sums of a [32, 64] matrix. Bindings: the buffers of the stage in the order of their first use;
// then, inside a loop over time, a uniform { t }.

//#begin bindings
@group(0) @binding(0) var<storage, read> b0: array<f32>;
@group(0) @binding(1) var<storage, read_write> b1: array<f32>;
//#end bindings

//#begin constants
const KEPT = 32;
const REDUCED = 64;
const OUTPUTS = 4;
const LANES = 16;
alias Value = f32;
alias Sum = f32;
//#end constants
const THREADS = OUTPUTS * LANES;

//#begin functions
//#end functions

//#begin value
fn value(output: i32, element: i32) -> Value {
  let s0 = b0[64 * output + element];
  return s0;
}
//#end value

var<workgroup> partial: array<Sum, THREADS>;

fn run(workgroup: i32, thread: i32) {
  //#begin place
  let lane = thread % LANES;
  let slot = thread / LANES;
  //#end place
  let output = workgroup * OUTPUTS + slot;

  var own = Value();
  if (output < KEPT) {
    for (var element = lane; element < REDUCED; element += LANES) {
      own += value(output, element);
    }
  }
  //#begin partial
  partial[slot * LANES + lane] = own;
  //#end partial
  for (var half = LANES / 2; half > 0; half /= 2) {
    workgroupBarrier();
    if (lane < half) {
      partial[slot * LANES + lane] += partial[slot * LANES + lane + half];
    }
  }
  if (lane == 0 && output < KEPT) {
    let sum = partial[slot * LANES];
    //#begin stores
    b1[output] = sum;
    //#end stores
  }
}

//#begin entry
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  run(i32(group.x), i32(thread));
}
//#end entry
