/** The per-element arithmetic of a stage as WGSL statements. */
import type { Bindings } from './bindings.js';
import { spell } from './functions.js';
import { loadsQuads } from './quads.js';
import type { Affine, Scalar } from './stage.js';

/** A number as an f32 expression. WGSL has no literal for infinities and NaN and refuses constants that give them. */
export function literal(value: number): string {
  const x = Math.fround(value);
  if (Number.isFinite(x)) return `${Object.is(x, -0) ? '-0' : x}f`;
  return `from_bits(0x${new Uint32Array(Float32Array.of(x).buffer)[0]!.toString(16)}u)`;
}

export interface Evaluation {
  /** The expressions of the accumulators: the sums of a gemm stage, what a phase of a rows stage finds. */
  readonly sums?: readonly string[];
  /** The axis along which four neighbours are evaluated at a time, each scalar a vec4<f32>; see `quadsAlong`. */
  readonly quadAxis?: number | undefined;
}

/**
 * Statements `let s<n> = ...;` for the scalars that `wanted` need, in the order of the list.
 * @param axes the expressions of the domain's indices.
 */
export function scalarStatements(
  scalars: readonly Scalar[],
  wanted: readonly number[],
  axes: readonly string[],
  bindings: Bindings,
  { sums = [], quadAxis }: Evaluation = {},
): string[] {
  const needed = new Set(wanted);
  for (let n = scalars.length - 1; n >= 0; n--) {
    const scalar = scalars[n]!;
    if (needed.has(n) && scalar.kind === 'call') for (const argument of scalar.args) needed.add(argument);
  }
  const statements = (scalar: Scalar, n: number): string[] => {
    const define = (value: string) => `let s${n} = ${value};`;
    const rests = (...indices: readonly Affine[]) =>
      quadAxis === undefined || indices.every(({ strides }) => strides[quadAxis] === 0);
    /** What differs from neighbour to neighbour is evaluated for each of the four, unless it is one vector in memory. */
    const at = (isSame: boolean, value: (axes: readonly string[]) => string): string => {
      if (quadAxis === undefined) return define(value(axes));
      if (isSame) return define(`vec4<f32>(${value(axes)})`);
      const places = [0, 1, 2, 3].map((c) =>
        axes.map((axis, k) => (k === quadAxis && c > 0 ? `(${axis} + ${c})` : axis)),
      );
      return define(`vec4<f32>(${places.map(value).join(', ')})`);
    };
    switch (scalar.kind) {
      case 'load': {
        const { ref, gather } = scalar;
        const load = (displacement?: string): string =>
          quadAxis !== undefined && loadsQuads(scalar, quadAxis, bindings)
            ? define(bindings.loadQuad(ref, axes, displacement))
            : at(rests(ref), (places) => bindings.load(ref, places, displacement));
        if (gather === null) return [load()];
        const { ids, stride, size } = gather;
        // An id out of range must not reach into a neighbour: it is clamped, as everywhere on a GPU.
        const row = (places: readonly string[]) => `clamp(${bindings.loadInt(ids, places)}, 0, ${size - 1})`;
        if (rests(ids)) return [`let row${n} = ${row(axes)};`, load(`${stride} * row${n}`)];
        return [at(false, (places) => bindings.load(ref, places, `${stride} * ${row(places)}`))];
      }
      case 'accumulator':
        return [define(sums[scalar.slot]!)];
      case 'rowSum':
        throw new Error('a row sum outside of a rows stage');
      case 'constant':
        return [at(true, () => literal(scalar.value))];
      case 'coordinate':
        return [at(rests(scalar.index), (places) => `f32(${bindings.index(scalar.index, places)})`)];
      case 'random': {
        const { key, index, stream } = scalar;
        const words = [key, { ...key, offset: key.offset + 1 }];
        const draw = (places: readonly string[]) => {
          const [first, second] = words.map((half) => `bitcast<u32>(${bindings.loadInt(half, places)})`);
          const counter = `u32(${bindings.index(index, places)})`;
          return `random(vec2<u32>(${first}, ${second}), vec2<u32>(${counter}, ${stream >>> 0}u))`;
        };
        return [at(rests(key, index), draw)];
      }
      case 'call': {
        const values = scalar.args.map((argument) => `s${argument}`);
        return [define(spell(scalar.fn, values, quadAxis !== undefined))];
      }
    }
  };
  return scalars.flatMap((scalar, n) => (needed.has(n) ? statements(scalar, n) : []));
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
