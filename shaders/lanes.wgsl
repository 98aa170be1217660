// What the lanes of a row have, joined for all of them in a fixed order: the same bits every time.
//
//   row(r) = x(r, 0) + x(r, 1) + ... + x(r, LANES - 1)
//
// Lane l of row r stands at LANES r + l. A tree in workgroup memory joins halves, a barrier for each level (M. Harris,
// "Optimizing parallel reduction in CUDA", 2007), until a LAST few are left, which every lane joins by itself. Between
// two calls there must be a barrier.
//
// As it stands: sums of rows of 16 lanes.

//#begin constants
const LANES = 16;
const THREADS = 64;
//#end constants
const LAST = 8;

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
  if (LANES == 1) {
    return own;
  }
  let lane = place % LANES;
  items[place] = own;
  for (var half = LANES / 2; half >= LAST; half /= 2) {
    workgroupBarrier();
    if (lane < half) {
      items[place] = join(items[place], items[place + half]);
    }
  }
  workgroupBarrier();
  var joined = items[place - lane];
  for (var other = 1; other < min(LANES, LAST); other++) {
    joined = join(joined, items[place - lane + other]);
  }
  return joined;
}
