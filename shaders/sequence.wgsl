// Steps of a loop over time in one dispatch: a workgroup owns some rows of the batch and takes them through the steps.
//
//   for t = FIRST, FIRST + DIRECTION, ...: every stage in turn, on the workgroup's own rows
//
// A stage is a function run_<n>(workgroup, thread) of one workgroup of the stage; those of the same rows are run one
// after the other. What a stage stores is read by the next one, and in the next step, by the same workgroup: a storage
// barrier makes it visible there, and to no other workgroup.
//
// As it stands: y(t+1, i) = (y(t, i) + y(t, i+1)) / 2 around a ring of 64 elements, for 8 steps. Bindings: the buffers
// of the stages in the order of their first use; then, of a loop that takes several dispatches, a uniform { t }: the
// steps done before, by what is DELAY steps ahead.

//#begin bindings
@group(0) @binding(0) var<storage, read_write> b0: array<f32>;
struct Time { t: i32 }
var<private> time: Time;
//#end bindings

//#begin constants
const FIRST = 0;
const DIRECTION = 1;
const COUNT = 8;
const CHUNK = 8;
const DELAY = 0;
//#end constants

//#begin functions
//#end functions

//#begin stages
fn run_0(workgroup: i32, thread: i32) {
  let next = (thread + 1) % 64;
  b0[64 * (time.t + 1) + thread] = 0.5f * (b0[64 * time.t + thread] + b0[64 * time.t + next]);
}
//#end stages

fn run(workgroup: i32, thread: i32) {
  //#begin begin
  let begin = 0;
  //#end begin
  for (var n = max(begin, 0); n < min(begin + CHUNK, COUNT); n++) {
    time.t = FIRST + DIRECTION * n;
    //#begin step
    run_0(workgroup, thread);
    storageBarrier();
    //#end step
  }
}

//#begin entry
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  run(i32(group.x), i32(thread));
}
//#end entry
