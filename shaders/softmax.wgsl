// Softmax along rows, shifted by the row's maximum so that no exponential overflows.
//
//   p(i, j) = exp(x(i, j) - m(i)) / sum_k exp(x(i, k) - m(i)),   m(i) = max_k x(i, k)
//
// A workgroup has ROWS_PER_GROUP x LANES invocations; lane l of a row owns the columns j = l, l + LANES, ... in
// all three passes, so p may overwrite x.
//
// As it stands: x and p are [32, 64]. Bindings: the buffers of x and p in the order of their first use; then, inside
// a loop over time, a uniform { t }.

//#begin bindings
@group(0) @binding(0) var<storage, read> b0: array<f32>;
@group(0) @binding(1) var<storage, read_write> b1: array<f32>;
//#end bindings

//#begin constants
const ROWS = 32;
const COLUMNS = 64;
const ROWS_PER_GROUP = 4;
const LANES = 16;
//#end constants
const THREADS = ROWS_PER_GROUP * LANES;
const LOWEST = -3.4028234663852886e38f;

//#begin functions
fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}
fn exponential(x: f32) -> f32 {
  return select(exp(x), x, is_nan(x));
}
//#end functions

//#begin lanes
var<workgroup> items_max: array<f32, THREADS>;
fn row_max(own: f32, place: i32) -> f32 {
  items_max[place] = own;
  workgroupBarrier();
  let first = place - place % LANES;
  var joined = items_max[first];
  for (var lane = 1; lane < LANES; lane++) {
    joined = max(joined, items_max[first + lane]);
  }
  return joined;
}
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

//#begin input
fn input(i: i32, j: i32) -> f32 {
  return b0[64 * i + j];
}
//#end input

fn run(workgroup: i32, thread: i32) {
  let lane = thread % LANES;
  let i = workgroup * ROWS_PER_GROUP + thread / LANES;
  let first = select(COLUMNS, lane, i < ROWS); // nothing to do beyond the last row

  var largest = LOWEST;
  for (var j = first; j < COLUMNS; j += LANES) {
    largest = max(largest, input(i, j));
  }
  largest = row_max(largest, thread);

  var sum = 0f;
  for (var j = first; j < COLUMNS; j += LANES) {
    sum += exponential(input(i, j) - largest);
  }
  sum = row_sum(sum, thread);

  for (var j = first; j < COLUMNS; j += LANES) {
    let p = exponential(input(i, j) - largest) / sum;
    //#begin output
    b1[64 * i + j] = p;
    //#end output
  }
}

//#begin entry
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  run(i32(group.x), i32(thread));
}
//#end entry
