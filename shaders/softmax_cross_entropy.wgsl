// Softmax cross-entropy and its gradient with respect to the logits o, per row i with weight w and target t:
//
//   loss(i)        = w (s lse(o) - t.o) = w (s log sum_j exp(z_j) - sum_j t_j z_j)
//   gradient(i, j) = w (s softmax(o)_j - t_j)                     z_j = o_j - max_k o_k,  s = sum_j t_j
//
// The second form of the loss does not subtract large numbers. A target by class number is a one-hot t, s = 1; a
// number outside [0, COLUMNS) reads nothing, and makes the row NaN unless its weight is 0.
//
// A workgroup has ROWS_PER_GROUP x LANES invocations; lane l of a row owns the columns j = l, l + LANES, ... in
// every pass, so the gradient may overwrite the logits.
//
// As it stands: logits [32, 64], class targets, loss and gradient. Bindings: the buffers of the stage in the order of
// their first use; then, inside a loop over time, a uniform { t }.

//#begin bindings
@group(0) @binding(0) var<storage, read> b0: array<f32>;
@group(0) @binding(1) var<storage, read> b1: array<i32>;
@group(0) @binding(2) var<storage, read> b2: array<f32>;
@group(0) @binding(3) var<storage, read_write> b3: array<f32>;
@group(0) @binding(4) var<storage, read_write> b4: array<f32>;
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
fn from_bits(bits: u32) -> f32 {
  return bitcast<f32>(bits);
}
fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}
fn exponential(x: f32) -> f32 {
  return select(exp(x), x, is_nan(x));
}
fn logarithm(x: f32) -> f32 {
  return select(log(x), x, is_nan(x));
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
var<workgroup> items_sum: array<vec3<f32>, THREADS>;
fn row_sum(own: vec3<f32>, place: i32) -> vec3<f32> {
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

//#begin operands
fn logit(i: i32, j: i32) -> f32 {
  return b0[64 * i + j];
}
fn row_weight(i: i32) -> f32 {
  return b2[i];
}
fn row_class(i: i32) -> i32 {
  return b1[i];
}
fn target_at(i: i32, j: i32, label: i32) -> f32 {
  return select(0f, 1f, j == label);
}
//#end operands

fn run(workgroup: i32, thread: i32) {
  let lane = thread % LANES;
  let i = workgroup * ROWS_PER_GROUP + thread / LANES;
  let first = select(COLUMNS, lane, i < ROWS); // nothing to do beyond the last row
  let label = row_class(min(i, ROWS - 1));

  var largest = LOWEST;
  for (var j = first; j < COLUMNS; j += LANES) {
    largest = max(largest, logit(i, j));
  }
  largest = row_max(largest, thread);

  var sums = vec3<f32>(); // of exp(z), of t z, and of t
  for (var j = first; j < COLUMNS; j += LANES) {
    let z = logit(i, j) - largest;
    let t = target_at(i, j, label);
    // t = 0 contributes nothing even where z is minus infinity.
    sums += vec3(exponential(z), select(t * z, 0f, t == 0f), t);
  }
  sums = row_sum(sums, thread);
  let exponentials = sums.x;
  let target_logit = sums.y;
  let target_sum = sums.z;

  if (i >= ROWS) {
    return;
  }
  let w = row_weight(i);
  var scale = target_sum;
  //#begin unknown
  if ((label < 0 || label >= COLUMNS) && w != 0f) {
    scale = from_bits(0x7fc00000u);
  }
  //#end unknown
  if (lane == 0) {
    let loss = w * (scale * logarithm(exponentials) - target_logit);
    //#begin loss
    b3[i] = loss;
    //#end loss
  }
  for (var j = first; j < COLUMNS; j += LANES) {
    let p = exponential(logit(i, j) - largest) / exponentials;
    let gradient = w * (scale * p - target_at(i, j, label));
    //#begin gradient
    b4[64 * i + j] = gradient;
    //#end gradient
  }
}

//#begin entry
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  run(i32(group.x), i32(thread));
}
//#end entry
