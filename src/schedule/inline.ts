/**
 * What is computed again by whoever reads it, instead of being stored: a little arithmetic on a little data, and inside
 * loops, where every dispatch counts, also what a sum takes in.
 */
import { isColumn, type Node, sizeOf, type Value } from '../program/program.js';
import type { Storage } from './storage.js';

const isPointwise = (node: Node): boolean => ['map', 'gather', 'random'].includes(node.op.kind);

const isPointwiseOrSum = ({ op }: Node): boolean => op.kind === 'map' || op.kind === 'sum';

/** Arithmetic is computed again up to this many calls rather than stored. */
const CHEAP = 8;
/** The same for one number a row, inside a loop: what a dispatch for so little would cost buys many calls. */
const CHEAP_COLUMN = 32;
/** And for what a sum inside a loop takes in. */
const CHEAP_SUMMED = 16;

export class Inlining {
  readonly #inline = new Map<Value, boolean>();
  readonly #summed = new Map<Value, boolean>();
  readonly #costs = new Map<Value, number>();

  /**
   * @param users the nodes of the block that read each value; `local`: the values that the block computes.
   * @param pinned values that are stored in any case.
   */
  constructor(
    private readonly storage: Storage,
    private readonly users: ReadonlyMap<Value, readonly Node[]>,
    private readonly local: ReadonlySet<Value>,
    private readonly pinned: ReadonlySet<Value>,
    private readonly inLoop: boolean,
  ) {}

  /** Whether a pointwise value is computed again wherever it is read. */
  isInline(value: Value): boolean {
    let known = this.#inline.get(value);
    if (known === undefined) this.#inline.set(value, (known = this.#decide(value)));
    return known;
  }

  /** Leaves a value to its reader when it is cheap and has but one: true if so. */
  leaveToReader(value: Value): boolean {
    if (!this.inLoop || this.pinned.has(value) || this.#cost(value) > CHEAP) return false;
    // Behind a view, an address that the reader needs may not exist.
    if (value.node.inputs.some((v) => this.storage.isView(v) && !isColumn(v))) return false;
    const users = this.users.get(value) ?? [];
    if (users.length !== 1 || users[0]!.op.kind !== 'map') return false;
    this.#inline.set(value, true);
    return true;
  }

  #decide(value: Value): boolean {
    const { node } = value;
    if (!isPointwise(node) || this.pinned.has(value)) return false;
    const users = this.#finalUsers(value);
    if (users === null || users.length === 0) return false;
    const cost = this.#cost(value);
    // In a loop, what goes into a sum is not stored first because others read it as well.
    if (this.inLoop && cost <= CHEAP_SUMMED && this.#isSummed(value) && users.every(isPointwiseOrSum))
      return true;
    if (cost > (this.inLoop && isColumn(value) ? CHEAP_COLUMN : CHEAP)) return false;
    if (users.length === 1 && users[0]!.op.kind === 'sum') return true;
    // A few operations on little, read by more: computed again by each reader.
    const size = sizeOf(value.type.shape);
    const isLarger = (v: Value) => sizeOf(v.type.shape) > size;
    return users.every(
      (u) => u.op.kind === 'map' && (isLarger(u.outputs[0]!) || this.isInline(u.outputs[0]!)),
    );
  }

  /** Whether a sum takes in a value, as it is or with others. */
  #isSummed(value: Value): boolean {
    let known = this.#summed.get(value);
    if (known === undefined) {
      known = (this.#finalUsers(value) ?? []).some(({ op, outputs: [result] }) => {
        if (op.kind === 'sum') return true;
        const passes = op.kind === 'map' && !this.pinned.has(result!) && this.#cost(result!) <= CHEAP_SUMMED;
        return passes && this.#isSummed(result!);
      });
      this.#summed.set(value, known);
    }
    return known;
  }

  /** The nodes that read a value, through broadcasts and reshapes; null when some other view reads it. */
  #finalUsers(value: Value): Node[] | null {
    const users: Node[] = [];
    for (const user of this.users.get(value) ?? []) {
      if (!this.storage.isView(user.outputs[0]!)) {
        users.push(user);
        continue;
      }
      if (this.pinned.has(user.outputs[0]!) || (user.op.kind !== 'broadcast' && user.op.kind !== 'reshape'))
        return null;
      const further = this.#finalUsers(user.outputs[0]!);
      if (further === null) return null;
      users.push(...further);
    }
    return users;
  }

  /**
   * Calls to compute a value from what is stored or no pointwise value of this block, counted up to a little over the
   * most that may be. In a loop, those for one number a row count for little.
   */
  #cost(value: Value): number {
    let cost = this.#costs.get(value);
    if (cost === undefined) {
      cost = value.node.op.kind === 'random' ? CHEAP : 1;
      for (const v of value.node.inputs) {
        const column = this.inLoop && isColumn(v) && !isColumn(value);
        if (this.local.has(v) && isPointwise(v.node) && !this.pinned.has(v) && !column) cost += this.#cost(v);
      }
      this.#costs.set(value, (cost = Math.min(cost, CHEAP_COLUMN + 1)));
    }
    return cost;
  }
}
