/** Generates shaders/lanes.wgsl and shaders/lanes_subgroups.wgsl: what the lanes of a row find together. */
import tree from '../shaders/lanes.wgsl';
import subgroups from '../shaders/lanes_subgroups.wgsl';
import type { Extension, KernelLimits } from './kernel.js';
import { suffixed } from './namespace.js';
import { fillTemplate } from './template.js';

const operations = {
  sum: { join: 'x + y', across: 'subgroupAdd(some)' },
  max: { join: 'max(x, y)', across: 'subgroupMax(some)' },
} as const;

/** How a workgroup is divided: its invocations, and those of each row, a power of 2. */
export interface Lanes {
  readonly threads: number;
  readonly lanes: number;
}

/**
 * Whether subgroups are the shorter way, in steps one after the other. A level of the tree takes a barrier, two reads and a
 * write, and its end 8 reads. At worst an invocation reads each min-th value of every row, and the subgroup joins them in
 * log2(min) exchanges.
 */
function paysBySubgroups({ threads, lanes }: Lanes, { subgroups }: KernelLimits): boolean {
  if (subgroups === null || lanes < subgroups.max) return false;
  const { min } = subgroups;
  return (threads / lanes) * (lanes / min + Math.log2(min)) <= 4 * Math.log2(lanes / 8) + 8;
}

/**
 * Functions `row_<operation>(own, place)` that join what the lanes of a row have, for a shader with the constants LANES
 * and THREADS.
 * @param types the WGSL type of what each operation joins.
 */
export function overLanes(
  split: Lanes,
  limits: KernelLimits,
  types: Partial<Record<keyof typeof operations, string>>,
): { readonly text: readonly string[]; readonly extensions: readonly Extension[] } {
  const usesSubgroups = paysBySubgroups(split, limits);
  const text = Object.entries(types).map(([name, type]) => {
    const { join, across } = operations[name as keyof typeof operations];
    const regions = { constants: [], item: [`alias Item = ${type};`], join: [`return ${join};`] };
    const filled = usesSubgroups
      ? fillTemplate(subgroups, { ...regions, extensions: [], across: [`let all = ${across};`] })
      : fillTemplate(tree, regions);
    return suffixed(filled, `_${name}`);
  });
  return { text, extensions: usesSubgroups ? ['subgroups'] : [] };
}
