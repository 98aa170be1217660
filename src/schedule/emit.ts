/** Emission: the stage of a group. Begun when the group is reached, finished when it is known what must be stored. */
import type { GemmTerm, Ref, Stage, Store } from '../../kernels/stage.js';
import { type Node, type Op, sizeOf, type Value } from '../program/program.js';
import { type Access, rowMajor } from './access.js';
import type { Block, Copy, Group } from './block.js';
import { Scalars } from './scalars.js';
import type { LabelledStage } from './schedule.js';
import { NeedsCopy, NotAffine, type Storage } from './storage.js';

/** Starts the stage of a group; what comes back finishes it, once all groups have said what they read. */
export function emit(storage: Storage, block: Block, group: Group): () => LabelledStage[] {
  const sum = block.loneSum(group);
  if (sum !== null) return emitSum(storage, block, group, sum);
  return group.kind === 'single' ? emitSingle(storage, block, group) : emitPointwise(storage, block, group);
}

function emitPointwise(storage: Storage, block: Block, group: Group): () => LabelledStage[] {
  const extents = block.extents(group);
  const hasTime = block.hasTime();
  const scalars = new Scalars({
    storage,
    extents,
    hasTime,
    isInline: (v) => block.isInline(v),
    isReady: (v) => block.isReadyBefore(v, group),
    accumulator: (base, access) => (group.kind === 'gemm' ? block.slotOf(group, base, access) : null),
  });
  const members = group.members.flatMap((value) => {
    const places = block.placesIn(group, value);
    return scalars.addMember(value, places).map((index, i) => ({ value, at: places[i]!, index }));
  });
  const copies = group.copies.flatMap(({ value, target }) =>
    block.placesIn(group, value).map((at) => ({ target, at, index: scalars.at(value, at) })),
  );
  const terms = group.nodes.flatMap((node) => gemmTerms(storage, block, group, node, hasTime));
  let slot = 0;
  const numbered = terms.map((t) => ({ ...t, slots: t.slots.map((s) => ({ ...s, slot: slot++ })) }));
  return () => {
    const stores: Store[] = [];
    for (const { value, at, index } of members)
      if (storage.hasHome(value)) stores.push({ ref: scalars.ref(value, at), value: index });
    for (const { target, at, index } of copies) stores.push({ ref: scalars.ref(target, at), value: index });
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
    if (group.kind === 'pointwise') {
      const kind = list.some((s) => s.kind === 'rowSum') ? 'rows' : 'pointwise';
      const stage: Stage = { kind, shape: group.shape, scalars: list, stores };
      return [{ kind: 'stage', label: label(group.members, kind), stage }];
    }
    const [batch, rows, columns] = group.shape as [number, number, number];
    const depth = numbered.map((t) => t.depth).join('+');
    return [
      {
        kind: 'stage',
        label: label(group.members, `gemm ${rows}x${depth}x${columns * slot}`),
        stage: { kind: 'gemm', batch, rows, columns, slots: slot, terms: numbered, scalars: list, stores },
      },
    ];
  };
}

function gemmTerms(storage: Storage, block: Block, group: Group, node: Node, hasTime: boolean): GemmTerm[] {
  const { transA, transB } = node.op as Extract<Op, { kind: 'gemm' }>;
  const [a, b] = node.inputs as [Value, Value];
  const { batch, rows, width, columns, starts } = block.gemmView(node);
  const depth = a.type.shape[a.type.shape.length - (transA ? 2 : 1)]!;
  const lead = hasTime ? [block.extents(group)[0]!] : [];
  const at = (value: Value, offset: number, strides: number[], extents: number[]): Ref =>
    operand(
      storage,
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

/** The address of an operand that must be in memory. */
function operand(
  storage: Storage,
  value: Value,
  access: Access,
  extents: readonly number[],
  hasTime: boolean,
): Ref {
  const { base, access: by } = storage.resolve(value, access, extents);
  // A constant has no memory until a view of it is written out.
  if (base.node.op.kind === 'constant') throw new NeedsCopy([value]);
  const { allocation, offset, strides, time } = storage.address(base, by, extents, hasTime);
  return { buffer: allocation.id, offset, strides, time };
}

function emitSingle(storage: Storage, block: Block, group: Group): () => LabelledStage[] {
  const node = group.nodes[0]!;
  const { op } = node;
  const hasTime = block.hasTime();
  const lead = hasTime ? [block.extents(group)[0]!] : [];
  const ref = (value: Value, shape: readonly number[], strides = rowMajor(shape)): Ref =>
    operand(
      storage,
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

function emitSum(storage: Storage, block: Block, group: Group, node: Node): () => LabelledStage[] {
  const hasTime = block.hasTime();
  const { axes } = node.op as Extract<Op, { kind: 'sum' }>;
  const [x] = node.inputs as [Value];
  const { shape } = x.type;
  const strides = rowMajor(shape);
  const lead = hasTime ? [block.extents(group)[0]!] : [];
  const zeros = lead.map(() => 0);
  const out = node.outputs[0]!;
  const storesOver = (kept: readonly number[]): Ref[] => {
    const own: Access = { offset: 0, strides: [...zeros, ...rowMajor(kept)] };
    const into = [...(storage.hasHome(out) ? [out] : []), ...group.copies.map((c: Copy) => c.target)];
    return into.map((v) => operand(storage, v, own, [...lead, ...kept], hasTime));
  };
  const build = (merge: boolean) => {
    const pick = (wanted: (axis: number) => boolean) =>
      pickAxes(shape, strides, shape.map((_, i) => i).filter(wanted), merge);
    const kept = pick((axis) => !axes.includes(axis));
    const reduced = pick((axis) => axes.includes(axis));
    const scalars = new Scalars({
      storage: storage,
      extents: [...lead, ...kept.shape, ...reduced.shape],
      hasTime,
      isInline: (v) => block.isInline(v),
      isReady: (v) => block.isReadyBefore(v, group),
      accumulator: () => null,
    });
    const value = scalars.at(x, { offset: 0, strides: [...zeros, ...kept.strides, ...reduced.strides] });
    storesOver(kept.shape); // those that are known already must be addressable
    return { kept, reduced, scalars, value };
  };
  // Neighbouring axes as one make simpler loops, unless what is summed broadcasts along one of them, or the sum is
  // part of a larger value.
  const { kept, reduced, scalars, value } = attempt(() => build(true)) ?? build(false);
  return () => {
    const stores = storesOver(kept.shape);
    if (stores.length === 0) return [];
    const text = `sum ${kept.shape.join('x')} over ${reduced.shape.join('x')}`;
    return [
      {
        kind: 'stage',
        label: text,
        stage: {
          kind: 'reduce',
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

function label(members: readonly Value[], what: string): string {
  const names = members.flatMap(({ node }) => (node.op.kind === 'map' ? [node.op.fn] : [node.op.kind]));
  const counted = [...new Set(names)].map(
    (n) => `${n}${names.filter((m) => m === n).length > 1 ? ` x${names.filter((m) => m === n).length}` : ''}`,
  );
  return counted.length === 0 ? what : `${what}: ${counted.join(', ')}`;
}
