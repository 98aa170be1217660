/**
 * Reverse mode: the adjoint of every primitive, and so back-propagation through time (math.md 0.6, 1.1).
 *
 * The adjoint of a scan is a scan the other way. Its carries are the adjoints of the carries; the adjoint of a
 * constant, a weight above all, is a sum over the steps, which the scheduler turns into one rank-rt product.
 */
import { KronogradError } from '../errors.js';
import type { Builder } from './builder.js';
import { dependents, dependentsInScan } from './dependence.js';
import { functions } from './functions.js';
import { bodyInputs, type Node, type ScanOp, type Shape, sameShape, type Value } from './program.js';
import { Residuals } from './residuals.js';
import { column, crossEntropyCurvature, rowSum } from './softmax.js';

export interface Seed {
  readonly value: Value;
  /** The adjoint of `value`, of its shape. */
  readonly adjoint: Value;
}

/**
 * The vector-Jacobian product: for each of `wrt`, sum over seeds of (d seed.value / d wrt)' seed.adjoint, built
 * behind what the builder holds. Zero where nothing depends.
 */
export function adjoint(on: Builder, seeds: readonly Seed[], wrt: readonly Value[]): Value[] {
  const active = dependents(on.nodes, new Set(wrt));
  const adjoints = reverse(on, [...on.nodes], seeds, active, (v) => v);
  return wrt.map((v) => adjoints.get(v) ?? on.full(v.type.shape, 0));
}

/** Gradients of a scalar loss of shape []. */
export function gradient(on: Builder, loss: Value, wrt: readonly Value[]): Value[] {
  return adjoint(on, [{ value: loss, adjoint: on.full(loss.type.shape, 1) }], wrt);
}

/** Runs the nodes backwards. `primal` finds, where the adjoint is built, a value of the nodes. */
function reverse(
  on: Builder,
  nodes: readonly Node[],
  seeds: readonly Seed[],
  active: ReadonlySet<Value>,
  primal: (value: Value) => Value,
): Map<Value, Value> {
  const collected = new Map<Value, Contribution[]>();
  const add = (value: Value, contribution: Contribution) => {
    if (!active.has(value)) return;
    const list = collected.get(value);
    if (list) list.push(contribution);
    else collected.set(value, [contribution]);
  };
  for (const { value, adjoint } of seeds) add(value, { adjoint, part: null });
  const adjoints = new Map<Value, Value>();
  const settle = (value: Value): Value | null => {
    const list = collected.get(value);
    if (list === undefined) return null;
    const total = totalOf(on, value.type.shape, list);
    adjoints.set(value, total);
    return total;
  };
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    if (!node.outputs.some((v) => collected.has(v))) continue;
    const outputs = node.outputs.map(settle);
    if (node.op.kind === 'scan') reverseScan(on, node, node.op, outputs, active, add);
    else if (node.op.kind !== 'input') reverseNode(on, node, outputs, active, primal, add);
  }
  return adjoints;
}

interface Contribution {
  readonly adjoint: Value;
  /** The part of the value that it is the adjoint of; null: the whole. */
  readonly part: { readonly axis: number; readonly start: number } | null;
}

type Add = (value: Value, contribution: Contribution) => void;

/** The sum of contributions. Parts are joined, not padded with zeros and added: gates meet in one matrix. */
function totalOf(on: Builder, shape: Shape, list: readonly Contribution[]): Value {
  let total: Value | null = null;
  const include = (v: Value) => {
    total = total === null ? v : on.add(total, v);
  };
  for (const c of list) if (c.part === null) include(c.adjoint);
  const axes = new Set(list.flatMap((c) => (c.part ? [c.part.axis] : [])));
  for (const axis of axes) {
    const parts = list.flatMap((c) =>
      c.part?.axis === axis
        ? [{ from: c.part.start, to: c.part.start + c.adjoint.type.shape[axis]!, adjoint: c.adjoint }]
        : [],
    );
    const cuts = [...new Set([0, shape[axis]!, ...parts.flatMap((p) => [p.from, p.to])])].sort(
      (a, b) => a - b,
    );
    const pieces = cuts.slice(1).map((to, i) => {
      const from = cuts[i]!;
      const over = parts.filter((p) => p.from <= from && p.to >= to);
      if (over.length === 0)
        return on.full(
          shape.map((d, k) => (k === axis ? to - from : d)),
          0,
        );
      return over
        .map((p) => on.slice(p.adjoint, axis, from - p.from, to - from))
        .reduce((a, b) => on.add(a, b));
    });
    include(on.concat(pieces, axis));
  }
  return total!;
}

/** Sums an adjoint over the axes that broadcasting added or stretched. */
function unbroadcast(on: Builder, adjoint: Value, shape: Shape): Value {
  const from = adjoint.type.shape;
  if (sameShape(from, shape)) return adjoint;
  const lead = from.length - shape.length;
  const axes = from.flatMap((d, i) => (i < lead || (shape[i - lead] === 1 && d !== 1) ? [i] : []));
  return on.reshape(on.sum(adjoint, axes), shape);
}

function reverseNode(
  on: Builder,
  node: Node,
  outputs: readonly (Value | null)[],
  active: ReadonlySet<Value>,
  primal: (value: Value) => Value,
  add: Add,
): void {
  const { op, inputs } = node;
  const [x, y] = inputs as [Value, Value];
  const z = outputs[0]!;
  const whole = (value: Value, adjoint: Value) => add(value, { adjoint, part: null });
  switch (op.kind) {
    case 'map': {
      const operands = inputs.map(primal);
      inputs.forEach((input, i) => {
        if (!active.has(input)) return;
        const slope = functions[op.fn].derivative(i, operands, primal(node.outputs[0]!), on);
        if (slope !== null) whole(input, unbroadcast(on, on.mul(z, slope), input.type.shape));
      });
      return;
    }
    case 'gemm': {
      const { transA, transB } = op;
      // C = op(A) op(B): with each operand's own layout kept, A' is C' op(B)^T and B' is op(A)^T C'.
      if (active.has(x))
        whole(
          x,
          transA
            ? on.gemm(primal(y), z, { transA: transB, transB: true })
            : on.gemm(z, primal(y), { transA: false, transB: !transB }),
        );
      if (active.has(y))
        whole(
          y,
          transB
            ? on.gemm(z, primal(x), { transA: true, transB: transA })
            : on.gemm(primal(x), z, { transA: !transA, transB: false }),
        );
      return;
    }
    case 'sum': {
      const kept = x.type.shape.map((d, i) => (op.axes.includes(i) ? 1 : d));
      whole(x, on.broadcast(on.reshape(z, kept), x.type.shape));
      return;
    }
    case 'reshape':
      whole(x, on.reshape(op.adjointLimit === undefined ? z : on.clamp(z, op.adjointLimit), x.type.shape));
      return;
    case 'broadcast':
      whole(x, unbroadcast(on, z, x.type.shape));
      return;
    case 'transpose':
      whole(
        x,
        on.transpose(
          z,
          op.permutation.map((_, i) => op.permutation.indexOf(i)),
        ),
      );
      return;
    case 'slice':
      add(x, { adjoint: z, part: { axis: op.axis, start: op.start } });
      return;
    case 'concat': {
      let start = 0;
      for (const input of inputs) {
        const size = input.type.shape[op.axis]!;
        whole(input, on.slice(z, op.axis, start, size));
        start += size;
      }
      return;
    }
    case 'gather':
      whole(x, on.scatterAdd(primal(y), z, x.type.shape[op.axis]!, op.axis));
      return;
    case 'scatterAdd':
      whole(y, on.gather(z, primal(x), op.axis));
      return;
    case 'softmax': {
      // math.md 1.1: p (p' - p.p')
      const p = primal(node.outputs[0]!);
      whole(x, on.mul(p, on.sub(z, rowSum(on, on.mul(p, z)))));
      return;
    }
    case 'softmaxCrossEntropy': {
      const [loss, grad] = outputs as [Value | null, Value | null];
      for (const input of inputs.slice(1))
        if (active.has(input))
          throw new KronogradError(
            'PROGRAM',
            'softmaxCrossEntropy has no derivative by its target or weight',
            {
              where: 'adjoint',
              fix: 'compose softmax, log and sum where a target or weight is learned',
            },
          );
      if (loss !== null) whole(x, on.mul(column(on, loss), primal(node.outputs[1]!)));
      if (grad !== null) whole(x, crossEntropyCurvature(on, inputs.map(primal), grad));
      return;
    }
    case 'input':
    case 'constant':
    case 'iota':
    case 'random':
    case 'scan':
      return;
  }
}

function reverseScan(
  on: Builder,
  node: Node,
  op: ScanOp,
  outputs: readonly (Value | null)[],
  active: ReadonlySet<Value>,
  add: Add,
): void {
  const within = dependentsInScan(
    op,
    node.inputs.map((v) => active.has(v)),
  );
  const primalInputs = bodyInputs(op);
  const { length, direction } = op;
  // What arrives from outside at the last carry, at each step's outputs, and through sums over the steps.
  const atFinal = new Map<number, Value>();
  const atStep: { output: number; stacked: Value }[] = [];
  const atSum: { output: number; adjoint: Value }[] = [];
  outputs.forEach((adjoint, i) => {
    if (adjoint === null) return;
    const port = op.ports[i]!;
    if (port.kind === 'final') atFinal.set(port.carry, adjoint);
    else if (port.kind === 'stack') atStep.push({ output: port.output, stacked: adjoint });
    else if (port.kind === 'sum') atSum.push({ output: port.output, adjoint });
    else {
      const first = direction === 1 ? 0 : length;
      const initial = node.inputs[op.constants + port.carry]!;
      add(initial, { adjoint: on.reshape(on.slice(adjoint, 0, first, 1), initial.type.shape), part: null });
      atStep.push({ output: port.carry, stacked: on.slice(adjoint, 0, direction === 1 ? 1 : 0, length) });
    }
  });
  // The carries whose adjoints travel: those the sources reach.
  const travelling = primalInputs.carries.flatMap((v, i) => (within.has(v) ? [i] : []));
  const carryOutputs = op.body.outputs.slice(0, op.carries);
  const initial = travelling.map((i) => atFinal.get(i) ?? on.full(carryOutputs[i]!.type.shape, 0));
  const wantedConstants = primalInputs.constants.filter((v) => within.has(v));
  const wantedXs = primalInputs.xs.filter((v) => within.has(v));
  const source = op.recompute ? on.scanAgain(node) : node;

  const result = on.scan(
    {
      length,
      direction: direction === 1 ? -1 : 1,
      constants: atSum.map((s) => s.adjoint),
      initial,
      xs: atStep.map((s) => s.stacked),
    },
    (inner, { constants, carries, xs }) => {
      const residuals = new Residuals(on, source, inner);
      const seeds: Seed[] = [
        ...travelling.map((carry, k) => ({ value: carryOutputs[carry]!, adjoint: carries[k]! })),
        ...atStep.map((s, k) => ({ value: op.body.outputs[s.output]!, adjoint: xs[k]! })),
        ...atSum.map((s, k) => ({ value: op.body.outputs[s.output]!, adjoint: constants[k]! })),
      ];
      const adjoints = reverse(inner, op.body.nodes, seeds, within, residuals.get);
      const of = (v: Value) => adjoints.get(v) ?? inner.full(v.type.shape, 0);
      return {
        carries: travelling.map((carry) => of(primalInputs.carries[carry]!)),
        stacks: wantedXs.map(of),
        sums: wantedConstants.map(of),
        captured: residuals,
      };
    },
  );
  travelling.forEach((carry, k) => {
    add(node.inputs[op.constants + carry]!, { adjoint: result.finals[k]!, part: null });
  });
  wantedXs.forEach((v, k) => {
    const input = node.inputs[op.constants + op.carries + primalInputs.xs.indexOf(v)]!;
    add(input, { adjoint: result.stacks[k]!, part: null });
  });
  wantedConstants.forEach((v, k) => {
    add(node.inputs[primalInputs.constants.indexOf(v)]!, { adjoint: result.sums[k]!, part: null });
  });
}
