// Every element of a domain by itself: an expression over loads, stored.
//
//   y(e) = f(x_1(e), x_2(e), ...)        e runs over the domain, one invocation each
//
// As it stands: y = x + 1 over 64 elements. Bindings: the buffers of the stage in the order of their first use;
// then, inside a loop over time, a uniform { t }.

//#begin bindings
@group(0) @binding(0) var<storage, read> b0: array<f32>;
@group(0) @binding(1) var<storage, read_write> b1: array<f32>;
//#end bindings

//#begin constants
const ELEMENTS = 64;
const THREADS = 64;
//#end constants

//#begin functions
//#end functions

fn run(workgroup: i32, thread: i32) {
  //#begin place
  let element = workgroup * THREADS + thread;
  if (element >= ELEMENTS) {
    return;
  }
  //#end place
  //#begin element
  let s0 = b0[element];
  let s1 = 1f;
  let s2 = s0 + s1;
  b1[element] = s2;
  //#end element
}

//#begin entry
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  run(i32(group.x), i32(thread));
}
//#end entry
