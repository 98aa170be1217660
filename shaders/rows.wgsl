// Rows by themselves: pointwise work in which sums along the row take part, added up in a fixed order.
//
//   y(i, j) = f(x(i, j), S_1(i), S_2(i), ...)        S_k(i) = sum_j g_k(x(i, j), S_1(i), ..., S_{k-1}(i))
//
// A workgroup has ROWS_PER_GROUP x LANES invocations; lane l of a row owns the columns j = l, l + LANES, ... in
// every phase. A phase ends with the sums that later ones need; where rows are short, a lane keeps what it computed
// (kept<n>) for them. All stores are in the last phase, so that they may overwrite what is read at the same place.
//
// As it stands: y = (x - mean) / sqrt(variance + 1e-5) of the rows of a [32, 64] matrix. Bindings: the buffers of the
// stage in the order of their first use; then, inside a loop over time, a uniform { t }.

//#begin bindings
@group(0) @binding(0) var<storage, read> b0: array<f32>;
@group(0) @binding(1) var<storage, read_write> b1: array<f32>;
//#end bindings

//#begin constants
const ROWS = 32;
const COLUMNS = 64;
const ROWS_PER_GROUP = 1;
const LANES = 64;
//#end constants
const THREADS = ROWS_PER_GROUP * LANES;
const COLUMNS_EACH = (COLUMNS + LANES - 1) / LANES;

//#begin functions
//#end functions

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
  let lane = thread % LANES;
  let i = workgroup * ROWS_PER_GROUP + thread / LANES;
  let columns = select(0, COLUMNS, i < ROWS); // nothing to do beyond the last row

  //#begin phases
  let i0 = i;
  var kept5: array<f32, COLUMNS_EACH>;
  var own1 = 0f;
  for (var k = 0; k < COLUMNS_EACH; k += 1) {
    let j = lane + LANES * k;
    if (j >= columns) { break; }
    let s0 = b0[64 * i0 + j];
    own1 += s0;
  }
  let sum1 = row_sum(own1, thread);
  var own7 = 0f;
  for (var k = 0; k < COLUMNS_EACH; k += 1) {
    let j = lane + LANES * k;
    if (j >= columns) { break; }
    let s0 = b0[64 * i0 + j];
    let s1 = sum1;
    let s3 = 0.015625f;
    let s4 = s1 * s3;
    let s5 = s0 - s4;
    let s6 = s5 * s5;
    kept5[k] = s5;
    own7 += s6;
  }
  workgroupBarrier();
  let sum7 = row_sum(own7, thread);
  for (var k = 0; k < COLUMNS_EACH; k += 1) {
    let j = lane + LANES * k;
    if (j >= columns) { break; }
    let s3 = 0.015625f;
    let s5 = kept5[k];
    let s7 = sum7;
    let s8 = s7 * s3;
    let s9 = 0.00001f;
    let s10 = s8 + s9;
    let s11 = sqrt(s10);
    let s12 = s5 / s11;
    b1[64 * i0 + j] = s12;
  }
  //#end phases
}

//#begin entry
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  run(i32(group.x), i32(thread));
}
//#end entry
