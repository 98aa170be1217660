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
import { Directions } from './directions.js';
import { functions } from './functions.js';
import {
  bodyInputs,
  type Node,
  type ScanOp,
  type Shape,
  sameShape,
  typeText,
  type Value,
} from './program.js';
import { upstream } from './prune.js';
import { Residuals } from './residuals.js';
import { crossEntropyCurvature, rowSum } from './softmax.js';

/**
 * The Jacobian-vector product: for each of `of`, the derivative when every key of `along` moves with its tangent
 * (of the key's shape), built behind what the builder holds. Zero where nothing depends.
 *
 * Along k directions in one pass, for tangents [k, ...] of which every key has k: the derivatives are [k, ...] as well.
 * @throws KronogradError SHAPE for tangents that are neither
 */
export function tangent(on: Builder, of: readonly Value[], along: ReadonlyMap<Value, Value>): Value[] {
  const directions = directionsOf(along);
  const entries = [...along].map(([value, t]) => [value, directions.inward(on, t)] as const);
  // Nothing but what `of` needs: derivatives that the builder holds already are not derived again.
  const needed = upstream(on.nodes, of);
  const nodes = on.nodes.filter((node) => node.outputs.some((v) => needed.has(v)));
  const tangents = forward(on, nodes, new Map(entries), directions, (v) => v);
  return of.map((v) => directions.outward(on, tangents.get(v) ?? directions.zero(on, v)));
}

function directionsOf(along: ReadonlyMap<Value, Value>): Directions {
  if (along.size === 0) return new Directions(null);
  const counts = new Set([...along].map(([value, { type }]) => directionCount(value.type.shape, type.shape)));
  const [k] = counts;
  if (counts.size > 1 || k === undefined)
    throw new KronogradError('SHAPE', 'the tangents fit no number of directions', {
      where: [...along].map(([value, t]) => `${typeText(t.type)} for ${typeText(value.type)}`).join(', '),
      fix: 'give each value a tangent of its shape, or each k of them, [k, ...]',
    });
  return new Directions(k);
}

/** null for one direction, k for [k, ...shape], undefined for what is neither. */
function directionCount(shape: Shape, tangentShape: Shape): number | null | undefined {
  if (sameShape(shape, tangentShape)) return null;
  return sameShape(shape, tangentShape.slice(1)) ? tangentShape[0] : undefined;
}

type Tangents = Map<Value, Value>;

function forward(
  on: Builder,
  nodes: readonly Node[],
  along: ReadonlyMap<Value, Value>,
  directions: Directions,
  primal: (value: Value) => Value,
): Tangents {
  const tangents: Tangents = new Map(along);
  for (const node of nodes) {
    if (!node.inputs.some((v) => tangents.has(v))) continue;
    if (node.op.kind === 'scan') forwardScan(on, node, node.op, tangents, directions);
    else forwardNode(on, node, tangents, directions, primal);
  }
  return tangents;
}

function forwardNode(
  on: Builder,
  node: Node,
  tangents: Tangents,
  directions: Directions,
  primal: (value: Value) => Value,
): void {
  const { op, inputs } = node;
  const [x, y] = inputs as [Value, Value];
  const [dx, dy] = inputs.map((v) => tangents.get(v) ?? null) as [Value | null, Value | null];
  const out = node.outputs[0]!;
  const rank = x.type.shape.length;
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
        const aligned = directions.align(on, dot, input.type.shape.length, out.type.shape.length);
        const term = on.mul(aligned, directions.spread(on, slope));
        total = total === null ? term : on.add(total, term);
      });
      if (total !== null) set(on.broadcast(total, directions.shape(out.type.shape)));
      return;
    }
    case 'gemm': {
      const left = dx && directions.gemmLeft(on, dx, primal(y), op);
      const right = dy && directions.gemmRight(on, primal(x), dy, op);
      set(left && right ? on.add(left, right) : (left ?? right)!);
      return;
    }
    case 'sum':
      set(directions.sum(on, dx!, op.axes, rank));
      return;
    case 'reshape':
      set(directions.reshape(on, dx!, x.type.shape, op.shape));
      return;
    case 'broadcast':
      set(directions.broadcast(on, dx!, x.type.shape, op.shape));
      return;
    case 'transpose':
      set(directions.transpose(on, dx!, op.permutation));
      return;
    case 'slice':
      set(on.slice(dx!, directions.axis(op.axis, rank), op.start, op.size));
      return;
    case 'concat':
      set(
        on.concat(
          inputs.map((v) => tangents.get(v) ?? directions.zero(on, v)),
          directions.axis(op.axis, rank),
        ),
      );
      return;
    case 'gather':
      if (dx) set(directions.gather(on, dx, primal(y), op.axis));
      return;
    case 'scatterAdd':
      if (dy) set(directions.scatterAdd(on, primal(x), dy, op.size, op.axis));
      return;
    case 'softmax': {
      // math.md 1.1: p (R{o} - p.R{o})
      const p = directions.spread(on, primal(out));
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
      const moved = on.mul(directions.spread(on, primal(gradient)), dx!);
      set(directions.sum(on, moved, [rank - 1], rank));
      const spread = (v: Value) => directions.spread(on, v);
      tangents.set(gradient, crossEntropyCurvature(on, inputs.map(primal), dx!, spread));
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

function forwardScan(on: Builder, node: Node, op: ScanOp, tangents: Tangents, directions: Directions): void {
  const within = dependentsInScan(
    op,
    node.inputs.map((v) => tangents.has(v)),
  );
  const primalInputs = bodyInputs(op);
  const moving = (values: readonly Value[]) => values.filter((v) => within.has(v));
  const outer = (value: Value): Value => node.inputs[op.body.inputs.indexOf(value)]!;
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
      initial: carries.map((v) => tangents.get(outer(v)) ?? directions.zero(on, v)),
      xs: xs.map((v) => directions.toSteps(on, tangents.get(outer(v))!, v.type.shape.length)),
    },
    (inner, inputs) => {
      const residuals = new Residuals(on, node, inner);
      const along = new Map<Value, Value>();
      constants.forEach((v, i) => along.set(v, inputs.constants[i]!));
      carries.forEach((v, i) => along.set(v, inputs.carries[i]!));
      xs.forEach((v, i) => along.set(v, inputs.xs[i]!));
      const dots = forward(inner, op.body.nodes, along, directions, residuals.get);
      const of = (v: Value) => dots.get(v) ?? directions.zero(inner, v);
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
  const rankOf = (output: number) => op.body.outputs[output]!.type.shape.length;
  let stacks = 0;
  let sums = 0;
  for (const { port, value } of ports) {
    if (port.kind === 'stack')
      tangents.set(value, directions.fromSteps(on, result.stacks[stacks++]!, rankOf(port.output)));
    else if (port.kind === 'sum') tangents.set(value, result.sums[sums++]!);
    else {
      const carry = carries.indexOf(primalInputs.carries[port.carry]!);
      if (carry < 0) continue;
      if (port.kind === 'final') tangents.set(value, result.finals[carry]!);
      else {
        const history = on.port(result.node, { kind: 'history', carry });
        tangents.set(value, directions.fromSteps(on, history, rankOf(port.carry)));
      }
    }
  }
}
