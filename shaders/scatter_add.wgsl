// The gradient of a table of rows: rows of the source added where their ids say, without atomics.
//
//   target(v, j) = sum over n = 0 .. COUNT-1 with ids(n) = v of source(n, j), in the order of n
//
// A workgroup owns ROWS rows v and LANES x EACH columns of each; an invocation owns EACH neighbouring columns of one row, a
// vec4 where memory allows. Of 32 WORDS ids at a time the workgroup compares each with its rows once and leaves the
// outcomes as words of bits; then every invocation walks the bits of its row in order, so that it reads those rows of the
// source alone that it adds. An id outside [0, SIZE) matches no row.
//
// As it stands: 100 rows of 64 into a table of 16 rows. Bindings: the buffers of the stage in the order of their
// first use; then, inside a loop over time, a uniform { t }.

//#begin bindings
@group(0) @binding(0) var<storage, read> b0: array<i32>;
@group(0) @binding(1) var<storage, read> b1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> b2: array<vec4<f32>>;
//#end bindings

//#begin constants
const COUNT = 100;
const SIZE = 16;
const WIDTH = 64;
const ROWS = 4;
const LANES = 16;
const THREADS = 64;
const WORDS = 4;
const EACH = 4;
alias Value = vec4<f32>;
//#end constants
const TILE = LANES * EACH;
const COLUMN_TILES = (WIDTH + TILE - 1) / TILE;

var<workgroup> matches: array<u32, ROWS * WORDS>;

//#begin functions
//#end functions

//#begin operands
fn id(n: i32) -> i32 {
  return b0[n];
}
fn source(n: i32, j: i32) -> Value {
  return b1[(64 * n + j) >> 2u];
}
//#end operands

fn run(workgroup: i32, thread: i32) {
  let first_row = workgroup / COLUMN_TILES * ROWS;
  let row = thread / LANES % ROWS;
  let column = workgroup % COLUMN_TILES * TILE + thread % LANES * EACH;
  let j = min(column, WIDTH - EACH);

  var sum = Value();
  for (var chunk = 0; chunk < COUNT; chunk += 32 * WORDS) {
    if (chunk > 0) {
      workgroupBarrier();
    }
    for (var n = thread; n < ROWS * WORDS; n += THREADS) {
      let v = first_row + n / WORDS;
      let first = chunk + 32 * (n % WORDS);
      var word = 0u;
      for (var m = first; m < min(first + 32, COUNT); m++) {
        word |= select(0u, 1u, id(m) == v) << u32(m - first);
      }
      matches[n] = word;
    }
    workgroupBarrier();
    for (var k = 0; k < WORDS; k++) {
      for (var rest = matches[row * WORDS + k]; rest != 0u; rest &= rest - 1u) {
        sum += source(chunk + 32 * k + i32(countTrailingZeros(rest)), j);
      }
    }
  }
  let v = first_row + row;
  if (v < SIZE && column < WIDTH && thread < ROWS * LANES) {
    //#begin output
    b2[(64 * v + j) >> 2u] = sum;
    //#end output
  }
}

//#begin entry
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  run(i32(group.x), i32(thread));
}
//#end entry
