/** The per-element arithmetic of a stage as WGSL statements. */
import functionsSource from '../shaders/functions.wgsl';
import type { FunctionName } from '../src/program/functions.js';
import type { Bindings } from './bindings.js';
import type { Affine, Scalar } from './stage.js';
import { regionsOf } from './template.js';

const library = regionsOf(functionsSource);

/** How a pointwise function is written: an expression, or a call of a function of shaders/functions.wgsl. */
const spelling: Record<FunctionName, (x: readonly string[]) => string> = {
  add: ([x, y]) => `${x} + ${y}`,
  sub: ([x, y]) => `${x} - ${y}`,
  mul: ([x, y]) => `${x} * ${y}`,
  div: ([x, y]) => `${x} / ${y}`,
  neg: ([x]) => `-${x}`,
  exp: ([x]) => `exponential(${x})`,
  log: ([x]) => `logarithm(${x})`,
  sqrt: ([x]) => `sqrt(${x})`,
  tanh: ([x]) => `hyperbolic_tangent(${x})`,
  sigmoid: ([x]) => `sigmoid(${x})`,
  relu: ([x]) => `relu(${x})`,
  softplus: ([x]) => `softplus(${x})`,
  max: ([x, y]) => `maximum(${x}, ${y})`,
  min: ([x, y]) => `minimum(${x}, ${y})`,
  greater: ([x, y]) => `select(0f, 1f, ${x} > ${y})`,
  equal: ([x, y]) => `select(0f, 1f, ${x} == ${y})`,
  select: ([c, x, y]) => `select(${y}, ${x}, ${c} != 0f)`,
};

/** A number as an f32 expression. WGSL has no literal for infinities and NaN and refuses constants that give them. */
export function literal(value: number): string {
  const x = Math.fround(value);
  if (Number.isFinite(x)) return `${Object.is(x, -0) ? '-0' : x}f`;
  return `from_bits(0x${new Uint32Array(Float32Array.of(x).buffer)[0]!.toString(16)}u)`;
}

/** The definitions of shaders/functions.wgsl that a text calls, directly or through each other. */
export function calledFunctions(lines: readonly string[]): string[] {
  const names = new Set<string>();
  const visit = (text: string) => {
    for (const [name, definition] of library)
      if (!names.has(name) && new RegExp(`\\b${name}\\(`).test(text)) {
        names.add(name);
        visit(definition);
      }
  };
  visit(lines.join('\n'));
  return [...library].filter(([name]) => names.has(name)).map(([, definition]) => definition.trimEnd());
}

/**
 * Statements `let s<n> = ...;` for the scalars that `wanted` need, in the order of the list.
 * @param axes the expressions of the domain's indices.
 * @param sums the expressions of the accumulators: the sums of a gemm stage, what a phase of a rows stage finds.
 */
export function scalarStatements(
  scalars: readonly Scalar[],
  wanted: readonly number[],
  axes: readonly string[],
  bindings: Bindings,
  sums: readonly string[] = [],
): string[] {
  const needed = new Set(wanted);
  for (let n = scalars.length - 1; n >= 0; n--) {
    const scalar = scalars[n]!;
    if (needed.has(n) && scalar.kind === 'call') for (const argument of scalar.args) needed.add(argument);
  }
  const expression = (scalar: Scalar): string => {
    switch (scalar.kind) {
      case 'load': {
        if (scalar.gather === null) return bindings.load(scalar.ref, axes);
        const { ids, stride, size } = scalar.gather;
        // An id out of range must not reach into a neighbour: it is clamped, as everywhere on a GPU.
        const row = `clamp(${bindings.loadInt(ids, axes)}, 0, ${size - 1})`;
        return bindings.load(scalar.ref, axes, `${stride} * ${row}`);
      }
      case 'accumulator':
        return sums[scalar.slot]!;
      case 'rowSum':
        throw new Error('a row sum outside of a rows stage');
      case 'constant':
        return literal(scalar.value);
      case 'coordinate':
        return `f32(${bindings.index(scalar.index, axes)})`;
      case 'random': {
        const second = { ...scalar.key, offset: scalar.key.offset + 1 };
        const key = [scalar.key, second].map((half) => `bitcast<u32>(${bindings.loadInt(half, axes)})`);
        const counter = `u32(${bindings.index(scalar.index, axes)})`;
        return `random(vec2<u32>(${key.join(', ')}), vec2<u32>(${counter}, ${scalar.stream >>> 0}u))`;
      }
      case 'call':
        return spelling[scalar.fn](scalar.args.map((argument) => `s${argument}`));
    }
  };
  return scalars.flatMap((scalar, n) => (needed.has(n) ? [`let s${n} = ${expression(scalar)};`] : []));
}

/** Every affine index the scalars use, for collapsing axes. */
export function indicesOf(scalars: readonly Scalar[]): Affine[] {
  return scalars.flatMap((scalar): Affine[] => {
    switch (scalar.kind) {
      case 'load':
        return scalar.gather === null ? [scalar.ref] : [scalar.ref, scalar.gather.ids];
      case 'random':
        return [scalar.key, scalar.index];
      case 'coordinate':
        return [scalar.index];
      default:
        return [];
    }
  });
}

/** The scalars with every index passed through `change`. */
export function mapIndices(scalars: readonly Scalar[], change: <T extends Affine>(index: T) => T): Scalar[] {
  return scalars.map((scalar): Scalar => {
    switch (scalar.kind) {
      case 'load': {
        const gather = scalar.gather && { ...scalar.gather, ids: change(scalar.gather.ids) };
        return { ...scalar, ref: change(scalar.ref), gather };
      }
      case 'random':
        return { ...scalar, key: change(scalar.key), index: change(scalar.index) };
      case 'coordinate':
        return { ...scalar, index: change(scalar.index) };
      default:
        return scalar;
    }
  });
}
