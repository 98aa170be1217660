/** Builds programs: checks shapes, merges equal nodes, and simplifies what algebra makes plain. */
import { KronogradError } from '../errors.js';
import { requireNumber } from '../ranges.js';
import { type Algebra, type FunctionName, functions } from './functions.js';
import {
  bodyInputs,
  type Node,
  type Op,
  type Output,
  type Program,
  portType,
  type ScanOp,
  type ScanPort,
  type Shape,
  sameShape,
  scanInputs,
  sizeOf,
  type Type,
  typeText,
  type Value,
} from './program.js';
import { prune } from './prune.js';
import type { Captured, ScanResult, ScanSpec, StepInputs, StepOutputs } from './scan-spec.js';
import { inferTypes } from './shapes.js';

export class Builder implements Algebra<Value> {
  readonly nodes: Node[] = [];
  readonly #inputs: { name: string; value: Value }[] = [];
  readonly #known = new Map<string, Node>();
  readonly #ids = new Map<Value, number>();

  /** A named input. Names are unique. */
  input(name: string, type: Type): Value {
    if (this.#inputs.some((input) => input.name === name))
      throw new KronogradError('PROGRAM', `the input '${name}' is declared twice`, { where: name });
    const value = this.#add({ kind: 'input', name }, [], [type]).outputs[0]!;
    this.#inputs.push({ name, value });
    return value;
  }

  constant(value: number): Value {
    return this.#node({ kind: 'constant', value }, []);
  }

  /** The constant `value` in every element. */
  full(shape: Shape, value: number): Value {
    return this.broadcast(this.constant(value), shape);
  }

  iota(shape: Shape, axis: number): Value {
    return this.#node({ kind: 'iota', shape, axis }, []);
  }

  random(key: Value, shape: Shape, stream: number): Value {
    return this.#node({ kind: 'random', shape, stream }, [key]);
  }

  /** A pointwise function by name; operands broadcast. */
  call(fn: FunctionName, ...x: Value[]): Value {
    const c = x.map(constantOf);
    if (
      fn !== 'half' &&
      c.every((v) => v !== null) &&
      x.every((v) => sizeOf(v.type.shape) === 1 && v.type.shape.length === 0)
    )
      return this.constant(functions[fn].evaluate(...(c as number[])));
    const [a, b] = x as [Value, Value];
    // x op neutral element: the other operand, if it has the shape of the result.
    const keeps = (kept: Value, other: Value) =>
      other.type.shape.length <= kept.type.shape.length &&
      other.type.shape.every(
        (d, i) => d === 1 || d === kept.type.shape[kept.type.shape.length - other.type.shape.length + i],
      );
    if ((fn === 'add' || fn === 'sub') && c[1] === 0 && keeps(a, b)) return a;
    if (fn === 'add' && c[0] === 0 && keeps(b, a)) return b;
    if (fn === 'sub' && c[0] === 0 && keeps(b, a)) return this.call('neg', b);
    if ((fn === 'mul' || fn === 'div') && c[1] === 1 && keeps(a, b)) return a;
    if (fn === 'mul' && c[0] === 1 && keeps(b, a)) return b;
    if (fn === 'mul' && c[1] === -1 && keeps(a, b)) return this.call('neg', a);
    if (fn === 'mul' && c[0] === -1 && keeps(b, a)) return this.call('neg', b);
    if (fn === 'neg' && a.node.op.kind === 'map' && a.node.op.fn === 'neg') return a.node.inputs[0]!;
    if (fn === 'half' && a.type.dtype === 'half') return a;
    return this.#node({ kind: 'map', fn }, x);
  }

  add(a: Value, b: Value): Value {
    return this.call('add', a, b);
  }

  sub(a: Value, b: Value): Value {
    return this.call('sub', a, b);
  }

  mul(a: Value, b: Value): Value {
    return this.call('mul', a, b);
  }

  /** Each element limited to -limit .. limit. */
  clamp(x: Value, limit: number): Value {
    return this.call('max', this.constant(-limit), this.call('min', this.constant(limit), x));
  }

  /** [m,k] x [k,n], or the same in batches; a flag says that an operand is stored transposed. */
  gemm(a: Value, b: Value, { transA = false, transB = false } = {}): Value {
    return this.#node({ kind: 'gemm', transA, transB }, [a, b]);
  }

  /** x W' for x [..., n] and W [m, n] (math.md 0.1): [..., m]. */
  linear(x: Value, weight: Value): Value {
    const lead = x.type.shape.slice(0, -1);
    const rows = this.reshape(x, [sizeOf(lead), x.type.shape[lead.length] ?? 1]);
    return this.reshape(this.gemm(rows, weight, { transB: true }), [...lead, weight.type.shape[0]!]);
  }

  sum(x: Value, axes: readonly number[]): Value {
    if (axes.length === 0) return x;
    return this.#node({ kind: 'sum', axes: [...axes].sort((a, b) => a - b) }, [x]);
  }

  /** The sum of all elements, of shape []. */
  sumAll(x: Value): Value {
    return this.sum(
      x,
      x.type.shape.map((_, axis) => axis),
    );
  }

  reshape(x: Value, shape: Shape): Value {
    if (sameShape(x.type.shape, shape)) return x;
    const { op, inputs } = x.node;
    if (op.kind === 'reshape' && op.adjointLimit === undefined) return this.reshape(inputs[0]!, shape);
    return this.#node({ kind: 'reshape', shape: [...shape] }, [x]);
  }

  /**
   * x, whose adjoint is limited to -limit .. limit in each element: clipping of derivatives inside BPTT. Its tangent is
   * x's own. What the adjoint gives is then the derivative of nothing, and its tangent, a Hessian-vector product
   * otherwise, is that of the limited derivative: 0 where it is clipped.
   * @throws KronogradError OPTION unless the limit is above 0.
   */
  clipAdjoint(x: Value, limit: number): Value {
    requireNumber(limit, 'limit', { above: 0 });
    return this.#node({ kind: 'reshape', shape: x.type.shape, adjointLimit: limit }, [x]);
  }

  broadcast(x: Value, shape: Shape): Value {
    if (sameShape(x.type.shape, shape)) return x;
    return this.#node({ kind: 'broadcast', shape: [...shape] }, [x]);
  }

  transpose(x: Value, permutation: readonly number[]): Value {
    if (permutation.every((p, i) => p === i)) return x;
    const { op, inputs } = x.node;
    if (op.kind === 'transpose')
      return this.transpose(
        inputs[0]!,
        permutation.map((p) => op.permutation[p]!),
      );
    return this.#node({ kind: 'transpose', permutation: [...permutation] }, [x]);
  }

  /** Elements start..start+size of one axis. */
  slice(x: Value, axis: number, start: number, size: number): Value {
    if (start === 0 && size === x.type.shape[axis]) return x;
    const { op, inputs } = x.node;
    if (op.kind === 'slice' && op.axis === axis) return this.slice(inputs[0]!, axis, op.start + start, size);
    return this.#node({ kind: 'slice', axis, start, size }, [x]);
  }

  /** Equal parts of one axis: the gates of a cell. */
  split(x: Value, axis: number, parts: number): Value[] {
    const size = x.type.shape[axis]! / parts;
    return Array.from({ length: parts }, (_, i) => this.slice(x, axis, i * size, size));
  }

  concat(parts: readonly Value[], axis: number): Value {
    if (parts.length === 1) return parts[0]!;
    return this.#node({ kind: 'concat', axis }, parts);
  }

  gather(table: Value, ids: Value, axis: 0 | 1 = 0): Value {
    return this.#node({ kind: 'gather', axis }, [table, ids]);
  }

  scatterAdd(ids: Value, values: Value, size: number, axis: 0 | 1 = 0): Value {
    return this.#node({ kind: 'scatterAdd', axis, size }, [ids, values]);
  }

  softmax(x: Value): Value {
    return this.#node({ kind: 'softmax' }, [x]);
  }

  /** The weighted loss of each row, of the shape of `weight`, and its gradient by the logits. */
  softmaxCrossEntropy(logits: Value, target: Value, weight: Value): { loss: Value; gradient: Value } {
    const [loss, gradient] = this.#shared({ kind: 'softmaxCrossEntropy' }, [logits, target, weight]).outputs;
    return { loss: loss!, gradient: gradient! };
  }

  /**
   * Runs a step over time. The step is built once, by the callback, in a builder of its own.
   * @throws KronogradError SHAPE when a carry changes its type or an x is not [length, ...].
   */
  scan(spec: ScanSpec, step: (body: Builder, inputs: StepInputs) => StepOutputs): ScanResult {
    const { length, direction = 1, constants, initial, xs, recompute = false } = spec;
    for (const x of xs)
      if (x.type.shape[0] !== length)
        throw new KronogradError('SHAPE', `scan over ${length} steps was given ${typeText(x.type)}`, {
          where: 'scan',
        });
    const body = new Builder();
    const inputs = {
      constants: constants.map((v, i) => body.input(`constant${i}`, v.type)),
      carries: initial.map((v, i) => body.input(`carry${i}`, v.type)),
      xs: xs.map((v, i) => body.input(`x${i}`, { dtype: v.type.dtype, shape: v.type.shape.slice(1) })),
    };
    const result = step(body, inputs);
    result.carries.forEach((value, i) => {
      const before = initial[i];
      const isWider = before?.type.dtype === 'half' && value.type.dtype !== 'half';
      if (before === undefined || isWider || !sameShape(value.type.shape, before.type.shape))
        throw new KronogradError(
          'SHAPE',
          `carry ${i} enters a step as ${before ? typeText(before.type) : 'nothing'} and leaves it as ${typeText(value.type)}`,
          { where: 'scan', fix: 'a state keeps its type from step to step' },
        );
    });
    const allConstants = [...zip(constants, inputs.constants), ...(result.captured?.constants ?? [])];
    const allXs = [...zip(xs, inputs.xs), ...(result.captured?.xs ?? [])];
    const op: ScanOp = {
      kind: 'scan',
      length,
      direction,
      constants: allConstants.length,
      carries: initial.length,
      body: {
        inputs: [...allConstants.map((c) => c.inner), ...inputs.carries, ...allXs.map((x) => x.inner)],
        nodes: body.nodes,
        outputs: [...result.carries],
      },
      recompute,
      ports: [],
    };
    const outer = [...allConstants.map((c) => c.outer), ...initial, ...allXs.map((x) => x.outer)];
    const node = this.#add(op, outer, []);
    return {
      node,
      finals: initial.map((_, carry) => this.port(node, { kind: 'final', carry })),
      stacks: (result.stacks ?? []).map((value) => this.stackOf(node, value)),
      sums: (result.sums ?? []).map((value) =>
        this.port(node, { kind: 'sum', output: bodyOutput(op, value) }),
      ),
    };
  }

  /** An output of a scan, asked for now or before. */
  port(node: Node, port: ScanPort): Value {
    const op = node.op as ScanOp;
    const known = op.ports.findIndex((p) => JSON.stringify(p) === JSON.stringify(port));
    if (known >= 0) return node.outputs[known]!;
    const value: Value = { type: portType(op, port), node, port: op.ports.length };
    op.ports.push(port);
    (node.outputs as Value[]).push(value);
    return value;
  }

  /** [length, ...]: a value of a scan's body at each step; its xs and carries are found, not stored again. */
  stackOf(node: Node, value: Value): Value {
    const op = node.op as ScanOp;
    const { carries, xs } = bodyInputs(op);
    const x = xs.indexOf(value);
    if (x >= 0) return node.inputs[op.constants + op.carries + x]!;
    const carry = carries.indexOf(value);
    if (carry >= 0) {
      // A forward step t starts from slot t, a backward one from slot t + 1.
      const history = this.port(node, { kind: 'history', carry });
      return this.slice(history, 0, op.direction === 1 ? 0 : 1, op.length);
    }
    return this.port(node, { kind: 'stack', output: bodyOutput(op, value) });
  }

  /** A copy of a node of another builder, on values of this one. A scan's copy can grow ports of its own. */
  replay(node: Node, inputs: readonly Value[]): readonly Value[] {
    const { op } = node;
    if (op.kind === 'input') throw new Error('inputs are declared, not replayed');
    if (op.kind !== 'scan') return this.#shared(op, inputs).outputs;
    const body = { ...op.body, outputs: [...op.body.outputs] };
    return this.#add(
      { ...op, body, ports: [...op.ports] },
      inputs,
      node.outputs.map((o) => o.type),
    ).outputs;
  }

  /** A scan once more, with nothing in common with the first but what it is given: what that stored is not needed. */
  scanAgain(node: Node): Node {
    const op = node.op as ScanOp;
    const { constants, initial, xs } = scanInputs(node, op);
    const body = { ...op.body, outputs: op.body.outputs.slice(0, op.carries) };
    // A whole slice is another value to whatever is computed from it before the loop.
    const distinct = (x: Value) =>
      this.#node({ kind: 'slice', axis: 0, start: 0, size: x.type.shape[0]! }, [x]);
    return this.#add({ ...op, body, ports: [] }, [...constants, ...initial, ...xs.map(distinct)], []);
  }

  /** The program that computes the outputs, and nothing else. Unused inputs stay, so that binding stays stable. */
  build(
    outputs: Readonly<Record<string, Value | { readonly value: Value; readonly updates: string }>>,
  ): Program {
    const list: Output[] = Object.entries(outputs).map(([name, output]) =>
      'updates' in output
        ? { name, value: output.value, updates: output.updates }
        : { name, value: output, updates: null },
    );
    for (const { name, value, updates } of list) {
      if (updates !== name && this.#inputs.some((i) => i.name === name))
        throw new KronogradError(
          'PROGRAM',
          `'${name}' names both an input and an output that does not update it`,
          {
            where: name,
            fix: 'give the output a name of its own',
          },
        );
      if (updates === null) continue;
      const input = this.#inputs.find((i) => i.name === updates);
      if (input === undefined || !sameShape(input.value.type.shape, value.type.shape))
        throw new KronogradError(
          'PROGRAM',
          `output '${name}' ${typeText(value.type)} cannot update input '${updates}' ${input ? typeText(input.value.type) : '(there is none)'}`,
          { where: name },
        );
    }
    return prune({ inputs: this.#inputs, nodes: this.nodes, outputs: list });
  }

  #node(op: Exclude<Op, { kind: 'input' | 'scan' }>, inputs: readonly Value[]): Value {
    return this.#shared(op, inputs).outputs[0]!;
  }

  /** The node for an operation on values: the one that is there, or a new one. */
  #shared(op: Exclude<Op, { kind: 'input' | 'scan' }>, inputs: readonly Value[]): Node {
    const key = `${JSON.stringify(op)}|${inputs.map((v) => this.#idOf(v)).join(',')}`;
    let node = this.#known.get(key);
    if (node === undefined) {
      node = this.#add(
        op,
        inputs,
        inferTypes(
          op,
          inputs.map((v) => v.type),
        ),
      );
      this.#known.set(key, node);
    }
    return node;
  }

  #idOf(value: Value): number {
    let id = this.#ids.get(value);
    if (id === undefined) this.#ids.set(value, (id = this.#ids.size));
    return id;
  }

  #add(op: Op, inputs: readonly Value[], types: readonly Type[]): Node {
    const outputs: Value[] = [];
    const node: Node = { id: this.nodes.length, op, inputs, outputs };
    types.forEach((type, port) => {
      outputs.push({ type, node, port });
    });
    this.nodes.push(node);
    return node;
  }
}

const zip = (outer: readonly Value[], inner: readonly Value[]): Captured[] =>
  outer.map((value, i) => ({ outer: value, inner: inner[i]! }));

/** The body output that carries a value, added if need be. */
function bodyOutput(op: ScanOp, value: Value): number {
  const known = op.body.outputs.indexOf(value);
  return known >= 0 ? known : op.body.outputs.push(value) - 1;
}

/** The number that every element of a value is, if that is plain to see. */
function constantOf(value: Value): number | null {
  const { op, inputs } = value.node;
  if (op.kind === 'constant') return op.value;
  if (op.kind === 'broadcast' || op.kind === 'reshape') return constantOf(inputs[0]!);
  return null;
}
