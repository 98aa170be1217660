// The same as lanes.wgsl with one barrier: every subgroup for itself reads all values of a row and joins them.
//
// Which invocations a subgroup has, how many and in what order is up to the driver. So no place is taken for one in a
// subgroup: values reach their readers through workgroup memory, by the rank of a reader among those that its subgroup has
// in fact. subgroupAdd is right for any of them, where a tree of shuffles needs full subgroups; its order is fixed with the
// compiled shader, so that the bits are the same every time. LANES is at least as large as a subgroup.
//
// As it stands: sums of rows of 128 lanes.

//#begin extensions
enable subgroups;
//#end extensions

//#begin constants
const LANES = 128;
const THREADS = 256;
//#end constants

//#begin item
alias Item = f32;
//#end item

fn join(x: Item, y: Item) -> Item {
  //#begin join
  return x + y;
  //#end join
}

var<workgroup> items: array<Item, THREADS>;

fn row(own: Item, place: i32) -> Item {
  items[place] = own;
  let rank = i32(subgroupExclusiveAdd(1u));
  let size = i32(subgroupAdd(1u));
  workgroupBarrier();
  var joined = own;
  for (var first = 0; first < THREADS; first += LANES) {
    var some = items[first + rank];
    for (var lane = rank + size; lane < LANES; lane += size) {
      some = join(some, items[first + lane]);
    }
    //#begin across
    let all = subgroupAdd(some);
    //#end across
    joined = select(joined, all, first == place - place % LANES);
  }
  return joined;
}
