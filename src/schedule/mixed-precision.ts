/**
 * Mixed precision (Micikevicius et al. 2018): products of 16-bit floats, added up in float32. Every operand of a
 * product becomes a half where it is made, so that whatever reads it reads the same number and rounding takes no pass over
 * memory: h at the end of its cell's step, the adjoints of gates on their way into the matrix where they meet. What a loop keeps
 * of its steps for another one becomes halves as well, the carried state aside: memory and traffic of BPTT halve.
 *
 * All arithmetic stays in float32, and so does what is added up over steps: the cell state, sums, losses, gradients
 * of parameters. Inputs keep their types: parameters are rounded once a run, all at once.
 */
import { Builder } from '../program/builder.js';
import {
  bodyInputs,
  isColumn,
  type Node,
  type Program,
  type ScanOp,
  type ScanPort,
  scanInputs,
  type Value,
} from '../program/program.js';
import { distribute } from './distribute.js';

/**
 * The program in mixed precision, with the inputs that it has; an output that enters a product is of halves, unless it
 * updates an input. Its loops are distributed: then whatever they keep of their steps enters or leaves them. To be
 * done after derivatives were taken.
 */
export function mixedPrecision(given: Program): Program {
  const program = distribute(given);
  const on = new Builder();
  const halves = new Halves(program);
  const moved = new Map<Value, Value>();
  for (const { name, value } of program.inputs) moved.set(value, on.input(name, value.type));
  halves.rebuild(on, program.nodes, moved);
  return on.build(
    Object.fromEntries(
      program.outputs.map(({ name, value, updates }) => [
        name,
        updates === null ? moved.get(value)! : { value: moved.get(value)!, updates },
      ]),
    ),
  );
}

const VIEWS: ReadonlySet<string> = new Set(['reshape', 'slice', 'transpose', 'broadcast']);
/** What a rounding can be fused with. */
const FUSED: ReadonlySet<string> = new Set(['map', 'gemm', 'gather', 'concat']);
/** What is there, or written as a number: rounded by whoever wants it so. */
const GIVEN: ReadonlySet<string> = new Set(['input', 'constant']);

const behindViews = (value: Value): Value => {
  let at = value;
  while (VIEWS.has(at.node.op.kind)) at = at.node.inputs[0]!;
  return at;
};

/** Which values of a program are to be halves. */
class Halves {
  readonly #wanted = new Set<Value>();
  /** The scan of whose body a value is an input. */
  readonly #scans = new Map<Value, Node>();
  /** The carries that a value is the next of. */
  readonly #carries = new Map<Value, { readonly op: ScanOp; readonly carry: number }[]>();

  constructor({ nodes }: Program) {
    this.#enter(nodes);
    this.#visit(nodes);
  }

  #enter(nodes: readonly Node[]): void {
    for (const node of nodes) {
      const { op } = node;
      if (op.kind !== 'scan') continue;
      for (const value of op.body.inputs) this.#scans.set(value, node);
      op.body.outputs.slice(0, op.carries).forEach((value, carry) => {
        this.#carries.set(value, [...(this.#carries.get(value) ?? []), { op, carry }]);
      });
      this.#enter(op.body.nodes);
    }
  }

  #visit(nodes: readonly Node[]): void {
    for (const { op, inputs } of nodes) {
      if (op.kind === 'gemm') for (const operand of inputs) this.#want(operand);
      if (op.kind !== 'scan') continue;
      this.#visit(op.body.nodes);
      for (const port of op.ports) if (port.kind === 'stack') this.#keep(op.body.outputs[port.output]!, 2);
      for (const x of inputs.slice(op.constants + op.carries)) this.#keep(x, 3);
    }
  }

  /** What is kept of each step. One number for a row is little, and may be what the whole row is scaled by. */
  #keep(value: Value, rank: number): void {
    const base = behindViews(value);
    const isSmall = isColumn(value) || value.type.shape.length < rank;
    if (!isSmall && !this.#carries.has(base) && FUSED.has(base.node.op.kind)) this.#want(value);
  }

  #want(value: Value): void {
    if (this.#wanted.has(value)) return;
    this.#wanted.add(value);
    for (const { op, carry } of this.#carries.get(value) ?? []) this.#want(bodyInputs(op).carries[carry]!);
    const { op } = value.node;
    const scan = this.#scans.get(value);
    if (scan !== undefined) this.#wantGiven(scan, scan.op as ScanOp, value);
    else if (op.kind === 'scan') {
      const port = op.ports[value.port]!;
      if (port.kind !== 'sum') this.#want(op.body.outputs['carry' in port ? port.carry : port.output]!);
    } else for (const { input, isGiven } of this.#sourcesOf(value)) if (!isGiven) this.#want(input);
  }

  /** What an input of a body stands for. A carry's first value is rounded on its way into its place. */
  #wantGiven(scan: Node, op: ScanOp, value: Value): void {
    const index = op.body.inputs.indexOf(value);
    const carry = index - op.constants;
    const isCarry = carry >= 0 && carry < op.carries;
    this.#want(isCarry ? op.body.outputs[carry]! : scan.inputs[index]!);
  }

  /** The inputs that make a value a half if they are. What a concat is given is rounded on its way into its place. */
  #sourcesOf({ node: { op, inputs } }: Value): { readonly input: Value; readonly isGiven: boolean }[] {
    const picks = VIEWS.has(op.kind) || op.kind === 'gather';
    const sources = op.kind === 'concat' ? inputs : picks ? inputs.slice(0, 1) : [];
    return sources.map((input) => {
      const base = behindViews(input);
      const isOutside = GIVEN.has(base.node.op.kind) && !this.#scans.has(base);
      return { input, isGiven: op.kind === 'concat' && isOutside };
    });
  }

  /** Builds the nodes again. `moved` holds what they read, and receives what they compute. */
  rebuild(on: Builder, nodes: readonly Node[], moved: Map<Value, Value>): void {
    const get = (value: Value): Value => moved.get(value)!;
    for (const node of nodes) {
      const { op, inputs, outputs } = node;
      if (op.kind === 'input') continue;
      const sources =
        op.kind === 'gemm'
          ? inputs
          : outputs.some((v) => this.#wanted.has(v))
            ? this.#sourcesOf(outputs[0]!).map(({ input }) => input)
            : [];
      const results =
        op.kind === 'scan'
          ? this.#rebuildScan(on, node, op, moved)
          : on.replay(
              node,
              inputs.map((v) => (sources.includes(v) ? on.call('half', get(v)) : get(v))),
            );
      outputs.forEach((v, i) => {
        const isRounded = this.#wanted.has(v) && !GIVEN.has(op.kind);
        moved.set(v, isRounded ? on.call('half', results[i]!) : results[i]!);
      });
    }
  }

  #rebuildScan(on: Builder, node: Node, op: ScanOp, moved: Map<Value, Value>): Value[] {
    const inside = bodyInputs(op);
    const given = scanInputs(node, op);
    const get = (value: Value): Value => moved.get(value)!;
    const typed = (outer: readonly Value[], inner: readonly Value[]) =>
      outer.map((v, i) => (this.#wanted.has(inner[i]!) ? on.call('half', get(v)) : get(v)));
    const { length, direction, recompute } = op;
    const scan = on.scan(
      {
        ...{ length, direction, recompute },
        constants: typed(given.constants, inside.constants),
        initial: typed(given.initial, inside.carries),
        xs: typed(given.xs, inside.xs),
      },
      (body, { constants, carries, xs }) => {
        [...constants, ...carries, ...xs].forEach((v, i) => moved.set(op.body.inputs[i]!, v));
        this.rebuild(body, op.body.nodes, moved);
        const output = (port: ScanPort) => ('output' in port ? [get(op.body.outputs[port.output]!)] : []);
        return {
          carries: op.body.outputs.slice(0, op.carries).map(get),
          sums: op.ports.flatMap((port) => (port.kind === 'sum' ? output(port) : [])),
        };
      },
    );
    const sums = [...scan.sums];
    return op.ports.map((port) => {
      if (port.kind === 'sum') return sums.shift()!;
      return port.kind === 'stack'
        ? on.stackOf(scan.node, get(op.body.outputs[port.output]!))
        : on.port(scan.node, port);
    });
  }
}
