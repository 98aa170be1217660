/** From a distributed program to stages: homes for what is stored, a stage for each group, loops around the rest. */
import type { GemmTerm, Ref, Stage, Store } from '../../kernels/stage.js';
import {
  bodyInputs,
  type Node,
  type Op,
  type Program,
  type ScanOp,
  scanInputs,
  sizeOf,
  type Value,
} from '../program/program.js';
import { type Access, identity, rowMajor } from './access.js';
import { Block, type Copy, type Group } from './block.js';
import { eachRef, sameElement } from './refs.js';
import { Scalars } from './scalars.js';
import type { LabelledStage, Loop } from './schedule.js';
import { type Allocation, NeedsCopy, NotAffine, Storage } from './storage.js';

export interface Lowered {
  readonly steps: readonly (LabelledStage | Loop)[];
  readonly allocations: readonly Allocation[];
}

/** A stand-in for a place that a copy fills; it has a home and a type, and no node computes it. */
function target(value: Value): Value {
  const outputs: Value[] = [];
  const node: Node = { id: -1, op: { kind: 'input', name: 'copy' }, inputs: [], outputs };
  outputs.push({ type: value.type, node, port: 0 });
  return outputs[0]!;
}

/** Lowers a program whose scans are distributed. Starts again when a view or an update must be copied first. */
export function lower(program: Program): Lowered {
  const copied = new Set<Value>();
  const deferred = new Set<string>();
  for (;;) {
    try {
      return new Lowering(program, copied, deferred).run();
    } catch (problem) {
      if (problem instanceof NeedsCopy && !copied.has(problem.view) && problem.view.node.inputs.length > 0)
        copied.add(problem.view);
      else if (problem instanceof UpdateTooEarly) deferred.add(problem.output);
      else throw problem;
    }
  }
}

/** Thrown when an output would overwrite an input that is still to be read. */
class UpdateTooEarly extends Error {
  constructor(readonly output: string) {
    super('an output overwrites an input too early');
  }
}

class Lowering {
  readonly #storage: Storage;

  constructor(
    private readonly program: Program,
    copied: ReadonlySet<Value>,
    private readonly deferred: ReadonlySet<string>,
  ) {
    this.#storage = new Storage(copied);
  }

  run(): Lowered {
    const storage = this.#storage;
    const external = new Map<string, Allocation>();
    for (const { name, value } of this.program.inputs) {
      const allocation = storage.allocate(sizeOf(value.type.shape), name, value.type.dtype);
      external.set(name, allocation);
      storage.setHome(value, { kind: 'whole', allocation, offset: 0, time: null });
    }
    const pinned = new Set<Value>(this.program.outputs.flatMap(({ value }) => withoutReshapes(value)));
    const block = new Block(storage, this.program.nodes, pinned, null);
    const outputs = this.program.outputs.map((output) => {
      const { name, updates, value } = output;
      const allocation =
        updates === null
          ? storage.allocate(sizeOf(value.type.shape), name, value.type.dtype)
          : external.get(updates)!;
      return { ...output, allocation };
    });
    // What is computed anyway is computed where it is wanted; the rest is copied there.
    const steps = this.#lowerBlock(block, (placing) => {
      for (const { name, value, allocation } of outputs) {
        const home = { kind: 'whole' as const, allocation, offset: 0, time: null };
        const late = this.deferred.has(name);
        const at = late ? null : placing(value);
        if (at !== null) {
          storage.setHome(at, home);
          continue;
        }
        const into = target(value);
        storage.setHome(into, home);
        if (late) block.addLastCopy({ value, target: into });
        else block.addCopy({ value, target: into });
      }
    });
    this.#checkUpdates(
      steps,
      outputs.filter((o) => o.updates !== null).map((o) => ({ name: o.name, id: o.allocation.id })),
    );
    return { steps, allocations: storage.allocations };
  }

  /** An input may be overwritten only after the last stage that reads it, or in place by that stage itself. */
  #checkUpdates(
    steps: readonly (LabelledStage | Loop)[],
    updates: readonly { name: string; id: number }[],
  ): void {
    for (const { name, id } of updates) {
      let written = false;
      for (const step of steps) {
        const stages = step.kind === 'loop' ? step.stages : [step];
        for (const { stage } of stages) {
          const { reads, writes, elementwise } = touches(stage, id);
          const conflict = reads && (written || (writes && !elementwise));
          if (conflict && this.deferred.has(name))
            throw new Error(`the output '${name}' overwrites an input that another output still reads`);
          if (conflict) throw new UpdateTooEarly(name);
          written ||= writes;
        }
      }
    }
  }

  /**
   * @param settle gives pinned values their homes: `placing` tells the value of the block, behind reshapes, that can
   * be computed right into a home, or null when a copy is needed.
   */
  #lowerBlock(
    block: Block,
    settle: (placing: (value: Value) => Value | null) => void,
  ): (LabelledStage | Loop)[] {
    const storage = this.#storage;
    const scans = new Map<Node, ScanHomes>();
    block.gather({
      concat: (node) => this.#joinParts(block, node),
      scan: (node) => scans.set(node, this.#scanHomes(block, node)),
    });
    settle((value) => {
      const at = block.producer(value);
      return at === null || storage.hasHome(at) ? null : at;
    });
    // Scalars of all groups first: they find out what must be stored.
    const emitted = block.groups.map((group) => this.#emit(block, group, scans));
    return emitted.flatMap((finish) => finish());
  }

  /** Gives the parts of a concat their places in it, and copies what already lives elsewhere. */
  #joinParts(block: Block, node: Node): void {
    const { axis } = node.op as Extract<Op, { kind: 'concat' }>;
    const container = node.outputs[0]!;
    let start = 0;
    const parts: Value[] = [];
    for (const part of node.inputs) {
      const home = { kind: 'part' as const, container, axis, start };
      start += part.type.shape[axis]!;
      const at = block.producer(part);
      if (at !== null && !this.#storage.hasHome(at) && block.groupOf(at)?.kind !== 'scan') {
        this.#storage.setHome(at, home);
        parts.push(at);
      } else {
        const into = target(part);
        this.#storage.setHome(into, home);
        block.addCopy({ value: part, target: into });
        parts.push(into);
      }
    }
    block.readyWith(container, parts);
  }

  /** Starts the stage of a group; what comes back finishes it, when it is known what must be stored. */
  #emit(block: Block, group: Group, scans: ReadonlyMap<Node, ScanHomes>): () => (LabelledStage | Loop)[] {
    if (group.kind === 'scan') {
      const loop = this.#lowerScan(group.nodes[0]!, scans.get(group.nodes[0]!)!);
      return () => loop;
    }
    if (group.kind === 'single') return this.#emitSingle(block, group);
    return this.#emitPointwise(block, group);
  }

  #emitPointwise(block: Block, group: Group): () => LabelledStage[] {
    const storage = this.#storage;
    const extents = block.extents(group);
    const hasTime = block.hasTime();
    const own = identity(group.shape, hasTime ? 1 : 0);
    const scalars = new Scalars({
      storage,
      extents,
      hasTime,
      isInline: (v) => block.isInline(v),
      accumulator: (base, access) => (group.kind === 'gemm' ? block.slotOf(group, base, access) : null),
    });
    const members = group.members.map((value) => ({ value, index: scalars.addMember(value, own) }));
    const copies = group.copies.map((copy) => ({ copy, index: scalars.at(copy.value, own) }));
    const terms = group.nodes.flatMap((node) => this.#gemmTerms(block, group, node, hasTime));
    let slot = 0;
    const numbered = terms.map((t) => ({ ...t, slots: t.slots.map((s) => ({ ...s, slot: slot++ })) }));
    return () => {
      const stores: Store[] = [];
      for (const { value, index } of members)
        if (storage.hasHome(value)) stores.push({ ref: scalars.ref(value, own), value: index });
      for (const { copy, index } of copies) stores.push({ ref: scalars.ref(copy.target, own), value: index });
      for (const node of group.nodes) {
        const value = node.outputs[0]!;
        if (!storage.hasHome(value)) continue;
        const { rows, width, starts } = block.gemmView(node);
        for (const start of starts) {
          const access = { offset: start, strides: [...(hasTime ? [0] : []), rows * width, width, 1] };
          stores.push({ ref: scalars.ref(value, access), value: scalars.at(value, access) });
        }
      }
      const { list } = scalars;
      if (stores.length === 0) return [];
      if (group.kind === 'pointwise')
        return [
          {
            kind: 'stage',
            label: label(members, 'pointwise'),
            stage: { kind: 'pointwise', shape: group.shape, scalars: list, stores },
          },
        ];
      const [batch, rows, columns] = group.shape as [number, number, number];
      const depth = numbered.map((t) => t.depth).join('+');
      return [
        {
          kind: 'stage',
          label: label(members, `gemm ${rows}x${depth}x${columns * slot}`),
          stage: { kind: 'gemm', batch, rows, columns, slots: slot, terms: numbered, scalars: list, stores },
        },
      ];
    };
  }

  #gemmTerms(block: Block, group: Group, node: Node, hasTime: boolean): GemmTerm[] {
    const { transA, transB } = node.op as Extract<Op, { kind: 'gemm' }>;
    const [a, b] = node.inputs as [Value, Value];
    const { batch, rows, width, columns, starts } = block.gemmView(node);
    const depth = a.type.shape[a.type.shape.length - (transA ? 2 : 1)]!;
    const lead = hasTime ? [this.#length(block, group)] : [];
    const at = (value: Value, offset: number, strides: number[], extents: number[]): Ref =>
      this.#ref(
        value,
        { offset, strides: [...lead.map(() => 0), ...strides] },
        [...lead, ...extents],
        hasTime,
      );
    const slots = starts.map((start) =>
      at(
        b,
        start * (transB ? depth : 1),
        [depth * width, transB ? 1 : width, transB ? depth : 1],
        [batch, depth, columns],
      ),
    );
    return [
      {
        depth,
        a: at(a, 0, [rows * depth, transA ? 1 : depth, transA ? rows : 1], [batch, rows, depth]),
        b: slots[0]!,
        slots: slots.map((ref, slot) => ({ slot, offset: ref.offset - slots[0]!.offset })),
      },
    ];
  }

  #length(block: Block, group: Group): number {
    return block.extents(group)[0]!;
  }

  /** The address of an operand that must be in memory. */
  #ref(value: Value, access: Access, extents: readonly number[], hasTime: boolean): Ref {
    const { base, access: by } = this.#storage.resolve(value, access, extents);
    // A constant has no memory until a view of it is written out.
    if (base.node.op.kind === 'constant') throw new NeedsCopy(value);
    const { allocation, offset, strides, time } = this.#storage.address(base, by, extents, hasTime);
    return { buffer: allocation.id, offset, strides, time };
  }

  #emitSingle(block: Block, group: Group): () => LabelledStage[] {
    const node = group.nodes[0]!;
    const { op } = node;
    const storage = this.#storage;
    const hasTime = block.hasTime();
    const lead = hasTime ? [this.#length(block, group)] : [];
    const ref = (value: Value, shape: readonly number[], strides = rowMajor(shape)): Ref =>
      this.#ref(
        value,
        { offset: 0, strides: [...lead.map(() => 0), ...strides] },
        [...lead, ...shape],
        hasTime,
      );
    const done =
      (stage: Stage, text: string): (() => LabelledStage[]) =>
      () => [{ kind: 'stage', label: text, stage }];
    const [x, y, z] = node.inputs as [Value, Value, Value];
    const out = node.outputs[0]!;
    if (op.kind === 'sum') return this.#emitSum(block, group, node, op.axes);
    if (op.kind === 'softmax') {
      const columns = out.type.shape[out.type.shape.length - 1]!;
      const rows = sizeOf(out.type.shape) / columns;
      return done(
        { kind: 'softmax', rows, columns, input: ref(x, [rows, columns]), output: ref(out, [rows, columns]) },
        `softmax ${rows}x${columns}`,
      );
    }
    if (op.kind === 'softmaxCrossEntropy') {
      const columns = x.type.shape[x.type.shape.length - 1]!;
      const rows = sizeOf(x.type.shape) / columns;
      const classes = y.type.dtype === 'int';
      const operands = {
        logits: ref(x, [rows, columns]),
        target: {
          kind: classes ? ('classes' as const) : ('dense' as const),
          ref: ref(y, classes ? [rows] : [rows, columns]),
        },
        weight: ref(z, [rows]),
      };
      return () => {
        const [loss, gradient] = node.outputs as [Value, Value];
        const stage: Stage = {
          kind: 'softmaxCrossEntropy',
          rows,
          columns,
          ...operands,
          loss: storage.hasHome(loss) ? ref(loss, [rows]) : null,
          gradient: storage.hasHome(gradient) ? ref(gradient, [rows, columns]) : null,
        };
        return [{ kind: 'stage', label: `softmax cross-entropy ${rows}x${columns}`, stage }];
      };
    }
    if (op.kind === 'scatterAdd') {
      const count = sizeOf(x.type.shape);
      const width = y.type.shape[y.type.shape.length - 1]!;
      const target = ref(out, [op.size, width], op.axis === 0 ? [width, 1] : [1, op.size]);
      return done(
        {
          kind: 'scatterAdd',
          count,
          size: op.size,
          width,
          ids: ref(x, [count]),
          source: ref(y, [count, width]),
          target,
        },
        `scatter-add ${count}x${width} into ${op.size}`,
      );
    }
    throw new Error(`${op.kind} is no stage of its own`);
  }

  #emitSum(block: Block, group: Group, node: Node, axes: readonly number[]): () => LabelledStage[] {
    const hasTime = block.hasTime();
    const [x] = node.inputs as [Value];
    const { shape } = x.type;
    const strides = rowMajor(shape);
    const lead = hasTime ? [this.#length(block, group)] : [];
    const zeros = lead.map(() => 0);
    const build = (merge: boolean) => {
      const pick = (wanted: (axis: number) => boolean) =>
        pickAxes(shape, strides, shape.map((_, i) => i).filter(wanted), merge);
      const kept = pick((axis) => !axes.includes(axis));
      const reduced = pick((axis) => axes.includes(axis));
      const scalars = new Scalars({
        storage: this.#storage,
        extents: [...lead, ...kept.shape, ...reduced.shape],
        hasTime,
        isInline: (v) => block.isInline(v),
        accumulator: () => null,
      });
      const value = scalars.at(x, { offset: 0, strides: [...zeros, ...kept.strides, ...reduced.strides] });
      return { kept, reduced, scalars, value };
    };
    // Neighbouring axes as one make simpler loops, unless what is summed broadcasts along one of them.
    const { kept, reduced, scalars, value } = attempt(() => build(true)) ?? build(false);
    const out = node.outputs[0]!;
    return () => {
      const own: Access = { offset: 0, strides: [...zeros, ...rowMajor(kept.shape)] };
      const into = [...(this.#storage.hasHome(out) ? [out] : []), ...group.copies.map((c: Copy) => c.target)];
      const stores = into.map((v) => this.#ref(v, own, [...lead, ...kept.shape], hasTime));
      if (stores.length === 0) return [];
      const text = `sum ${kept.shape.join('x')} over ${reduced.shape.join('x')}`;
      return [
        {
          kind: 'stage',
          label: text,
          stage: {
            kind: 'reduce',
            fn: 'sum',
            kept: kept.shape,
            reduced: reduced.shape,
            scalars: scalars.list,
            value,
            stores,
          },
        },
      ];
    };
  }

  /** Before the groups around a loop are settled: memory for its carries and stacks, and their first values. */
  #scanHomes(block: Block, node: Node): ScanHomes {
    const op = node.op as ScanOp;
    const storage = this.#storage;
    const { length, direction } = op;
    const forward = direction === 1;
    const inside = bodyInputs(op);
    const given = scanInputs(node, op);
    inside.constants.forEach((v, i) => storage.setOutside(v, given.constants[i]!, 0));
    inside.xs.forEach((v, i) => storage.setOutside(v, given.xs[i]!, sizeOf(v.type.shape)));
    const outputs: { value: Value; home: Parameters<Storage['setHome']>[1] }[] = [];
    const carries = inside.carries.map((carry, i) => {
      const size = sizeOf(carry.type.shape);
      const kept = op.ports.some(
        (p) => (p.kind === 'history' && p.carry === i) || (p.kind === 'stack' && p.output === i),
      );
      const slots = kept ? length + 1 : 2;
      const allocation = storage.allocate(slots * size);
      const ring = kept ? 0 : 2;
      const slotHome = (slot: number) => ({
        kind: 'whole' as const,
        allocation,
        offset: (slot % slots) * size,
        time: null,
      });
      // In time order, slot t lies before step t and slot t + 1 behind it.
      const stepHome = (shift: number) => ({
        kind: 'whole' as const,
        allocation,
        offset: ring === 0 ? shift * size : 0,
        time: { stride: size, shift: ring === 0 ? 0 : shift, ring },
      });
      storage.setHome(carry, stepHome(forward ? 0 : 1));
      outputs.push({ value: op.body.outputs[i]!, home: stepHome(forward ? 1 : 0) });
      const first = target(carry);
      storage.setHome(first, slotHome(forward ? 0 : length));
      block.addCopy({ value: given.initial[i]!, target: first });
      return { allocation, size, slotHome };
    });
    const stacks = new Map<number, Allocation>();
    op.ports.forEach((port, i) => {
      const value = node.outputs[i]!;
      if (port.kind === 'final') storage.setHome(value, carries[port.carry]!.slotHome(forward ? length : 0));
      else if (port.kind === 'history') storage.setHome(value, carries[port.carry]!.slotHome(0));
      else if (port.kind === 'stack' && port.output < op.carries)
        storage.setHome(value, carries[port.output]!.slotHome(forward ? 1 : 0));
      else if (port.kind === 'stack') {
        const inner = op.body.outputs[port.output]!;
        const size = sizeOf(inner.type.shape);
        const allocation = stacks.get(port.output) ?? storage.allocate(length * size);
        if (!stacks.has(port.output))
          outputs.push({
            value: inner,
            home: { kind: 'whole', allocation, offset: 0, time: { stride: size, shift: 0, ring: 0 } },
          });
        stacks.set(port.output, allocation);
        storage.setHome(value, { kind: 'whole', allocation, offset: 0, time: null });
      } else throw new Error('sums over time leave the loop before it is lowered');
    });
    return { outputs };
  }

  #lowerScan(node: Node, { outputs }: ScanHomes): (LabelledStage | Loop)[] {
    const op = node.op as ScanOp;
    const storage = this.#storage;
    const pinned = new Set(outputs.map((o) => o.value));
    const block = new Block(storage, op.body.nodes, pinned, op.length);
    const steps = this.#lowerBlock(block, (placing) => {
      for (const { value, home } of outputs) {
        const at = placing(value);
        if (at !== null) storage.setHome(at, home);
        else {
          const into = target(value);
          storage.setHome(into, home);
          block.addCopy({ value, target: into });
        }
      }
    });
    const stages = steps.map((step) => {
      if (step.kind === 'loop') throw new Error('a scan inside a scan has no schedule');
      return step;
    });
    const first = op.direction === 1 ? 0 : op.length - 1;
    return [{ kind: 'loop', first, count: op.length, direction: op.direction, stages }];
  }
}

interface ScanHomes {
  readonly outputs: readonly { readonly value: Value; readonly home: Parameters<Storage['setHome']>[1] }[];
}

function withoutReshapes(value: Value): Value[] {
  const values = [value];
  for (let at = value; at.node.op.kind === 'reshape'; ) {
    at = at.node.inputs[0]!;
    values.push(at);
  }
  return values;
}

/** What `f` gives, or null when something in it cannot be addressed. */
function attempt<T>(f: () => T): T | null {
  try {
    return f();
  } catch (problem) {
    if (problem instanceof NotAffine || problem instanceof NeedsCopy) return null;
    throw problem;
  }
}

/** Axes of a tensor as the axes of a nest; with `merge`, neighbours as one where their strides allow. */
function pickAxes(
  shape: readonly number[],
  strides: readonly number[],
  axes: readonly number[],
  merge: boolean,
) {
  const merged: { size: number; stride: number }[] = [];
  for (const axis of axes) {
    const last = merged[merged.length - 1];
    if (merge && last !== undefined && last.stride === strides[axis]! * shape[axis]!) {
      last.size *= shape[axis]!;
      last.stride = strides[axis]!;
    } else merged.push({ size: shape[axis]!, stride: strides[axis]! });
  }
  if (merged.length === 0) merged.push({ size: 1, stride: 0 });
  return { shape: merged.map((m) => m.size), strides: merged.map((m) => m.stride) };
}

function label(members: readonly { value: Value }[], what: string): string {
  const names = members.flatMap(({ value: { node } }) =>
    node.op.kind === 'map' ? [node.op.fn] : [node.op.kind],
  );
  const counted = [...new Set(names)].map(
    (n) => `${n}${names.filter((m) => m === n).length > 1 ? ` x${names.filter((m) => m === n).length}` : ''}`,
  );
  return counted.length === 0 ? what : `${what}: ${counted.join(', ')}`;
}

/** How a stage touches an allocation; elementwise: it reads each element only where it writes it. */
function touches(stage: Stage, id: number): { reads: boolean; writes: boolean; elementwise: boolean } {
  const reads: Ref[] = [];
  const writes: Ref[] = [];
  eachRef(stage, (ref, direction) => {
    if (ref.buffer === id) (direction === 'read' ? reads : writes).push(ref);
  });
  const loads = 'stores' in stage && 'scalars' in stage && stage.kind !== 'reduce' ? stage.scalars : [];
  const own = loads.filter(
    (s) => s.kind === 'load' && s.gather === null && writes.some((w) => sameElement(w, s.ref)),
  ).length;
  return { reads: reads.length > 0, writes: writes.length > 0, elementwise: own === reads.length };
}
