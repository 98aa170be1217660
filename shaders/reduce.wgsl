// Sums of a per-element expression, in a fixed order: the same bits every time.
//
//   y(o) = sum_e f(x(o, e))        o over the kept axes, e over the reduced ones
//
// A workgroup has OUTPUTS x LANES invocations. Lane l of an output adds up e = l, l + LANES, ...; lanes.wgsl says how
// lanes are joined. What is added at a time is an element, or a vec4 where memory allows: four neighbouring outputs, or
// four neighbouring elements of one. Neighbouring invocations are neighbouring lanes when the reduced axis is contiguous,
// else neighbouring outputs.
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

//#begin lanes
var<workgroup> items_sum: array<f32, THREADS>;
fn row_sum(own: f32, place: i32) -> f32 {
  items_sum[place] = own;
  workgroupBarrier();
  let first = place - place % LANES;
  var joined = items_sum[first];
  for (var lane = 1; lane < LANES; lane++) {
    joined += items_sum[first + lane];
  }
  return joined;
}
//#end lanes

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
  //#begin sum
  let sum = row_sum(own, slot * LANES + lane);
  //#end sum
  if (lane == 0 && output < KEPT) {
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
