/** What depends on what: transforms leave out every derivative that is zero because nothing leads there. */
import { bodyInputs, type Node, type ScanOp, type Value } from './program.js';

/** All values that depend on some of `sources`, the sources included. */
export function dependents(nodes: readonly Node[], sources: ReadonlySet<Value>): Set<Value> {
  const active = new Set(sources);
  for (const node of nodes) {
    const { op } = node;
    if (op.kind === 'scan') {
      const within = dependentsInScan(
        op,
        node.inputs.map((v) => active.has(v)),
      );
      node.outputs.forEach((value, i) => {
        const port = op.ports[i]!;
        if (within.has(op.body.outputs['carry' in port ? port.carry : port.output]!)) active.add(value);
      });
    } else if (op.kind !== 'iota' && node.inputs.some((v) => active.has(v)))
      for (const value of node.outputs) active.add(value);
  }
  return active;
}

/** The same inside a scan's body, closed over its carries, whose new values count as dependent as well. */
export function dependentsInScan(op: ScanOp, inputs: readonly boolean[]): Set<Value> {
  const sources = new Set(op.body.inputs.filter((_, i) => inputs[i]));
  const { carries } = bodyInputs(op);
  for (;;) {
    const active = dependents(op.body.nodes, sources);
    const more = carries.filter((v, i) => !sources.has(v) && active.has(op.body.outputs[i]!));
    // A carry that starts out dependent stays so, even if the first step overwrites it.
    carries.forEach((v, i) => {
      if (sources.has(v)) active.add(op.body.outputs[i]!);
    });
    if (more.length === 0) return active;
    for (const v of more) sources.add(v);
  }
}
