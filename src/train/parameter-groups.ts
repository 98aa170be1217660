/** Parameters that learn or decay unlike the others, as PyTorch's parameter groups. */
import { KronogradError } from '../errors.js';
import { isRecord } from '../interop/json.js';
import type { ParameterSpec, Parameters } from '../model/parameters.js';
import { refused, requireBoolean, requireNumber, requireText } from '../ranges.js';

/** Plain JSON. A parameter belongs to the first group that it fits; those that fit none are as the run says. */
export type ParameterGroup = {
  /** A pattern of the parameters' names, in which `*` stands for any text: `head.*`, `*.weight_hh_*`. All unless given. */
  readonly match?: string;
  /** Only parameters with one axis: biases and gains. */
  readonly vectors?: boolean;
  /** What the learning rate is multiplied by: 1 unless given, 0 to keep the parameters as they are. */
  readonly learningRateFactor?: number;
  /** Instead of the run's own. */
  readonly weightDecay?: number;
};

const CHECKS: Readonly<Record<keyof ParameterGroup, (value: unknown, where: string) => unknown>> = {
  match: requireText,
  vectors: requireBoolean,
  learningRateFactor: (value, where) => requireNumber(value, where, { min: 0, max: 1e6 }),
  weightDecay: (value, where) => requireNumber(value, where, { min: 0, max: 1 }),
};

/** @throws KronogradError OPTION for what is no list of groups, an unknown key, and a value that its key does not take. */
export function requireGroups(value: unknown, where: string): readonly ParameterGroup[] {
  const keys = Object.keys(CHECKS).join(', ');
  if (!Array.isArray(value)) throw refused(value, where, `a list of objects with any of ${keys}`);
  for (const [i, group] of value.entries()) {
    const at = `${where}[${i}]`;
    if (!isRecord(group)) throw refused(group, at, `an object with any of ${keys}`);
    for (const [key, each] of Object.entries(group)) {
      const check = Object.hasOwn(CHECKS, key) ? CHECKS[key as keyof ParameterGroup] : undefined;
      if (check === undefined)
        throw new KronogradError('OPTION', `unknown key ${JSON.stringify(key)}`, {
          where: at,
          fix: `use only ${keys}`,
        });
      check(each, `${at}.${key}`);
    }
  }
  return value;
}

/**
 * The learning-rate factor and the weight decay of each element, [2, size]; null where all are alike.
 * @throws KronogradError OPTION for a group that no parameter belongs to.
 */
export function groupVectors(
  parameters: Parameters,
  { groups, weightDecay }: { readonly groups: readonly ParameterGroup[]; readonly weightDecay: number },
): Float32Array | null {
  if (groups.length === 0) return null;
  const { specs, size } = parameters;
  const factors = new Float32Array(size).fill(1);
  const decays = new Float32Array(size).fill(weightDecay);
  const empty = new Set(groups);
  for (const spec of specs) {
    const group = groups.find((each) => belongs(spec, each));
    if (group === undefined) continue;
    empty.delete(group);
    parameters.part(factors, spec.name).fill(group.learningRateFactor ?? 1);
    parameters.part(decays, spec.name).fill(group.weightDecay ?? weightDecay);
  }
  for (const [i, group] of groups.entries())
    if (empty.has(group))
      throw new KronogradError('OPTION', `no parameter belongs to the group ${JSON.stringify(group)}`, {
        where: `groups[${i}]`,
        fix: `match some of ${specs.map(({ name }) => name).join(', ')}, before another group does`,
      });
  const vectors = new Float32Array(2 * size);
  vectors.set(factors);
  vectors.set(decays, size);
  return vectors;
}

const belongs = ({ name, shape }: ParameterSpec, { match = '*', vectors = false }: ParameterGroup): boolean =>
  matches(name, match) && (!vectors || shape.length === 1);

/** Whether a name fits a pattern in which `*` stands for any text. */
function matches(name: string, pattern: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`).test(name);
}
