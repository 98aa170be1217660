/**
 * The order of a loop body's nodes: products as late as what needs them allows, everything else as soon as it can be.
 * Products that only meet at the end of a step then stand side by side, and share a dispatch.
 */
import type { Node, Value } from '../program/program.js';

/** @param outputs what the body is for; nodes that lead to none of them count as needed at the end. */
export function productsLast(nodes: readonly Node[], outputs: readonly Value[]): Node[] {
  const isProduct = (node: Node) => node.op.kind === 'gemm';
  // How many products in a row lie between a value and the end: its level is minus that.
  const levels = new Map<Value, number>(outputs.map((v) => [v, 0]));
  const levelOf = (node: Node) => Math.min(0, ...node.outputs.map((v) => levels.get(v) ?? 0));
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    const needed = levelOf(node) - (isProduct(node) ? 1 : 0);
    for (const v of node.inputs) levels.set(v, Math.min(needed, levels.get(v) ?? 0));
  }
  const ordered: Node[] = [];
  const done = new Set<Node>();
  const emit = (node: Node) => {
    ordered.push(node);
    done.add(node);
  };
  const body = new Set(nodes);
  const isReady = (node: Node) => node.inputs.every((v) => done.has(v.node) || !body.has(v.node));
  const products = nodes.filter(isProduct);
  const stops = [Number.NEGATIVE_INFINITY, ...new Set(products.map(levelOf))].sort((a, b) => a - b);
  for (const level of stops) {
    for (const node of products) if (levelOf(node) === level) emit(node);
    for (const node of nodes) if (!isProduct(node) && !done.has(node) && isReady(node)) emit(node);
  }
  return ordered;
}
