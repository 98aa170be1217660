/**
 * Loop distribution: every scan is cut in three. What does not depend on the state is computed before the loop for
 * all times at once (the input GEMM); what the state does not depend on, after it (the rank-rt weight gradients).
 * Only the recurrence itself stays inside. Pointwise work stays where it is cheapest: beside what it feeds.
 */
import { Builder } from '../program/builder.js';
import {
  bodyInputs,
  type Node,
  type Program,
  type ScanOp,
  scanInputs,
  type Value,
} from '../program/program.js';
import { canLift, type Lifted, lift, sumOverTime } from './lift.js';

export function distribute(program: Program): Program {
  const on = new Builder();
  const moved = new Map<Value, Value>();
  const get = (v: Value): Value => moved.get(v)!;
  for (const { name, value } of program.inputs) moved.set(value, on.input(name, value.type));
  for (const node of program.nodes) {
    if (node.op.kind === 'input') continue;
    const inputs = node.inputs.map(get);
    const outputs =
      node.op.kind === 'scan' ? distributeScan(on, node, node.op, inputs) : on.replay(node, inputs);
    node.outputs.forEach((v, i) => moved.set(v, outputs[i]!));
  }
  return on.build(
    Object.fromEntries(
      program.outputs.map(({ name, value, updates }) => [
        name,
        updates === null ? get(value) : { value: get(value), updates },
      ]),
    ),
  );
}

const isHeavy = ({ op }: Node): boolean =>
  ['gemm', 'gather', 'scatterAdd', 'sum', 'softmax', 'softmaxCrossEntropy'].includes(op.kind);

/** Which nodes of a body run before the loop and which after it; the rest stay. */
function divide(op: ScanOp): { early: Set<Node>; late: Set<Node> } {
  const { nodes } = op.body;
  const inputs = bodyInputs(op);
  const carried = new Set(inputs.carries);
  const stateful = new Set<Value>(carried);
  const varying = new Set<Value>([...carried, ...inputs.xs]);
  for (const node of nodes) {
    if (node.inputs.some((v) => stateful.has(v))) for (const v of node.outputs) stateful.add(v);
    if (node.op.kind === 'random' || node.inputs.some((v) => varying.has(v)))
      for (const v of node.outputs) varying.add(v);
  }
  const users = new Map<Value, Node[]>();
  for (const node of nodes) for (const v of node.inputs) users.set(v, [...(users.get(v) ?? []), node]);

  // Before: free of state, and heavy, or fed by something that is, or leading to it.
  const free = (node: Node) =>
    node.op.kind !== 'input' &&
    !node.outputs.some((v) => stateful.has(v)) &&
    canLift(node, (v) => varying.has(v));
  const early = new Set<Node>();
  const isEarly = (v: Value) =>
    early.has(v.node) || v.node.op.kind === 'input' || v.node.op.kind === 'constant';
  for (const node of nodes)
    if (
      free(node) &&
      node.inputs.every((v) => free(v.node) || !stateful.has(v)) &&
      (isHeavy(node) || node.inputs.some((v) => early.has(v.node)))
    )
      early.add(node);
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    if (node.outputs.some((v) => users.get(v)?.some((u) => early.has(u))) && node.op.kind !== 'input')
      early.add(node);
  }
  for (const node of nodes) if (!node.inputs.every(isEarly)) early.delete(node);

  // After: nothing that the carries or what cannot be lifted need; and heavy, or fed by what is late, or feeding only
  // what is late from values that are at hand outside anyway.
  const summed = new Set(op.ports.flatMap((p) => (p.kind === 'sum' ? [op.body.outputs[p.output]!] : [])));
  const stacked = new Set(op.ports.flatMap((p) => (p.kind === 'stack' ? [op.body.outputs[p.output]!] : [])));
  const isOnlySummed = (v: Value) => summed.has(v) && !stacked.has(v) && !users.has(v);
  const canLeave = (node: Node) =>
    canLift(node, (v) => varying.has(v)) || (node.op.kind === 'scatterAdd' && isOnlySummed(node.outputs[0]!));
  const inside = new Set<Value>(op.body.outputs.slice(0, op.carries));
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    if (!canLeave(node) || node.outputs.some((v) => inside.has(v)))
      for (const v of node.inputs) inside.add(v);
  }
  const late = new Set<Node>();
  const canBeLate = (node: Node) =>
    node.op.kind !== 'input' &&
    !early.has(node) &&
    canLeave(node) &&
    !node.outputs.some((v) => inside.has(v));
  for (const node of nodes)
    if (canBeLate(node) && (isHeavy(node) || node.inputs.some((v) => late.has(v.node)))) late.add(node);
  const outside = (v: Value) =>
    !stateful.has(v) ||
    carried.has(v) ||
    stacked.has(v) ||
    v.node.op.kind === 'constant' ||
    early.has(v.node) ||
    late.has(v.node) ||
    users.get(v)?.some((u) => late.has(u) && isHeavy(u)) ||
    op.body.outputs.indexOf(v) >= 0;
  const usersOf = (node: Node) => node.outputs.flatMap((v) => users.get(v) ?? []);
  const isLateBut = (node: Node, uses: (user: Node) => boolean) =>
    canBeLate(node) && usersOf(node).length > 0 && usersOf(node).every((u) => late.has(u) || uses(u));
  const feedsLate = (node: Node) => isLateBut(node, () => false);
  // What is late once its users are.
  const follows = (v: Value): boolean => isLateBut(v.node, feedsLate) && v.node.inputs.every(canFollow);
  const canFollow = (v: Value): boolean => outside(v) || follows(v);
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    if (feedsLate(node) && node.inputs.every(canFollow)) late.add(node);
  }
  return { early, late };
}

function distributeScan(on: Builder, node: Node, op: ScanOp, outer: readonly Value[]): Value[] {
  const { length, direction } = op;
  const { early, late } = divide(op);
  const inner = bodyInputs(op);
  const given = scanInputs({ ...node, inputs: outer }, op);

  // Before the loop.
  const lifted = new Map<Value, Lifted>();
  inner.constants.forEach((v, i) => lifted.set(v, { value: given.constants[i]!, overTime: false }));
  inner.xs.forEach((v, i) => lifted.set(v, { value: given.xs[i]!, overTime: true }));
  const liftNode = (n: Node, get: (v: Value) => Lifted) =>
    lift(on, n, n.inputs.map(get), length).forEach((l, port) => lifted.set(n.outputs[port]!, l));
  const atHand = (v: Value): Lifted => {
    const known = lifted.get(v);
    if (known !== undefined) return known;
    liftNode(v.node, atHand);
    return lifted.get(v)!;
  };
  for (const n of op.body.nodes) if (early.has(n)) liftNode(n, atHand);

  // The loop.
  const stay = op.body.nodes.filter((n) => n.op.kind !== 'input' && !early.has(n) && !late.has(n));
  const crossing = new Set<Value>([...inner.constants, ...inner.xs]);
  for (const n of early) for (const v of n.outputs) crossing.add(v);
  const used = new Set<Value>([...stay.flatMap((n) => n.inputs), ...op.body.outputs.slice(0, op.carries)]);
  const imported = [...crossing].filter((v) => used.has(v));
  const constants = imported.filter((v) => !lifted.get(v)!.overTime);
  const xs = imported.filter((v) => lifted.get(v)!.overTime);
  const within = new Map<Value, Value>();
  const loop = on.scan(
    {
      length,
      direction,
      constants: constants.map((v) => lifted.get(v)!.value),
      initial: given.initial,
      xs: xs.map((v) => lifted.get(v)!.value),
    },
    (body, inputs) => {
      constants.forEach((v, i) => within.set(v, inputs.constants[i]!));
      inner.carries.forEach((v, i) => within.set(v, inputs.carries[i]!));
      xs.forEach((v, i) => within.set(v, inputs.xs[i]!));
      const slicing = new SlicePusher(body, stay, op);
      for (const n of stay)
        slicing
          .replay(
            n,
            n.inputs.map((v) => within.get(v)!),
          )
          .forEach((v, i) => within.set(n.outputs[i]!, v));
      return { carries: op.body.outputs.slice(0, op.carries).map((v) => within.get(v)!) };
    },
  );

  // After the loop. A value of the loop comes out as its stack, one had from what is given alone is computed again.
  const fromGiven = new Set<Value>(lifted.keys());
  for (const {
    op: { kind },
    inputs,
    outputs,
  } of op.body.nodes)
    if (['map', 'reshape', 'broadcast', 'constant'].includes(kind) && inputs.every((v) => fromGiven.has(v)))
      fromGiven.add(outputs[0]!);
  const after = (v: Value): Lifted => {
    const known = lifted.get(v);
    if (known !== undefined) return known;
    const inside = within.get(v);
    const { kind } = v.node.op;
    if (inside === undefined || kind === 'reshape' || (kind === 'map' && fromGiven.has(v)))
      liftNode(v.node, after);
    else if (kind === 'constant') lifted.set(v, { value: on.replay(v.node, [])[0]!, overTime: false });
    else lifted.set(v, { value: on.stackOf(loop.node, inside), overTime: true });
    return lifted.get(v)!;
  };
  return op.ports.map((port) => {
    if (port.kind === 'final') return loop.finals[port.carry]!;
    if (port.kind === 'history') return on.port(loop.node, port);
    const value = op.body.outputs[port.output]!;
    if (port.kind === 'sum') return sumOverTime(on, value, after, length);
    const { value: stack, overTime } = after(value);
    return overTime ? stack : on.broadcast(stack, [length, ...value.type.shape]);
  });
}

/** Replays a body; a map that is only ever sliced is computed slice by slice: gates become values of one unit. */
class SlicePusher {
  readonly #onlySliced = new Set<Value>();
  readonly #origin = new Map<Value, Node>();

  constructor(
    private readonly body: Builder,
    nodes: readonly Node[],
    op: ScanOp,
  ) {
    const uses = new Map<Value, Node[]>();
    for (const node of nodes) for (const v of node.inputs) uses.set(v, [...(uses.get(v) ?? []), node]);
    for (const node of nodes) {
      const value = node.outputs[0]!;
      const users = uses.get(value) ?? [];
      const sliced =
        users.length > 0 &&
        users.every((u) => u.op.kind === 'slice' || (u.op.kind === 'map' && this.#willBeSliced(u, uses)));
      if (node.op.kind === 'map' && sliced && !op.body.outputs.includes(value)) this.#onlySliced.add(value);
    }
  }

  #willBeSliced(node: Node, uses: ReadonlyMap<Value, readonly Node[]>): boolean {
    const users = uses.get(node.outputs[0]!) ?? [];
    return (
      users.length > 0 &&
      users.every((u) => u.op.kind === 'slice' || (u.op.kind === 'map' && this.#willBeSliced(u, uses)))
    );
  }

  replay(node: Node, inputs: readonly Value[]): readonly Value[] {
    const results =
      node.op.kind === 'slice'
        ? [this.#slice(inputs[0]!, node.op.axis, node.op.start, node.op.size)]
        : this.body.replay(node, inputs);
    if (this.#onlySliced.has(node.outputs[0]!)) this.#origin.set(results[0]!, results[0]!.node);
    return results;
  }

  #slice(value: Value, axis: number, start: number, size: number): Value {
    const map = this.#origin.get(value);
    if (map === undefined || map.op.kind !== 'map') return this.body.slice(value, axis, start, size);
    const operands = map.inputs.map((v) => {
      const own = axis - (value.type.shape.length - v.type.shape.length);
      return own < 0 || v.type.shape[own] === 1 ? v : this.#slice(v, own, start, size);
    });
    return this.body.call(map.op.fn, ...operands);
  }
}
