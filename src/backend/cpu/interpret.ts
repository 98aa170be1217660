/**
 * The oracle: a program run node by node in float64, each primitive by its definition. Plain on purpose. It shares
 * nothing with the scheduler and the kernels that are checked against it.
 */
import { functions } from '../../program/functions.js';
import {
  type Node,
  type Op,
  type Program,
  type ScanOp,
  type Shape,
  sizeOf,
  type Value,
} from '../../program/program.js';
import { threefry2x32 } from '../../program/threefry.js';

export type Data = Float64Array | Int32Array;

/**
 * Runs a program on its inputs by name; gives its outputs by name. Inputs are not changed. With `round`, every
 * element of every result goes through it: Math.fround tells what float32 alone does to a quantity.
 */
export function interpret(
  program: Program,
  inputs: Readonly<Record<string, Data>>,
  round: ((x: number) => number) | null = null,
): Record<string, Data> {
  const values = new Map<Value, Data>();
  for (const { name, value } of program.inputs) values.set(value, inputs[name]!);
  runNodes(program.nodes, values, 0, round);
  return Object.fromEntries(program.outputs.map(({ name, value }) => [name, values.get(value)!.slice()]));
}

type Round = ((x: number) => number) | null;

function runNodes(nodes: readonly Node[], values: Map<Value, Data>, t: number, round: Round): void {
  for (const node of nodes) {
    if (node.op.kind === 'input') continue;
    const inputs = node.inputs.map((v) => values.get(v)!);
    const results =
      node.op.kind === 'scan' ? runScan(node, node.op, inputs, round) : runNode(node, node.op, inputs, t);
    if (round !== null)
      for (const data of results)
        if (data instanceof Float64Array) data.forEach((x, i) => (data[i] = round(x)));
    results.forEach((data, port) => values.set(node.outputs[port]!, data));
  }
}

function runNode(
  node: Node,
  op: Exclude<Op, { kind: 'input' | 'scan' }>,
  inputs: readonly Data[],
  t: number,
): Data[] {
  const shapes = node.inputs.map((v) => v.type.shape);
  const { dtype, shape } = node.outputs[0]!.type;
  const size = sizeOf(shape);
  const [x, y, z] = inputs as [Data, Data, Data];
  const fresh = (): Data => (dtype === 'int' ? new Int32Array(size) : new Float64Array(size));
  switch (op.kind) {
    case 'constant':
      return [Float64Array.of(op.value)];
    case 'iota': {
      const out = fresh();
      eachIndex(shape, (i, index) => (out[i] = index[op.axis]!));
      return [out];
    }
    case 'random': {
      // In a scan the counter goes on from step to step, so that lifting a step over time changes nothing.
      const out = fresh();
      for (let i = 0; i < size; i++)
        out[i] = (threefry2x32(x[0]!, x[1]!, t * size + i, op.stream)[0] >>> 8) * 2 ** -24;
      return [out];
    }
    case 'map': {
      const out = fresh();
      const offsets = shapes.map((s) => broadcastOffsets(s, shape));
      const { evaluate } = functions[op.fn];
      for (let i = 0; i < size; i++) out[i] = evaluate(...inputs.map((data, k) => data[offsets[k]![i]!]!));
      return [out];
    }
    case 'gemm':
      return [gemm(op, x, y, shapes[0]!, shape)];
    case 'sum': {
      const out = fresh();
      const kept = shapes[0]!.map((_, i) => i).filter((i) => !op.axes.includes(i));
      eachIndex(
        shapes[0]!,
        (i, index) =>
          (out[
            flat(
              shape,
              kept.map((k) => index[k]!),
            )
          ]! += x[i]!),
      );
      return [out];
    }
    case 'reshape':
      return [x.slice()];
    case 'broadcast': {
      const out = fresh();
      broadcastOffsets(shapes[0]!, shape).forEach((from, i) => (out[i] = x[from]!));
      return [out];
    }
    case 'transpose': {
      const out = fresh();
      eachIndex(
        shapes[0]!,
        (i, index) =>
          (out[
            flat(
              shape,
              op.permutation.map((p) => index[p]!),
            )
          ] = x[i]!),
      );
      return [out];
    }
    case 'slice': {
      const out = fresh();
      eachIndex(shape, (i, index) => {
        out[i] =
          x[
            flat(
              shapes[0]!,
              index.map((d, k) => (k === op.axis ? d + op.start : d)),
            )
          ]!;
      });
      return [out];
    }
    case 'concat': {
      const out = fresh();
      let start = 0;
      inputs.forEach((data, k) => {
        eachIndex(shapes[k]!, (i, index) => {
          out[
            flat(
              shape,
              index.map((d, a) => (a === op.axis ? d + start : d)),
            )
          ] = data[i]!;
        });
        start += shapes[k]![op.axis]!;
      });
      return [out];
    }
    case 'gather': {
      const out = fresh();
      const [rows, columns] = shapes[0]! as [number, number];
      const [count, width] = op.axis === 0 ? [rows, columns] : [columns, rows];
      const id = (n: number) => Math.min(Math.max(y[n]!, 0), count - 1);
      for (let n = 0; n < y.length; n++)
        for (let j = 0; j < width; j++)
          out[n * width + j] = op.axis === 0 ? x[id(n) * columns + j]! : x[j * columns + id(n)]!;
      return [out];
    }
    case 'scatterAdd': {
      const out = fresh();
      const width = y.length / x.length;
      for (let n = 0; n < x.length; n++)
        for (let j = 0; j < width && x[n]! >= 0 && x[n]! < op.size; j++)
          out[op.axis === 0 ? x[n]! * width + j : j * op.size + x[n]!]! += y[n * width + j]!;
      return [out];
    }
    case 'softmax': {
      const out = fresh();
      const columns = shape[shape.length - 1]!;
      for (let row = 0; row < size; row += columns) {
        const { max, total } = logSumExpParts(x, row, columns);
        for (let j = 0; j < columns; j++) out[row + j] = Math.exp(x[row + j]! - max) / total;
      }
      return [out];
    }
    case 'softmaxCrossEntropy':
      return softmaxCrossEntropy(x, y, z, shapes[0]!);
  }
}

function softmaxCrossEntropy(logits: Data, target: Data, weight: Data, shape: Shape): Data[] {
  const columns = shape[shape.length - 1]!;
  const loss = new Float64Array(weight.length);
  const gradient = new Float64Array(logits.length);
  const dense = target instanceof Float64Array;
  for (let row = 0; row < weight.length; row++) {
    const at = row * columns;
    const tau = (j: number) => (dense ? target[at + j]! : target[row] === j ? 1 : 0);
    const { max, total } = logSumExpParts(logits, at, columns);
    const isUnknown = !dense && weight[row] !== 0 && !(target[row]! >= 0 && target[row]! < columns);
    let s = isUnknown ? Number.NaN : 0;
    let dot = 0;
    for (let j = 0; j < columns; j++) {
      s += tau(j);
      if (tau(j) !== 0) dot += tau(j) * logits[at + j]!;
    }
    loss[row] = weight[row]! * (s * (max + Math.log(total)) - dot);
    for (let j = 0; j < columns; j++)
      gradient[at + j] = weight[row]! * ((s * Math.exp(logits[at + j]! - max)) / total - tau(j));
  }
  return [loss, gradient];
}

function logSumExpParts(x: Data, start: number, columns: number): { max: number; total: number } {
  let max = Number.NEGATIVE_INFINITY;
  for (let j = 0; j < columns; j++) max = Math.max(max, x[start + j]!);
  let total = 0;
  for (let j = 0; j < columns; j++) total += Math.exp(x[start + j]! - max);
  return { max, total };
}

function gemm(op: { transA: boolean; transB: boolean }, a: Data, b: Data, aShape: Shape, shape: Shape): Data {
  const [m, n] = shape.slice(-2) as [number, number];
  const batch = shape.length === 3 ? shape[0]! : 1;
  const k = aShape[aShape.length - (op.transA ? 2 : 1)]!;
  const [aRow, aInner] = op.transA ? [1, m] : [k, 1];
  const [bInner, bColumn] = op.transB ? [1, k] : [n, 1];
  const out = new Float64Array(sizeOf(shape));
  for (let c = 0; c < batch; c++)
    for (let i = 0; i < m; i++)
      for (let j = 0; j < n; j++) {
        let total = 0;
        for (let l = 0; l < k; l++)
          total += a[c * m * k + i * aRow + l * aInner]! * b[c * k * n + l * bInner + j * bColumn]!;
        out[(c * m + i) * n + j] = total;
      }
  return out;
}

function runScan(node: Node, op: ScanOp, inputs: readonly Data[], round: Round): Data[] {
  const { length, direction, body } = op;
  let carries = inputs.slice(op.constants, op.constants + op.carries);
  const results: Data[] = node.outputs.map(({ type }) => new Float64Array(sizeOf(type.shape)));
  const ports = op.ports.map((port, i) => ({ port, into: results[i]! }));
  for (const { port, into } of ports)
    if (port.kind === 'history')
      into.set(carries[port.carry]!, direction === 1 ? 0 : length * carries[port.carry]!.length);
  for (let step = 0; step < length; step++) {
    const t = direction === 1 ? step : length - 1 - step;
    const values = new Map<Value, Data>();
    body.inputs.forEach((value, i) => {
      const x = i - op.constants - op.carries;
      const size = sizeOf(value.type.shape);
      if (x >= 0) values.set(value, inputs[i]!.slice(t * size, (t + 1) * size));
      else values.set(value, i < op.constants ? inputs[i]! : carries[i - op.constants]!);
    });
    runNodes(body.nodes, values, t, round);
    const outputs = body.outputs.map((v) => values.get(v)!);
    carries = outputs.slice(0, op.carries);
    for (const { port, into } of ports) {
      if (port.kind === 'stack') into.set(outputs[port.output]!, t * outputs[port.output]!.length);
      if (port.kind === 'sum') outputs[port.output]!.forEach((v, i) => (into[i]! += v));
      if (port.kind === 'history')
        into.set(carries[port.carry]!, (direction === 1 ? t + 1 : t) * carries[port.carry]!.length);
    }
  }
  for (const { port, into } of ports) if (port.kind === 'final') into.set(carries[port.carry]!);
  return results;
}

/** The flat index, in row-major order. */
function flat(shape: Shape, index: readonly number[]): number {
  return index.reduce((at, d, axis) => at * shape[axis]! + d, 0);
}

/** Calls with every index of a shape, in row-major order. The index array is reused. */
function eachIndex(shape: Shape, visit: (i: number, index: readonly number[]) => void): void {
  const index = shape.map(() => 0);
  const size = sizeOf(shape);
  for (let i = 0; i < size; i++) {
    visit(i, index);
    for (let axis = shape.length - 1; axis >= 0 && ++index[axis]! === shape[axis]!; axis--) index[axis] = 0;
  }
}

/** For each element of `to`, the flat index of the element of `from` that broadcasts to it. */
function broadcastOffsets(from: Shape, to: Shape): Int32Array {
  const lead = to.length - from.length;
  const out = new Int32Array(sizeOf(to));
  eachIndex(to, (i, index) => {
    let at = 0;
    for (let axis = 0; axis < from.length; axis++)
      at = at * from[axis]! + (from[axis] === 1 ? 0 : index[axis + lead]!);
    out[i] = at;
  });
  return out;
}
