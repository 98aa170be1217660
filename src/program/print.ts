/** A listing that a person can read: one line a node, steps of a scan indented. */
import {
  bodyInputs,
  type Node,
  type Op,
  type Program,
  type ScanOp,
  type ScanPort,
  scanInputs,
  typeText,
  type Value,
} from './program.js';

export function printProgram(program: Program): string {
  const names = new Map<Value, string>();
  for (const { name, value } of program.inputs) names.set(value, name);
  const lines = program.inputs.map(({ name, value }) => `input ${name}: ${typeText(value.type)}`);
  lines.push(...printNodes(program.nodes, names, '', { next: 0 }));
  for (const { name, value, updates } of program.outputs)
    lines.push(`output ${name}${updates === null ? '' : ` (updates ${updates})`} = ${names.get(value)}`);
  return lines.join('\n');
}

function printNodes(
  nodes: readonly Node[],
  names: Map<Value, string>,
  indent: string,
  counter: { next: number },
): string[] {
  const lines: string[] = [];
  for (const node of nodes) {
    const { op } = node;
    if (op.kind === 'input') continue;
    if (op.kind === 'constant') {
      names.set(node.outputs[0]!, String(op.value));
      continue;
    }
    for (const value of node.outputs) names.set(value, `%${counter.next++}`);
    const operands = node.inputs.map((v) => names.get(v)!);
    if (op.kind === 'scan') lines.push(...printScan(node, op, names, indent, counter));
    else {
      const results = node.outputs.map((v) => `${names.get(v)}: ${typeText(v.type)}`).join(', ');
      lines.push(`${indent}${results} = ${opText(op)}(${operands.join(', ')})`);
    }
  }
  return lines;
}

function opText(op: Exclude<Op, ScanOp>): string {
  switch (op.kind) {
    case 'map':
      return op.fn;
    case 'gemm':
      return `gemm${op.transA ? 'T' : 'N'}${op.transB ? 'T' : 'N'}`;
    case 'sum':
      return `sum[${op.axes}]`;
    case 'slice':
      return `slice[axis ${op.axis}, ${op.start}..${op.start + op.size}]`;
    case 'concat':
      return `concat[axis ${op.axis}]`;
    case 'transpose':
      return `transpose[${op.permutation}]`;
    case 'gather':
      return `gather[axis ${op.axis}]`;
    case 'scatterAdd':
      return `scatterAdd[axis ${op.axis}, ${op.size}]`;
    case 'iota':
      return `iota[axis ${op.axis}]`;
    case 'random':
      return `random[stream ${op.stream}]`;
    default:
      return op.kind;
  }
}

function printScan(
  node: Node,
  op: ScanOp,
  names: Map<Value, string>,
  indent: string,
  counter: { next: number },
): string[] {
  const { constants, initial, xs } = scanInputs(node, op);
  const inside = bodyInputs(op);
  const local = new Map<Value, string>();
  inside.constants.forEach((v, i) => local.set(v, names.get(constants[i]!)!));
  inside.carries.forEach((v, i) => local.set(v, `carry${i}`));
  inside.xs.forEach((v, i) => local.set(v, `${names.get(xs[i]!)}[t]`));
  const range = op.direction === 1 ? `0..${op.length - 1}` : `${op.length - 1}..0`;
  const lines = [
    `${indent}scan t = ${range}, from ${initial.map((v, i) => `carry${i} = ${names.get(v)}`).join(', ')}`,
  ];
  lines.push(...printNodes(op.body.nodes, local, `${indent}  `, counter));
  op.body.outputs
    .slice(0, op.carries)
    .forEach((v, i) => lines.push(`${indent}  carry${i} <- ${local.get(v)}`));
  op.ports.forEach((port, i) => {
    const value = node.outputs[i]!;
    lines.push(`${indent}${names.get(value)}: ${typeText(value.type)} = ${portText(port, op, local)}`);
  });
  return lines;
}

function portText(port: ScanPort, op: ScanOp, names: ReadonlyMap<Value, string>): string {
  if ('carry' in port) return `${port.kind} of carry${port.carry}`;
  return `${port.kind} of ${names.get(op.body.outputs[port.output]!)}`;
}
