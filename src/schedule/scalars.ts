/** The per-element arithmetic of a stage, gathered from the program: loads where values come in, calls between. */
import type { Ref, Scalar } from '../../kernels/stage.js';
import { sizeOf, type Value } from '../program/program.js';
import { type Access, around, normal, sameAccess, split, throughBroadcast, throughView } from './access.js';
import { partAt, rowParts } from './places.js';
import { NeedsCopy, NotAffine, type Storage } from './storage.js';

/** What a list of scalars needs to know of the group it is for. */
export interface ScalarScope {
  readonly storage: Storage;
  /** The nest: time first inside a loop, then the stage's domain. */
  readonly extents: readonly number[];
  readonly hasTime: boolean;
  /** Whether a value is computed here again instead of being loaded. */
  readonly isInline: (base: Value) => boolean;
  /** Whether a value is in memory before the group runs. */
  readonly isReady: (base: Value) => boolean;
  /** The running sum of a gemm stage that an access to `base` is, if it is one. */
  readonly accumulator: (base: Value, access: Access) => number | null;
}

export class Scalars {
  readonly list: Scalar[] = [];
  readonly #members = new Map<Value, { index: number; access: Access }[]>();
  readonly #known = new Map<string, number>();

  constructor(private readonly scope: ScalarScope) {}

  /** Computes a member of the group at its places in the nest. */
  addMember(value: Value, places: readonly Access[]): number[] {
    const indices = places.map((access) => this.#compute(value, access));
    const at = places.map((place, i) => ({ index: indices[i]!, access: normal(place, this.scope.extents) }));
    this.#members.set(value, at);
    return indices;
  }

  /** The scalar that is the value's element under an access. */
  at(value: Value, access: Access): number {
    const { storage, extents } = this.scope;
    const resolved = storage.resolve(value, access, extents);
    const { base } = resolved;
    const by = normal(resolved.access, extents);
    const member = this.#members.get(base)?.find((m) => sameAccess(m.access, by));
    if (member !== undefined) return member.index;
    const slot = this.scope.accumulator(base, by);
    if (slot !== null) return this.#push({ kind: 'accumulator', slot });
    const { op } = base.node;
    if (op.kind === 'constant') return this.#push({ kind: 'constant', value: op.value });
    if (op.kind === 'iota') {
      const along = split(by, extents, around(op.shape, op.axis));
      if (along === null) throw new NotAffine('an index runs across its axis');
      return this.#push({ kind: 'coordinate', index: this.#affine(along[1]!) });
    }
    if (op.kind === 'concat' && !this.scope.isReady(base)) {
      const part = partAt(base.node, op.axis, by, extents);
      if (part !== null) return this.at(part.value, part.access);
    }
    if (this.scope.isInline(base)) return this.#compute(base, resolved.access);
    return this.#push({ kind: 'load', ref: this.ref(base, by), gather: null });
  }

  ref(base: Value, access: Access): Ref {
    const { storage, extents, hasTime } = this.scope;
    const { allocation, offset, strides, time } = storage.address(
      base,
      normal(access, extents),
      extents,
      hasTime,
    );
    return { buffer: allocation.id, offset, strides, time };
  }

  #affine(access: Access) {
    const { hasTime } = this.scope;
    const perStep = hasTime ? access.strides[0]! : 0;
    return {
      offset: access.offset,
      strides: hasTime ? access.strides.slice(1) : access.strides,
      time: perStep === 0 ? null : { stride: perStep, shift: 0, ring: 0 },
    };
  }

  #compute(value: Value, access: Access): number {
    const { storage, extents, hasTime } = this.scope;
    const { op, inputs } = value.node;
    const [x, y] = inputs as [Value, Value];
    if (op.kind === 'map') {
      const args = inputs.map((operand) => {
        const through = throughBroadcast(access, extents, operand.type.shape, value.type.shape);
        if (through === null) throw new NotAffine('an operand has no affine access');
        return this.at(operand, through);
      });
      return this.#push({ kind: 'call', fn: op.fn, args });
    }
    if (op.kind === 'sum') {
      const outer = hasTime ? 1 : 0;
      const parts = rowParts(extents.slice(outer), x.type.shape.at(-1)!, outer).map((part) =>
        this.at(x, part),
      );
      const total = parts.reduce((sum, part) => this.#push({ kind: 'call', fn: 'add', args: [sum, part] }));
      return this.#push({ kind: 'rowSum', value: total });
    }
    if (op.kind === 'random') {
      const key = storage.resolve(x, { offset: 0, strides: extents.map(() => 0) }, extents);
      const index = this.#affine(access);
      const time = hasTime ? { stride: sizeOf(op.shape), shift: 0, ring: 0 } : null;
      return this.#push({
        kind: 'random',
        key: this.ref(key.base, key.access),
        stream: op.stream,
        index: { ...index, time },
      });
    }
    if (op.kind === 'gather') {
      const count = sizeOf(y.type.shape);
      const [rows, columns] = x.type.shape as [number, number];
      const width = op.axis === 0 ? columns : rows;
      const coordinates = split(access, extents, [count, width]);
      if (coordinates === null) throw new NotAffine('a gather is read across its rows');
      const [n, j] = coordinates as [Access, Access];
      const ids = storage.resolve(y, n, extents);
      const stride = op.axis === 0 ? 1 : columns;
      const column = { offset: j.offset * stride, strides: j.strides.map((s) => s * stride) };
      const table = storage.resolve(x, column, extents);
      // The row's stride where the table lives: the distance between its first two rows there.
      const second = { offset: column.offset + (op.axis === 0 ? columns : 1), strides: column.strides };
      const next = x.type.shape[op.axis]! > 1 ? storage.resolve(x, second, extents) : table;
      const from = this.ref(table.base, table.access);
      const perRow = this.ref(next.base, next.access).offset - from.offset;
      return this.#push({
        kind: 'load',
        ref: from,
        gather: { ids: this.ref(ids.base, ids.access), stride: perRow, size: x.type.shape[op.axis]! },
      });
    }
    // A view that could not be addressed in place is copied.
    const through = throughView(value.node, access, extents);
    if (through === null) throw new NeedsCopy([x]);
    return this.at(x, through);
  }

  #push(scalar: Scalar): number {
    const key = JSON.stringify(scalar);
    let index = this.#known.get(key);
    if (index === undefined) {
      index = this.list.push(scalar) - 1;
      this.#known.set(key, index);
    }
    return index;
  }
}
