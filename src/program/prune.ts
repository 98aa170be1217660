/** Keeps what the outputs need: dead nodes, ports, carries and step inputs go. */
import type { Node, Output, Program, ScanOp, ScanPort, Value } from './program.js';

export function prune(program: Program): Program {
  const wanted = program.outputs.map((o) => o.value);
  const inputNodes = new Set(program.inputs.map((i) => i.value.node));
  const { nodes, replaced } = pruneNodes(program.nodes, wanted, inputNodes);
  return {
    inputs: program.inputs.map(({ name, value }) => ({ name, value: replaced(value) })),
    nodes,
    outputs: program.outputs.map((o): Output => ({ ...o, value: replaced(o.value) })),
  };
}

/** The nodes that `wanted` needs, with their scans pruned, and where each value went. */
function pruneNodes(nodes: readonly Node[], wanted: readonly Value[], keep: ReadonlySet<Node>) {
  const live = new Set<Value>(wanted);
  const plans = new Map<Node, ScanPlan>();
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    if (!node.outputs.some((v) => live.has(v))) continue;
    if (node.op.kind === 'scan') {
      const plan = planScan(node, node.op, live);
      plans.set(node, plan);
      for (const input of plan.inputs) live.add(input);
    } else for (const input of node.inputs) live.add(input);
  }
  const moved = new Map<Value, Value>();
  const replaced = (value: Value): Value => moved.get(value) ?? value;
  const kept: Node[] = [];
  for (const node of nodes) {
    if (!keep.has(node) && !node.outputs.some((v) => live.has(v))) continue;
    const plan = plans.get(node);
    const outputs: Value[] = [];
    const copy: Node = {
      id: kept.length,
      op: plan?.op ?? node.op,
      inputs: (plan?.inputs ?? node.inputs).map(replaced),
      outputs,
    };
    (plan?.outputs ?? node.outputs).forEach((old, port) => {
      const value: Value = { type: old.type, node: copy, port };
      outputs.push(value);
      moved.set(old, value);
    });
    kept.push(copy);
  }
  return { nodes: kept, replaced };
}

interface ScanPlan {
  readonly op: ScanOp;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
}

function planScan(node: Node, op: ScanOp, live: ReadonlySet<Value>): ScanPlan {
  const ports = op.ports
    .map((port, i) => ({ port, value: node.outputs[i]! }))
    .filter(({ value }) => live.has(value));
  const isCarry = (port: ScanPort) => port.kind === 'final' || port.kind === 'history';
  // Body outputs and carries that the live ports need, closed over what those carries need in turn.
  const outputs = new Set<number>();
  for (const { port } of ports) outputs.add('carry' in port ? port.carry : port.output);
  const carryInputs = op.body.inputs.slice(op.constants, op.constants + op.carries);
  const carries = new Set<number>(
    ports.flatMap(({ port }) => (isCarry(port) && 'carry' in port ? [port.carry] : [])),
  );
  let needed: Set<Value>;
  for (;;) {
    needed = upstream(
      op.body.nodes,
      [...outputs].map((i) => op.body.outputs[i]!),
    );
    const more = carryInputs.flatMap((v, i) => (needed.has(v) && !carries.has(i) ? [i] : []));
    if (more.length === 0) break;
    for (const i of more) {
      carries.add(i);
      outputs.add(i);
    }
  }
  const keptCarries = [...carries].sort((a, b) => a - b);
  const rest = [...outputs].filter((i) => !carries.has(i)).sort((a, b) => a - b);
  const order = [...keptCarries, ...rest];
  const keptInputs = op.body.inputs.flatMap((v, i) => {
    const carry = i - op.constants;
    const isState = carry >= 0 && carry < op.carries;
    return (isState ? carries.has(carry) : needed.has(v)) ? [i] : [];
  });
  const keep = new Set(keptInputs.map((i) => op.body.inputs[i]!.node));
  const { nodes, replaced } = pruneNodes(
    op.body.nodes,
    order.map((i) => op.body.outputs[i]!),
    keep,
  );
  return {
    op: {
      ...op,
      constants: keptInputs.filter((i) => i < op.constants).length,
      carries: keptCarries.length,
      body: {
        inputs: keptInputs.map((i) => replaced(op.body.inputs[i]!)),
        nodes,
        outputs: order.map((i) => replaced(op.body.outputs[i]!)),
      },
      ports: ports.map(({ port }) =>
        'carry' in port
          ? { ...port, carry: keptCarries.indexOf(port.carry) }
          : { ...port, output: order.indexOf(port.output) },
      ),
    },
    inputs: keptInputs.map((i) => node.inputs[i]!),
    outputs: ports.map(({ value }) => value),
  };
}

/** Every value that some of `wanted` depends on, themselves included. */
export function upstream(nodes: readonly Node[], wanted: readonly Value[]): Set<Value> {
  const live = new Set<Value>(wanted);
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    if (node.outputs.some((v) => live.has(v))) for (const input of node.inputs) live.add(input);
  }
  return live;
}
