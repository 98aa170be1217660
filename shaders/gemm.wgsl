// Batched matrix products with an epilogue on every element of the result.
//
//   sum_s(b, i, j) = sum over the terms that feed slot s, over k of  A(b, i, k) B_s(b, k, j)
//   y(b, i, j)     = f(sum_0(b, i, j), sum_1(b, i, j), ..., loads)
//
// A slot is one of several results with the same A: the four gates of an LSTM unit, whose B_s are blocks of one matrix,
// so that the epilogue f holds all gates of its unit. A term is one of several products that are added.
//
// A workgroup computes TILE_ROWS x TILE_COLUMNS elements of every slot. It copies blocks of A and B, TILE_DEPTH
// deep, into workgroup memory, with the axis of stride 1 read by neighbouring invocations; elements outside of the
// matrices are zeros. An invocation keeps ROWS_EACH x COLUMNS_EACH sums for each slot in registers (V. Volkov and
// J. Demmel, "Benchmarking GPUs to tune dense linear algebra", SC 2008). Each sum runs over k in order. Where workgroup memory
// is no nearer than storage nothing is copied: an invocation reads what it multiplies.
//
// As it stands: C = A B with A [32, 48], B [48, 40], C [32, 40], row-major. Bindings: the buffers of the stage in the
// order of their first use; then, inside a loop over time, a uniform { t }.

//#begin bindings
@group(0) @binding(0) var<storage, read> b0: array<f32>;
@group(0) @binding(1) var<storage, read> b1: array<f32>;
@group(0) @binding(2) var<storage, read_write> b2: array<f32>;
//#end bindings

//#begin constants
const BATCH = 1;
const COLUMNS = 40;
const THREADS_X = 8;
const THREADS_Y = 8;
const ROWS_EACH = 4;
const COLUMNS_EACH = 4;
const ROW_VECTOR = 4; // neighbouring rows in one vector of tile_a
const COLUMN_VECTOR = 4; // neighbouring columns in one vector of tile_b
const TILE_DEPTH = 16;
//#end constants
const THREADS = THREADS_X * THREADS_Y;
const TILE_ROWS = THREADS_Y * ROWS_EACH;
const TILE_COLUMNS = THREADS_X * COLUMNS_EACH;
const COLUMN_TILES = (COLUMNS + TILE_COLUMNS - 1) / TILE_COLUMNS;

//#begin functions
//#end functions

//#begin tiles
// [k][vector of rows] and [k][vector of columns]. A pitch one longer where writes run along k, against bank conflicts.
const PITCH_A = TILE_ROWS / ROW_VECTOR + 1;
const PITCH_B = TILE_COLUMNS / COLUMN_VECTOR;
var<workgroup> tile_a: array<vec4<f32>, TILE_DEPTH * PITCH_A>;
var<workgroup> tile_b: array<vec4<f32>, TILE_DEPTH * PITCH_B>;
//#end tiles

//#begin operands
fn load_a0(b: i32, i: i32, k: i32) -> f32 {
  return b0[48 * i + k];
}
fn load_b0(b: i32, k: i32, j: i32) -> f32 {
  if (j >= COLUMNS) {
    return 0f;
  }
  return b1[40 * k + j];
}
//#end operands

//#begin epilogue
fn finish(b: i32, i: i32, j: i32, sum0: f32) {
  if (j >= COLUMNS) {
    return;
  }
  let s0 = sum0;
  b2[40 * i + j] = s0;
}
//#end epilogue

fn run(workgroup: i32, thread: i32) {
  let x = thread % THREADS_X;
  let y = thread / THREADS_X;
  let b = workgroup / COLUMN_TILES % BATCH;
  let tile_row = workgroup / (COLUMN_TILES * BATCH) * TILE_ROWS;
  let tile_column = workgroup % COLUMN_TILES * TILE_COLUMNS;

  //#begin sums
  // sum<slot>_<row>_<vector of columns>
  var sum0_0_0 = vec4<f32>();
  var sum0_1_0 = vec4<f32>();
  var sum0_2_0 = vec4<f32>();
  var sum0_3_0 = vec4<f32>();
  //#end sums

  //#begin terms
  for (var depth = 0; depth < 48; depth += TILE_DEPTH) {
    for (var n = thread; n < TILE_DEPTH * TILE_ROWS / ROW_VECTOR; n += THREADS) {
      let k = n % TILE_DEPTH;
      let v = n / TILE_DEPTH;
      let i = tile_row + v * ROW_VECTOR;
      tile_a[k * PITCH_A + v] = vec4<f32>(
        load_a0(b, i, depth + k),
        load_a0(b, i + 1, depth + k),
        load_a0(b, i + 2, depth + k),
        load_a0(b, i + 3, depth + k),
      );
    }
    for (var n = thread; n < TILE_DEPTH * TILE_COLUMNS / COLUMN_VECTOR; n += THREADS) {
      let v = n % (TILE_COLUMNS / COLUMN_VECTOR);
      let k = n / (TILE_COLUMNS / COLUMN_VECTOR);
      let j = tile_column + v * COLUMN_VECTOR;
      tile_b[k * PITCH_B + v] = vec4<f32>(
        load_b0(b, depth + k, j),
        load_b0(b, depth + k, j + 1),
        load_b0(b, depth + k, j + 2),
        load_b0(b, depth + k, j + 3),
      );
    }
    workgroupBarrier();
    for (var k = 0; k < TILE_DEPTH; k++) {
      let a0 = tile_a[k * PITCH_A + y];
      let b0_0 = tile_b[k * PITCH_B + x];
      sum0_0_0 += a0.x * b0_0;
      sum0_1_0 += a0.y * b0_0;
      sum0_2_0 += a0.z * b0_0;
      sum0_3_0 += a0.w * b0_0;
    }
    workgroupBarrier();
  }
  //#end terms

  //#begin finish
  let i = tile_row + y * ROWS_EACH;
  let j = tile_column + x * COLUMN_VECTOR;
  var own0 = array(sum0_0_0, sum0_1_0, sum0_2_0, sum0_3_0);
  for (var n = 0; n < ROWS_EACH * COLUMNS_EACH; n++) {
    let v = n / COLUMN_VECTOR;
    let c = n % COLUMN_VECTOR;
    finish(b, i + v, j + c, own0[v][c]);
  }
  //#end finish
}

//#begin entry
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  run(i32(group.x), i32(thread));
}
//#end entry
