/** What a program costs in matrix products, before any schedule is made. */
import { type Node, type Program, sizeOf } from './program.js';

/** Flops of all products of a program, a multiplication and an addition each; bodies of scans count at every step. */
export const gemmFlops = ({ nodes }: Pick<Program, 'nodes'>): number =>
  nodes.reduce((sum, node) => sum + flopsOf(node), 0);

function flopsOf({ op, inputs, outputs }: Node): number {
  if (op.kind === 'scan') return op.length * gemmFlops(op.body);
  if (op.kind !== 'gemm') return 0;
  const inner = inputs[0]!.type.shape.at(op.transA ? -2 : -1)!;
  return 2 * inner * sizeOf(outputs[0]!.type.shape);
}
