/**
 * Forward mode: the tangent of every primitive, the papers' R-operator (math.md 1.1). Applied behind `adjoint`
 * it gives exact Hessian-vector products: R of each gradient.
 *
 * The tangent of a scan is a second scan beside it that reads the values of the first, so a product shares the
 * forward and backward passes with the gradient.
 */
import { KronogradError } from '../errors.js';
import type { Builder } from './builder.js';
import { dependentsInScan } from './dependence.js';
import { functions } from './functions.js';
import { bodyInputs, type Node, type ScanOp, type Value } from './program.js';
import { Residuals } from './residuals.js';
import { crossEntropyCurvature, rowSum } from './softmax.js';

/**
 * The Jacobian-vector product: for each of `of`, the derivative when every key of `along` moves with its tangent
 * (of the key's shape), built behind what the builder holds. Zero where nothing depends.
 */
export function tangent(on: Builder, of: readonly Value[], along: ReadonlyMap<Value, Value>): Value[] {
  const tangents = forward(on, [...on.nodes], along, (v) => v);
  return of.map((v) => tangents.get(v) ?? on.full(v.type.shape, 0));
}

type Tangents = Map<Value, Value>;

function forward(
  on: Builder,
  nodes: readonly Node[],
  along: ReadonlyMap<Value, Value>,
  primal: (value: Value) => Value,
): Tangents {
  const tangents: Tangents = new Map(along);
  for (const node of nodes) {
    if (!node.inputs.some((v) => tangents.has(v))) continue;
    if (node.op.kind === 'scan') forwardScan(on, node, node.op, tangents);
    else forwardNode(on, node, tangents, primal);
  }
  return tangents;
}

function forwardNode(on: Builder, node: Node, tangents: Tangents, primal: (value: Value) => Value): void {
  const { op, inputs } = node;
  const [x, y] = inputs as [Value, Value];
  const [dx, dy] = inputs.map((v) => tangents.get(v) ?? null) as [Value | null, Value | null];
  const out = node.outputs[0]!;
  const set = (value: Value) => tangents.set(out, value);
  switch (op.kind) {
    case 'map': {
      const operands = inputs.map(primal);
      let total: Value | null = null;
      inputs.forEach((input, i) => {
        const dot = tangents.get(input);
        if (dot === undefined) return;
        const slope = functions[op.fn].derivative(i, operands, primal(out), on);
        if (slope === null) return;
        const term = on.mul(dot, slope);
        total = total === null ? term : on.add(total, term);
      });
      if (total !== null) set(on.broadcast(total, out.type.shape));
      return;
    }
    case 'gemm': {
      const left = dx && on.gemm(dx, primal(y), op);
      const right = dy && on.gemm(primal(x), dy, op);
      set(left && right ? on.add(left, right) : (left ?? right)!);
      return;
    }
    case 'sum':
      set(on.sum(dx!, op.axes));
      return;
    case 'reshape':
      set(on.reshape(dx!, op.shape));
      return;
    case 'broadcast':
      set(on.broadcast(dx!, op.shape));
      return;
    case 'transpose':
      set(on.transpose(dx!, op.permutation));
      return;
    case 'slice':
      set(on.slice(dx!, op.axis, op.start, op.size));
      return;
    case 'concat':
      set(
        on.concat(
          inputs.map((v) => tangents.get(v) ?? on.full(v.type.shape, 0)),
          op.axis,
        ),
      );
      return;
    case 'gather':
      if (dx) set(on.gather(dx, primal(y), op.axis));
      return;
    case 'scatterAdd':
      if (dy) set(on.scatterAdd(primal(x), dy, op.size, op.axis));
      return;
    case 'softmax': {
      // math.md 1.1: p (R{o} - p.R{o})
      const p = primal(out);
      set(on.mul(p, on.sub(dx!, rowSum(on, on.mul(p, dx!)))));
      return;
    }
    case 'softmaxCrossEntropy': {
      if (inputs.slice(1).some((v) => tangents.has(v)))
        throw new KronogradError('PROGRAM', 'softmaxCrossEntropy has no derivative by its target or weight', {
          where: 'tangent',
          fix: 'compose softmax, log and sum where a target or weight moves',
        });
      const gradient = node.outputs[1]!;
      set(on.sum(on.mul(primal(gradient), dx!), [x.type.shape.length - 1]));
      tangents.set(gradient, crossEntropyCurvature(on, inputs.map(primal), dx!));
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

function forwardScan(on: Builder, node: Node, op: ScanOp, tangents: Tangents): void {
  const within = dependentsInScan(
    op,
    node.inputs.map((v) => tangents.has(v)),
  );
  const primalInputs = bodyInputs(op);
  const moving = (values: readonly Value[]) => values.filter((v) => within.has(v));
  const outer = (value: Value): Value => node.inputs[op.body.inputs.indexOf(value)]!;
  const zero = (value: Value) => on.full(value.type.shape, 0);
  const constants = moving(primalInputs.constants);
  const carries = moving(primalInputs.carries);
  const xs = moving(primalInputs.xs);
  const ports = op.ports.map((port, i) => ({ port, value: node.outputs[i]! }));
  // A carry that moves only because the step makes it move starts from a tangent of zero.
  const result = on.scan(
    {
      length: op.length,
      direction: op.direction,
      constants: constants.map((v) => tangents.get(outer(v))!),
      initial: carries.map((v) => tangents.get(outer(v)) ?? zero(v)),
      xs: xs.map((v) => tangents.get(outer(v))!),
    },
    (inner, inputs) => {
      const residuals = new Residuals(on, node, inner);
      const along = new Map<Value, Value>();
      constants.forEach((v, i) => along.set(v, inputs.constants[i]!));
      carries.forEach((v, i) => along.set(v, inputs.carries[i]!));
      xs.forEach((v, i) => along.set(v, inputs.xs[i]!));
      const dots = forward(inner, op.body.nodes, along, residuals.get);
      const of = (v: Value) => dots.get(v) ?? inner.full(v.type.shape, 0);
      return {
        carries: carries.map((v) => of(op.body.outputs[primalInputs.carries.indexOf(v)]!)),
        stacks: ports.flatMap(({ port }) =>
          port.kind === 'stack' ? [of(op.body.outputs[port.output]!)] : [],
        ),
        sums: ports.flatMap(({ port }) => (port.kind === 'sum' ? [of(op.body.outputs[port.output]!)] : [])),
        captured: residuals,
      };
    },
  );
  let stacks = 0;
  let sums = 0;
  for (const { port, value } of ports) {
    if (port.kind === 'stack') tangents.set(value, result.stacks[stacks++]!);
    else if (port.kind === 'sum') tangents.set(value, result.sums[sums++]!);
    else {
      const carry = carries.indexOf(primalInputs.carries[port.carry]!);
      if (carry < 0) continue;
      tangents.set(
        value,
        port.kind === 'final' ? result.finals[carry]! : on.port(result.node, { kind: 'history', carry }),
      );
    }
  }
}
