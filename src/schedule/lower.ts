/** From a distributed program to stages: homes for what is stored, a stage for each group, loops around the rest. */
import type { Ref, Stage } from '../../kernels/stage.js';
import {
  bodyInputs,
  type DType,
  type Node,
  type Op,
  type Program,
  type ScanOp,
  scanInputs,
  sizeOf,
  type Value,
} from '../program/program.js';
import { Block, type Group } from './block.js';
import { emit } from './emit.js';
import { productsLast } from './order.js';
import { pipeline } from './pipeline.js';
import { eachRef, sameElement } from './refs.js';
import type { LabelledStage, Loop } from './schedule.js';
import { type Allocation, NeedsCopy, ReadAcrossEdge, Storage } from './storage.js';

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

/** Storage buffers that every WebGPU device can bind to a stage. */
const MAX_BUFFERS = 8;

/** What a lowering found that the next one must do otherwise. */
interface Corrections {
  /** Views that have no address in place. */
  readonly copied: Set<Value>;
  /** Parts of concats that need a place of their own. */
  readonly apart: Set<Value>;
  /** Outputs that would overwrite an input that is still to be read: copied behind everything else. */
  readonly deferred: Set<string>;
  /** Inputs and outputs that pass through the arena, because some stage touches too many buffers. */
  readonly staged: Set<string>;
}

/** Lowers a program whose scans are distributed; again, whenever something must be copied that was not. */
export function lower(program: Program): Lowered {
  const corrections: Corrections = {
    copied: new Set(),
    apart: new Set(),
    deferred: new Set(),
    staged: new Set(),
  };
  const isNew = (view: Value) => view.node.inputs.length > 0 && !corrections.copied.has(view);
  for (;;) {
    try {
      const { steps, allocations } = new Lowering(program, corrections).run();
      const pipelined = steps.flatMap((step): (LabelledStage | Loop)[] =>
        step.kind === 'loop' ? pipeline(step) : [step],
      );
      const crowded = tooManyBuffers(pipelined, allocations);
      if (crowded.length === 0) return { steps: pipelined, allocations };
      for (const name of crowded) corrections.staged.add(name);
    } catch (problem) {
      const views = problem instanceof NeedsCopy ? problem.views.filter(isNew) : [];
      if (views.length > 0) for (const view of views) corrections.copied.add(view);
      else if (problem instanceof ReadAcrossEdge && !corrections.apart.has(problem.part))
        corrections.apart.add(problem.part);
      else if (problem instanceof UpdateTooEarly) corrections.deferred.add(problem.output);
      else throw problem;
    }
  }
}

/** Names of buffers of floats to take out of stages that bind more than a device may allow, the arenas counted. */
function tooManyBuffers(
  steps: readonly (LabelledStage | Loop)[],
  allocations: readonly Allocation[],
): string[] {
  const names = new Set<string>();
  for (const step of steps)
    for (const { stage } of step.kind === 'loop' ? step.stages : [step]) {
      const externals = new Map<string, Allocation>();
      const arenas = new Set<DType>(['float']);
      eachRef(stage, ({ buffer }) => {
        const allocation = allocations[buffer]!;
        if (allocation.external !== null) externals.set(allocation.external, allocation);
        else arenas.add(allocation.dtype);
      });
      const movable = [...externals.values()].filter((a) => a.dtype === 'float');
      const excess = externals.size + arenas.size - MAX_BUFFERS;
      for (const { external } of movable.slice(0, Math.max(0, excess))) names.add(external!);
    }
  return [...names];
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
    private readonly corrections: Corrections,
  ) {
    this.#storage = new Storage(corrections.copied);
  }

  run(): Lowered {
    const storage = this.#storage;
    const { deferred, staged } = this.corrections;
    const pinned = new Set<Value>(this.program.outputs.flatMap(({ value }) => withoutReshapes(value)));
    const block = new Block(storage, this.program.nodes, pinned, null);
    const external = new Map<string, Allocation>();
    const whole = (allocation: Allocation) => ({ kind: 'whole' as const, allocation, offset: 0, time: null });
    for (const { name, value } of this.program.inputs) {
      const { dtype, shape } = value.type;
      const allocation = storage.allocate(sizeOf(shape), dtype, name);
      external.set(name, allocation);
      if (!staged.has(name)) {
        storage.setHome(value, whole(allocation));
        continue;
      }
      const outside = target(value);
      storage.setHome(outside, whole(allocation));
      storage.setHome(value, whole(storage.allocateFor(value)));
      block.addOwnCopy({ value: outside, target: value });
    }
    const outputs = this.program.outputs.map((output) => {
      const { name, updates, value } = output;
      const allocation =
        updates === null
          ? storage.allocate(sizeOf(value.type.shape), value.type.dtype, name)
          : external.get(updates)!;
      return { ...output, allocation };
    });
    // What is computed anyway is computed where it is wanted; the rest is copied there.
    const steps = this.#lowerBlock(block, (placing) => {
      for (const { name, value, allocation } of outputs) {
        const home = whole(allocation);
        const late = deferred.has(name) || staged.has(name);
        const at = late ? null : placing(value);
        if (at !== null) {
          storage.setHome(at, home);
          continue;
        }
        const into = target(value);
        storage.setHome(into, home);
        if (late) block.addOwnCopy({ value, target: into });
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
          if (conflict && this.corrections.deferred.has(name))
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
    const missing: NeedsCopy[] = [];
    const emitted = block.groups.flatMap((group) => {
      try {
        return [this.#emit(block, group, scans)];
      } catch (problem) {
        if (!(problem instanceof NeedsCopy)) throw problem;
        missing.push(problem);
        return [];
      }
    });
    if (missing.length > 0) throw new NeedsCopy(missing.flatMap(({ views }) => views));
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
      const free = at !== null && !this.#storage.hasHome(at) && !this.corrections.apart.has(at);
      if (free && block.groupOf(at)?.kind !== 'scan') {
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
    return emit(this.#storage, block, group);
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
      const allocation = storage.allocateFor(carry, slots);
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
        const allocation = stacks.get(port.output) ?? storage.allocateFor(inner, length);
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
    const block = new Block(storage, productsLast(op.body.nodes, op.body.outputs), pinned, op.length);
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

/** How a stage touches an allocation; elementwise: it reads each element only where it writes it. */
function touches(stage: Stage, id: number): { reads: boolean; writes: boolean; elementwise: boolean } {
  const reads: Ref[] = [];
  const writes: Ref[] = [];
  eachRef(stage, (ref, direction) => {
    if (ref.buffer === id) (direction === 'read' ? reads : writes).push(ref);
  });
  const loads = 'stores' in stage && 'scalars' in stage && stage.kind !== 'reduce' ? stage.scalars : [];
  // What is stored once for each row is read all along it.
  const isElement = ({ strides }: Ref) => stage.kind !== 'rows' || strides.at(-1) !== 0;
  const own = loads.filter(
    (s) =>
      s.kind === 'load' && s.gather === null && writes.some((w) => isElement(w) && sameElement(w, s.ref)),
  ).length;
  return { reads: reads.length > 0, writes: writes.length > 0, elementwise: own === reads.length };
}
