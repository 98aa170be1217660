// Independent stages side by side in one dispatch: a range of its workgroups does each of them.
//
// A part is a function run_<n>(workgroup, thread) of one of the part's workgroups: a stage, or a loop on some rows. A
// workgroup does one part alone, so that blocks of products in workgroup memory are shared by parts.
//
// As it stands: x is doubled into y, and copied into z. Bindings: the buffers of the parts in the order of their first
// use; then, where the parts are loops that take several dispatches, a uniform { t }: the steps done before.

//#begin bindings
@group(0) @binding(0) var<storage, read> b0: array<f32>;
@group(0) @binding(1) var<storage, read_write> b1: array<f32>;
@group(0) @binding(2) var<storage, read_write> b2: array<f32>;
//#end bindings

//#begin functions
//#end functions

//#begin parts
fn run_0(workgroup: i32, thread: i32) {
  let element = workgroup * 64 + thread;
  b1[element] = 2f * b0[element];
}
fn run_1(workgroup: i32, thread: i32) {
  let element = workgroup * 64 + thread;
  b2[element] = b0[element];
}
//#end parts

fn run(workgroup: i32, thread: i32) {
  //#begin choice
  if (workgroup < 4) {
    run_0(workgroup, thread);
  } else {
    run_1(workgroup - 4, thread);
  }
  //#end choice
}

//#begin entry
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  run(i32(group.x), i32(thread));
}
//#end entry
