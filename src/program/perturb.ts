/**
 * A weight's product opened up: behind a = W phi a program gains e, a = W phi + e. Derivatives by e are those by the
 * pre-activation a itself, at every step and sample, whatever the cell (math.md 1.2).
 */
import { KronogradError } from '../errors.js';
import type { Builder } from './builder.js';
import { bodyInputs, float, type Node, type ScanOp, sameShape, scanInputs, type Value } from './program.js';

export interface Perturbed {
  /** phi, what W is multiplied with: [..., n], or classes [...] that stand for one-hot vectors; time first. */
  readonly seen: Value;
  /** e, [..., m]: an input of the program, to be left at zero. */
  readonly perturbation: Value;
  /** The values asked for, as functions of e. */
  readonly of: Value[];
}

/**
 * Copies what depends on the one product W phi of a weight [m, n] and adds e to it; `name` is that of the input e. To
 * be called before any derivative is built.
 * @throws KronogradError OPTION where the program has not exactly one such product: W in slices, W tied, a bias
 */
export function perturb(on: Builder, weight: Value, of: readonly Value[], name: string): Perturbed {
  const nodes = [...on.nodes];
  const uses = usesOf(nodes, new Set([weight]));
  const { scan, product } = uses[0] ?? { scan: null, product: null };
  if (uses.length !== 1 || product === null)
    throw new KronogradError('OPTION', 'this parameter is no matrix with one product in the program', {
      where: name,
      fix: 'use the products of the whole block, which every parameter has',
    });
  const { shape } = product.outputs[0]!.type;
  const lead = scan === null ? [] : [(scan.op as ScanOp).length];
  const perturbation = on.input(name, float(...lead, ...shape));
  const copies = new Map<Value, Value>();
  const copied = (value: Value) => copies.get(value) ?? value;
  const set = (node: Node, values: readonly Value[]) => {
    node.outputs.forEach((v, i) => copies.set(v, values[i]!));
  };
  let seen = seenBy(product);
  for (const node of nodes) {
    if (node === product) set(node, [on.add(node.outputs[0]!, perturbation)]);
    else if (node === scan) {
      const opened = openScan(on, node, product, perturbation);
      set(node, opened.outputs);
      seen = opened.seen;
    } else if (node.inputs.some((v) => copies.has(v))) set(node, on.replay(node, node.inputs.map(copied)));
  }
  return { seen, perturbation, of: of.map(copied) };
}

/** Where a weight is read. */
interface Use {
  /** The scan in whose body that is; null: in none. */
  readonly scan: Node | null;
  /** The node, if it is the product W phi. */
  readonly product: Node | null;
}

/** Every use of a weight, given all its names: reshaped to the same matrix it is still itself. */
function usesOf(nodes: readonly Node[], weights: Set<Value>): Use[] {
  return nodes.flatMap((node): Use[] => {
    const { op, inputs, outputs } = node;
    if (!inputs.some((v) => weights.has(v))) return [];
    if (op.kind === 'scan') {
      const inside = op.body.inputs.filter((_, i) => weights.has(inputs[i]!));
      const isConstant = inside.every((v) => bodyInputs(op).constants.includes(v));
      if (!isConstant) return [{ scan: node, product: null }];
      return usesOf(op.body.nodes, new Set(inside)).map(({ product }) => ({ scan: node, product }));
    }
    // The filter of a window of one step is a matrix with an axis in front.
    if (op.kind === 'reshape' && sameShape(op.shape, inputs[0]!.type.shape.slice(-2))) {
      weights.add(outputs[0]!);
      return [];
    }
    const isLinear = op.kind === 'gemm' && op.transB && !op.transA;
    const isColumn = op.kind === 'gather' && op.axis === 1;
    const isProduct = (isLinear && inputs[0]!.type.shape.length === 2) || isColumn;
    return [{ scan: null, product: isProduct && !weights.has(seenBy(node)) ? node : null }];
  });
}

/** phi: of a gemm phi W' the first operand, of columns gathered from W the second. */
const seenBy = ({ op, inputs }: Node): Value => inputs[op.kind === 'gemm' ? 0 : 1]!;

/** The scan once more, its body with e[t] added to the product at each step. */
function openScan(on: Builder, node: Node, product: Node, perturbation: Value) {
  const op = node.op as ScanOp;
  const { constants, initial, xs } = scanInputs(node, op);
  const copies = new Map<Value, Value>();
  const copied = (value: Value) => copies.get(value)!;
  const stacked = op.ports.flatMap((port) => (port.kind === 'stack' ? [op.body.outputs[port.output]!] : []));
  const summed = op.ports.flatMap((port) => (port.kind === 'sum' ? [op.body.outputs[port.output]!] : []));
  const { length, direction } = op;
  const spec = { length, direction, constants, initial, xs: [...xs, perturbation] };
  const result = on.scan(spec, (body, inputs) => {
    const all = [...inputs.constants, ...inputs.carries, ...inputs.xs];
    op.body.inputs.forEach((v, i) => copies.set(v, all[i]!));
    for (const inner of op.body.nodes) {
      if (inner.op.kind === 'input') continue;
      const [first, ...rest] = body.replay(inner, inner.inputs.map(copied));
      const outputs = [inner === product ? body.add(first!, inputs.xs.at(-1)!) : first!, ...rest];
      inner.outputs.forEach((v, i) => copies.set(v, outputs[i]!));
    }
    return {
      carries: op.body.outputs.slice(0, op.carries).map(copied),
      stacks: stacked.map(copied),
      sums: summed.map(copied),
    };
  });
  let [stacks, sums] = [0, 0];
  const outputs = op.ports.map((port) => {
    if (port.kind === 'stack') return result.stacks[stacks++]!;
    if (port.kind === 'sum') return result.sums[sums++]!;
    return on.port(result.node, port);
  });
  return { outputs, seen: on.stackOf(result.node, copied(seenBy(product))) };
}
