// Batched matrix products of halves with an epilogue on every element of the result, by subgroup matrices: a product of
// two small matrices is one instruction of a whole subgroup, with sums in f32. What is computed is as in gemm.wgsl.
//
// A workgroup computes TILE_ROWS x TILE_COLUMNS elements of every slot. It copies blocks of A and B, TILE_DEPTH deep, into
// workgroup memory as halves, each along the axis that is contiguous in its buffer; elements outside of the matrices are
// zeros. A subgroup keeps ROWS_EACH x COLUMNS_EACH matrices of sums for each slot. In the end it hands them over through
// workgroup memory, one at a time, for only so can an invocation get at single elements.
//
// Which subgroup an invocation belongs to is what `subgroup_id` says; nothing depends on how a device spreads the
// invocations of a workgroup over subgroups, as long as all of these are full.
//
// As it stands: C = A B with A [32, 48], B [48, 40] of halves, C [32, 40], row-major, on subgroups of 8 that multiply
// matrices 8 x 8 x 8. Bindings: the buffers of the stage in the order of their first use; then, inside a loop over time, a
// uniform { t }.

//#begin extensions
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;
//#end extensions

//#begin bindings
@group(0) @binding(0) var<storage, read> b0: array<f16>;
@group(0) @binding(1) var<storage, read> b1: array<f16>;
@group(0) @binding(2) var<storage, read_write> b2: array<f32>;
var<private> subgroup: i32;
//#end bindings

//#begin constants
const BATCH = 1;
const COLUMNS = 40;
const SLOTS = 1;
const MATRIX_ROWS = 8;
const MATRIX_COLUMNS = 8;
const MATRIX_DEPTH = 8;
const SUBGROUP_SIZE = 8;
const SUBGROUPS_X = 2;
const SUBGROUPS_Y = 2;
const ROWS_EACH = 2; // matrices of a subgroup
const COLUMNS_EACH = 1;
const TILE_DEPTH = 16;
//#end constants
const SUBGROUPS = SUBGROUPS_X * SUBGROUPS_Y;
const THREADS = SUBGROUPS * SUBGROUP_SIZE;
const TILE_ROWS = SUBGROUPS_Y * ROWS_EACH * MATRIX_ROWS;
const TILE_COLUMNS = SUBGROUPS_X * COLUMNS_EACH * MATRIX_COLUMNS;
const COLUMN_TILES = (COLUMNS + TILE_COLUMNS - 1) / TILE_COLUMNS;
const MATRIX_SIZE = MATRIX_ROWS * MATRIX_COLUMNS;

alias Left = subgroup_matrix_left<f16, MATRIX_DEPTH, MATRIX_ROWS>;
alias Right = subgroup_matrix_right<f16, MATRIX_COLUMNS, MATRIX_DEPTH>;
alias Sums = subgroup_matrix_result<f32, MATRIX_COLUMNS, MATRIX_ROWS>;

//#begin functions
//#end functions

// Of blocks that lie along k, [line][k], or across, [k][line]. A matrix begins at a multiple of 16 bytes, and rows lie in
// different banks.
const PAD = 8;
const DEPTH_PITCH = TILE_DEPTH + PAD;
const ROW_PITCH = TILE_ROWS + PAD;
const COLUMN_PITCH = TILE_COLUMNS + PAD;
//#begin tiles
var<workgroup> tile_a: array<f16, TILE_ROWS * DEPTH_PITCH>;
var<workgroup> tile_b: array<f16, TILE_DEPTH * COLUMN_PITCH>;
//#end tiles
var<workgroup> results: array<f32, SLOTS * SUBGROUPS * MATRIX_SIZE>;

//#begin operands
fn load_a0(b: i32, i: i32, k: i32) -> f32 {
  return f32(b0[48 * i + k]);
}
fn load_b0(b: i32, k: i32, j: i32) -> f32 {
  if (j >= COLUMNS) {
    return 0f;
  }
  return f32(b1[40 * k + j]);
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

// The compiler cannot know that all invocations of a subgroup have the same `subgroup`.
@diagnostic(off, chromium.subgroup_matrix_uniformity)
fn run(workgroup: i32, thread: i32) {
  let b = workgroup / COLUMN_TILES % BATCH;
  let tile_row = workgroup / (COLUMN_TILES * BATCH) * TILE_ROWS;
  let tile_column = workgroup % COLUMN_TILES * TILE_COLUMNS;
  let own_row = subgroup / SUBGROUPS_X * ROWS_EACH * MATRIX_ROWS;
  let own_column = subgroup % SUBGROUPS_X * COLUMNS_EACH * MATRIX_COLUMNS;

  //#begin sums
  // sum<slot>_<row>_<column>
  var sum0_0_0 = Sums();
  var sum0_1_0 = Sums();
  //#end sums

  //#begin terms
  for (var depth = 0; depth < 48; depth += TILE_DEPTH) {
    for (var n = thread; n < TILE_DEPTH * TILE_ROWS; n += THREADS) {
      let k = n % TILE_DEPTH;
      let line = n / TILE_DEPTH;
      tile_a[line * DEPTH_PITCH + k] = f16(load_a0(b, tile_row + line, depth + k));
    }
    for (var n = thread; n < TILE_DEPTH * TILE_COLUMNS; n += THREADS) {
      let line = n % TILE_COLUMNS;
      let k = n / TILE_COLUMNS;
      tile_b[k * COLUMN_PITCH + line] = f16(load_b0(b, depth + k, tile_column + line));
    }
    workgroupBarrier();
    for (var k = 0; k < TILE_DEPTH; k += MATRIX_DEPTH) {
      let a0 = subgroupMatrixLoad<Left, row_major>(&tile_a, u32(own_row * DEPTH_PITCH + k), DEPTH_PITCH);
      let a1 = subgroupMatrixLoad<Left, row_major>(
        &tile_a,
        u32((own_row + MATRIX_ROWS) * DEPTH_PITCH + k),
        DEPTH_PITCH,
      );
      let b0_0 = subgroupMatrixLoad<Right, row_major>(&tile_b, u32(k * COLUMN_PITCH + own_column), COLUMN_PITCH);
      sum0_0_0 = subgroupMatrixMultiplyAccumulate(a0, b0_0, sum0_0_0);
      sum0_1_0 = subgroupMatrixMultiplyAccumulate(a1, b0_0, sum0_1_0);
    }
    workgroupBarrier();
  }
  //#end terms

  for (var part = 0; part < ROWS_EACH * COLUMNS_EACH; part++) {
    switch (part) {
      //#begin hand_over
      case 0: {
        subgroupMatrixStore<row_major>(&results, u32(subgroup * MATRIX_SIZE), sum0_0_0, MATRIX_COLUMNS);
      }
      case 1: {
        subgroupMatrixStore<row_major>(&results, u32(subgroup * MATRIX_SIZE), sum0_1_0, MATRIX_COLUMNS);
      }
      //#end hand_over
      default: {}
    }
    workgroupBarrier();
    for (var n = thread; n < SUBGROUPS * MATRIX_SIZE; n += THREADS) {
      let owner = n / MATRIX_SIZE;
      let row = (owner / SUBGROUPS_X * ROWS_EACH + part / COLUMNS_EACH) * MATRIX_ROWS;
      let column = (owner % SUBGROUPS_X * COLUMNS_EACH + part % COLUMNS_EACH) * MATRIX_COLUMNS;
      let i = tile_row + row + n % MATRIX_SIZE / MATRIX_COLUMNS;
      let j = tile_column + column + n % MATRIX_COLUMNS;
      //#begin finish
      finish(b, i, j, results[n]);
      //#end finish
    }
    workgroupBarrier();
  }
}

//#begin entry
@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) id: u32,
) {
  subgroup = i32(id);
  run(i32(group.x), i32(thread));
}
//#end entry
