// The gradient of a table of rows: rows of the source added where their ids say, without atomics.
//
//   target(v, j) = sum over n = 0 .. COUNT-1 with ids(n) = v of source(n, j), in the order of n
//
// A workgroup owns row v and THREADS x COLUMNS_EACH columns. For a chunk of 32 THREADS ids, each invocation compares 32 of them
// with v and leaves the outcome as a word of bits; then all invocations walk the set bits in order and each adds up
// its own columns, THREADS apart. An id outside [0, SIZE) matches no row.
//
// As it stands: 100 rows of 64 into a table of 16 rows. Bindings: the buffers of the stage in the order of their
// first use; then, inside a loop over time, a uniform { t }.

//#begin bindings
@group(0) @binding(0) var<storage, read> b0: array<i32>;
@group(0) @binding(1) var<storage, read> b1: array<f32>;
@group(0) @binding(2) var<storage, read_write> b2: array<f32>;
//#end bindings

//#begin constants
const COUNT = 100;
const SIZE = 16;
const WIDTH = 64;
const COLUMNS_EACH = 1;
const THREADS = 64;
//#end constants
const CHUNK = 32 * THREADS;
const TILE = THREADS * COLUMNS_EACH;
const COLUMN_TILES = (WIDTH + TILE - 1) / TILE;

var<workgroup> matches: array<u32, THREADS>;

//#begin functions
//#end functions

//#begin operands
fn id(n: i32) -> i32 {
  return b0[n];
}
fn source(n: i32, j: i32) -> f32 {
  return b1[64 * n + j];
}
//#end operands

fn run(workgroup: i32, thread: i32) {
  let v = workgroup / COLUMN_TILES;
  let first_column = workgroup % COLUMN_TILES * TILE + thread;

  var sums = array<f32, COLUMNS_EACH>();
  for (var chunk = 0; chunk < COUNT; chunk += CHUNK) {
    let first = chunk + 32 * thread;
    var word = 0u;
    for (var n = first; n < min(first + 32, COUNT); n++) {
      word |= select(0u, 1u, id(n) == v) << u32(n - first);
    }
    matches[thread] = word;
    workgroupBarrier();
    for (var k = 0; k < THREADS; k++) {
      for (var rest = matches[k]; rest != 0u; rest &= rest - 1u) {
        let n = chunk + 32 * k + i32(countTrailingZeros(rest));
        for (var c = 0; c < COLUMNS_EACH; c++) {
          let j = first_column + c * THREADS;
          if (j < WIDTH) {
            sums[c] += source(n, j);
          }
        }
      }
    }
    workgroupBarrier();
  }
  for (var c = 0; c < COLUMNS_EACH; c++) {
    let j = first_column + c * THREADS;
    let sum = sums[c];
    if (v < SIZE && j < WIDTH) {
      //#begin output
      b2[64 * v + j] = sum;
      //#end output
    }
  }
}

//#begin entry
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  run(i32(group.x), i32(thread));
}
//#end entry
