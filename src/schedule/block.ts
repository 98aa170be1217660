/**
 * Fusion: the nodes of a program, or of a loop's body, gathered into groups of one dispatch each. Pointwise values
 * join the group that produces what they read, a product's epilogue above all, as long as an element needs only
 * elements at its own place; so does a sum along rows, once for each row. A reduction takes in what is only reduced.
 */
import { type Node, type Op, sizeOf, type Value } from '../program/program.js';
import { type Access, identity, normal, sameAccess, split, throughBroadcast, throughView } from './access.js';
import { type GemmView, gemmView, MAX_SLOTS, slotIn } from './gemm-view.js';
import { Inlining } from './inline.js';
import { partAt, partWidth, placesOf, rowParts } from './places.js';
import type { Storage } from './storage.js';

/** A copy of `value` that must exist at `target`'s home: a carry's first value, an output, a part of a concat. */
export interface Copy {
  readonly value: Value;
  readonly target: Value;
}

export interface Group {
  readonly kind: 'pointwise' | 'gemm' | 'single' | 'scan';
  readonly index: number;
  /** Without time. */
  readonly shape: readonly number[];
  /** Pointwise members, and sums along the rows of the nest, in order. */
  readonly members: Value[];
  readonly copies: Copy[];
  /** The node of a single or a scan; the products of a gemm. */
  readonly nodes: Node[];
}

/** Rows longer than this are worth more than the one workgroup that they would get. */
const MAX_COLUMNS = 4096;

const isSum = ({ node }: Value): boolean => node.op.kind === 'sum';

export class Block {
  readonly groups: Group[] = [];
  readonly #readyAt = new Map<Value, number>();
  readonly #memberOf = new Map<Value, Group>();
  readonly #users = new Map<Value, Node[]>();
  readonly #local = new Set<Value>();
  readonly #inlining: Inlining;
  /** Groups that nothing else may join. */
  readonly #closed = new Set<Group>();

  /**
   * @param pinned values that must be stored whoever reads them: outputs and carries.
   * @param length T inside a loop, else null.
   */
  constructor(
    private readonly storage: Storage,
    private readonly nodes: readonly Node[],
    private readonly pinned: ReadonlySet<Value>,
    private readonly length: number | null,
  ) {
    for (const node of nodes) {
      for (const v of node.inputs) this.#users.set(v, [...(this.#users.get(v) ?? []), node]);
      if (node.op.kind !== 'input') for (const v of node.outputs) this.#local.add(v);
    }
    this.#inlining = new Inlining(storage, this.#users, this.#local, pinned, length !== null);
  }

  /** Groups every node; `on` is told of each concat and scan when all that comes before it is grouped. */
  gather(on: { concat: (node: Node) => void; scan: (node: Node) => void }): void {
    for (const node of this.nodes) {
      const value = node.outputs[0]!;
      const { kind } = node.op;
      if (kind === 'input' || kind === 'constant' || kind === 'iota' || this.storage.isView(value)) continue;
      if (kind === 'concat') on.concat(node);
      else if (kind === 'gemm') this.#placeGemm(node);
      else if (kind === 'scan') {
        on.scan(node);
        this.#open('scan', [], [node]);
      } else if (kind === 'sum') this.#placeSum(node);
      else if (kind === 'softmax' || kind === 'softmaxCrossEntropy' || kind === 'scatterAdd')
        this.#open('single', [], [node]);
      else if (!this.isInline(value)) this.#placePointwise(value);
    }
  }

  /** A copy in a group of its own, behind every group there is. */
  addOwnCopy(copy: Copy): void {
    const group = this.#open('pointwise', copy.value.type.shape, []);
    group.copies.push(copy);
    this.#closed.add(group);
    this.#readyAt.set(copy.target, group.index);
  }

  /** A value that is stored where another wants it: with the group that computes it, or by a copy of its own. */
  addCopy(copy: Copy): void {
    const { value } = copy;
    const resolved = this.#base(value);
    const group = resolved && this.#memberOf.get(resolved);
    if (group !== undefined && group !== null && this.#canCopyIn(group, copy)) group.copies.push(copy);
    else {
      const found = this.#candidates(value).find((g) => this.#canCopyIn(g, copy));
      (found ?? this.#open('pointwise', value.type.shape, [])).copies.push(copy);
    }
    // Whoever reads the copy's target reads it after its group.
    const at = this.groups.findIndex((g) => g.copies.includes(copy));
    this.#readyAt.set(copy.target, Math.max(at, this.#readyAt.get(copy.target) ?? -1));
  }

  /** Marks a value as complete when another is: a concat when its parts are. */
  readyWith(value: Value, parts: readonly Value[]): void {
    const at = Math.max(...parts.map((p) => this.#readyOf(p)), this.#readyAt.get(value) ?? -1);
    this.#readyAt.set(value, at);
  }

  /** The value of this block, behind reshapes only, that a value is; null when it comes from elsewhere. */
  producer(value: Value): Value | null {
    let at = value;
    while (this.storage.isView(at) && at.node.op.kind === 'reshape') at = at.node.inputs[0]!;
    return this.#memberOf.has(at) || (this.#local.has(at) && at.node.op.kind === 'concat') ? at : null;
  }

  /** Whether a pointwise value is computed again wherever it is read. */
  isInline(value: Value): boolean {
    return this.#inlining.isInline(value);
  }

  /** The group that computes a value, if this block does. */
  groupOf(value: Value): Group | undefined {
    return this.#memberOf.get(value);
  }

  extents(group: Group): number[] {
    return this.#nest(group.shape);
  }

  #nest(shape: readonly number[]): number[] {
    return this.length === null ? [...shape] : [this.length, ...shape];
  }

  hasTime(): boolean {
    return this.length !== null;
  }

  /** How a group sees the product of one of its nodes. */
  gemmView(node: Node): GemmView {
    const value = node.outputs[0]!;
    return gemmView(value, this.#users.get(value) ?? [], this.pinned.has(value));
  }

  /** The slot of a gemm group that an access to a product reads at its own place. */
  slotOf(group: Group, base: Value, access: Access): number | null {
    let first = 0;
    for (const node of group.nodes) {
      const view = this.gemmView(node);
      if (node.outputs[0] === base) {
        const slot = slotIn(view, access, this.extents(group));
        return slot === null ? null : first + slot;
      }
      first += view.starts.length;
    }
    return null;
  }

  /** The accesses of a nest's own place to a value that the group may compute: see places.ts. */
  placesIn(group: Group, value: Value): Access[] {
    return placesOf(value, group.shape, group.members.some(isSum), this.length === null ? 0 : 1);
  }

  /** Whether a value is complete before a group runs. */
  isReadyBefore(value: Value, group: Group): boolean {
    return this.#readyOf(value) < group.index;
  }

  /** The sum that is all a group computes, to be stored as it is; null when there is more or less to do. */
  loneSum({ kind, nodes, members, copies }: Group): Node | null {
    const [value, ...others] = kind === 'single' ? nodes[0]!.outputs : members;
    const isAll = others.length === 0 && copies.every((c) => this.producer(c.value) === value);
    return value !== undefined && isAll && isSum(value) ? value.node : null;
  }

  #open(kind: Group['kind'], shape: readonly number[], nodes: Node[]): Group {
    const group: Group = {
      kind,
      index: this.groups.length,
      shape: shape.length === 0 ? [1] : shape,
      members: [],
      copies: [],
      nodes,
    };
    this.groups.push(group);
    for (const node of nodes) for (const v of node.outputs) this.#assign(v, group);
    return group;
  }

  /** Makes a group the one that computes a value. */
  #assign(value: Value, group: Group): void {
    this.#memberOf.set(value, group);
    this.#readyAt.set(value, group.index);
  }

  /** Groups that a pointwise value may join, the latest first. */
  #candidates(value: Value): Group[] {
    const size = sizeOf(value.type.shape);
    const fits = (group: Group) =>
      sizeOf(group.shape) === size ||
      (this.placesIn(group, value).length > 0 && this.#usesMember(value, group));
    return this.groups
      .filter((g) => (g.kind === 'pointwise' || g.kind === 'gemm') && !this.#closed.has(g) && fits(g))
      .reverse();
  }

  /** Whether something a group computes goes into a value, through what is computed along with it. */
  #usesMember(value: Value, group: Group): boolean {
    const base = this.#base(value);
    if (base === null) return false;
    const owner = this.#memberOf.get(base);
    return owner === undefined ? base.node.inputs.some((v) => this.#usesMember(v, group)) : owner === group;
  }

  /** A sum along rows joins the group that computes them; any other is a stage by itself. */
  #placeSum(node: Node): void {
    const [x] = node.inputs as [Value];
    const { axes } = node.op as Extract<Op, { kind: 'sum' }>;
    const { shape } = x.type;
    const columns = shape.at(-1)!;
    const isAlongRows = axes.length === 1 && axes[0] === shape.length - 1;
    if (!isAlongRows || columns === 1 || columns > MAX_COLUMNS) {
      this.#open('single', [], [node]);
      return;
    }
    const takes = (g: Group, width: number) =>
      g.kind === 'pointwise' &&
      g.shape.at(-1) === width &&
      sizeOf(g.shape) * columns === sizeOf(shape) * width &&
      !this.#closed.has(g) &&
      rowParts(g.shape, columns, this.length === null ? 0 : 1).every((part) => this.#computable(x, part, g));
    const width = partWidth(x, this.#users, (v) => this.isInline(v));
    const latest = [...this.groups].reverse();
    const found = latest.find((g) => takes(g, columns)) ?? latest.find((g) => takes(g, width));
    const group = found ?? this.#open('pointwise', [...shape.slice(0, -1), width], []);
    group.members.push(node.outputs[0]!);
    this.#assign(node.outputs[0]!, group);
  }

  #placePointwise(value: Value): void {
    // A stranger does not join what runs before a loop: its result would have to be kept through that.
    const lastLoop = this.groups.map(({ kind }) => kind).lastIndexOf('scan');
    const belongs = (g: Group) =>
      g.index > lastLoop || value.node.inputs.some((v) => this.#memberOf.get(this.#base(v)!) === g);
    const found = this.#candidates(value).find(
      (g) => belongs(g) && this.placesIn(g, value).every((place) => this.#computable(value, place, g, true)),
    );
    if (found === undefined && this.#inlining.leaveToReader(value)) return;
    const group = found ?? this.#open('pointwise', value.type.shape, []);
    group.members.push(value);
    this.#assign(value, group);
  }

  #placeGemm(node: Node): void {
    const view = this.gemmView(node);
    const shape = [view.batch, view.rows, view.columns];
    const meets = (group: Group) =>
      (this.#users.get(node.outputs[0]!) ?? []).some((user) =>
        this.#meetsIn(user, node.outputs[0]!, group, 2),
      );
    const group = [...this.groups].reverse().find((g) => {
      if (g.kind !== 'gemm' || g.shape.join() !== shape.join()) return false;
      const slots =
        g.nodes.reduce((n, other) => n + this.gemmView(other).starts.length, 0) + view.starts.length;
      if (slots > MAX_SLOTS || !node.inputs.every((v) => this.#readyOf(v) < g.index)) return false;
      // In a loop every dispatch counts; outside of one, strangers would only share their registers.
      return this.length !== null || meets(g);
    });
    if (group === undefined) this.#open('gemm', shape, [node]);
    else {
      group.nodes.push(node);
      this.#assign(node.outputs[0]!, group);
    }
  }

  /** Whether a user of a product also reads, through slices and a few maps, a product of the group. */
  #meetsIn(user: Node, from: Value, group: Group, depth: number): boolean {
    if (user.op.kind === 'slice')
      return (this.#users.get(user.outputs[0]!) ?? []).some((u) =>
        this.#meetsIn(u, user.outputs[0]!, group, depth),
      );
    if (user.op.kind !== 'map') return false;
    if (user.inputs.some((v) => v !== from && this.#reads(v, group))) return true;
    if (depth === 0) return false;
    return (this.#users.get(user.outputs[0]!) ?? []).some((u) =>
      this.#meetsIn(u, user.outputs[0]!, group, depth - 1),
    );
  }

  #reads(value: Value, group: Group): boolean {
    let at = value;
    while (this.storage.isView(at)) at = at.node.inputs[0]!;
    if (group.nodes.some((n) => n.outputs[0] === at)) return true;
    return (
      at.node.op.kind === 'map' && this.#local.has(at) && at.node.inputs.some((v) => this.#reads(v, group))
    );
  }

  /** The computed value behind views, or null when it comes from outside the block. */
  #base(value: Value): Value | null {
    let at = value;
    while (this.storage.isView(at)) at = at.node.inputs[0]!;
    return this.#local.has(at) ? at : null;
  }

  /** The last group that must have run before a value can be read; -1: it is there from the start. */
  #readyOf(value: Value): number {
    for (let at = value; ; at = at.node.inputs[0]!) {
      const known = this.#readyAt.get(at);
      if (known !== undefined) return known;
      if (this.storage.isView(at)) continue;
      if (!this.#local.has(at)) return -1;
      return Math.max(-1, ...at.node.inputs.map((v) => this.#readyOf(v)));
    }
  }

  #canCopyIn(group: Group, { value, target }: Copy): boolean {
    if (group.kind === 'scan') return false;
    if (group.kind === 'single') {
      const sum = group.nodes[0]!.outputs[0]!;
      const { shape } = sum.type;
      const place = identity(shape, this.length === null ? 0 : 1);
      return (
        isSum(sum) && this.producer(value) === sum && this.storage.fits(target, place, this.#nest(shape))
      );
    }
    const places = this.placesIn(group, value);
    return (
      places.length > 0 &&
      places.every(
        (place) =>
          this.#computable(value, place, group) && this.storage.fits(target, place, this.extents(group)),
      )
    );
  }

  /**
   * Whether an element of `value` can be had in a group from elements at its own place and what earlier groups
   * stored. With `define` the value is to become a member, so its operands are what counts.
   */
  #computable(value: Value, access: Access, group: Group, define = false): boolean {
    const extents = this.extents(group);
    let base = value;
    let by = access;
    if (!define) {
      try {
        ({ base, access: by } = this.storage.resolve(value, access, extents));
      } catch {
        return false;
      }
      if (!this.#local.has(base)) return this.#readyOf(base) < group.index;
      const owner = this.#memberOf.get(base);
      if (owner === group) {
        if (group.kind === 'gemm' && group.nodes.some((n) => n.outputs[0] === base))
          return this.slotOf(group, base, by) !== null;
        const own = normal(by, extents);
        return this.placesIn(group, base).some((place) => sameAccess(own, normal(place, extents)));
      }
      if (owner !== undefined) return owner.index < group.index;
      if (base.node.op.kind === 'constant' || base.node.op.kind === 'iota') return true;
      if (!this.isInline(base) && this.isReadyBefore(base, group)) return true;
    }
    const { op, inputs } = base.node;
    if (op.kind === 'concat') {
      const part = partAt(base.node, op.axis, by, extents);
      return part !== null && this.#computable(part.value, part.access, group);
    }
    if (!define && !this.isInline(base)) return false;
    if (op.kind === 'map')
      return inputs.every((operand) => {
        const through = throughBroadcast(by, extents, operand.type.shape, base.type.shape);
        return through !== null && this.#computable(operand, through, group);
      });
    if (op.kind === 'gather') {
      const [, ids] = inputs as [Value, Value];
      const rows = sizeOf(ids.type.shape);
      const isByRow = split(by, extents, [rows, sizeOf(base.type.shape) / rows]) !== null;
      return isByRow && inputs.every((v) => this.#readyOf(v) < group.index);
    }
    if (op.kind === 'random') return inputs.every((v) => this.#readyOf(v) < group.index);
    const through = throughView(base.node, by, extents);
    return through !== null && this.#computable(inputs[0]!, through, group);
  }
}
