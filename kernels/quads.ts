/** Four neighbouring elements moved as one vec4: which buffers are bound as arrays of them. */
import { isQuadAligned } from './affine.js';
import { Bindings } from './bindings.js';
import type { BufferSpec, Ref, Scalar } from './stage.js';

type Load = Extract<Scalar, { kind: 'load' }>;

/** What a stage would do by fours, were its buffers bound so. */
export interface Quads {
  /** The buffers that it would read, or read and write, four elements at a time. */
  readonly wanted: ReadonlySet<number>;
  /** Whether it needs all of them to do anything by fours. */
  readonly together: boolean;
  /** Whether every quad of a buffer that it stores to would belong to one invocation. */
  readonly owns: (buffer: number) => boolean;
}

/** Of a stage that reads by fours all that it reads or nothing. @param stores whether it stores by fours, too. */
export const wholeQuads = (wanted: ReadonlySet<number> | undefined, stores: boolean): Quads | undefined =>
  wanted && { wanted, together: true, owns: () => stores };

/** A stage with a claim, and the buffers it stores to. */
export interface Claim {
  readonly quads: Quads | undefined;
  readonly stored: ReadonlySet<number>;
}

/** What a stage claims, from its body over buffers of which none is bound by fours. */
export function claimOf(
  generate: (bindings: Bindings) => { readonly quads?: Quads | undefined },
  buffers: readonly BufferSpec[],
): Claim {
  const bindings = new Bindings(buffers);
  const { quads } = generate(bindings);
  const stored = bindings.list.filter(({ access }) => access === 'read_write');
  return { quads, stored: new Set(stored.map(({ buffer }) => buffer)) };
}

/**
 * The buffers of one shader to bind as quads: those that a stage wants. WGSL may write a whole vector to store one of its
 * components, so none of which a stage stores single elements.
 */
export function grantedQuads(claims: readonly Claim[]): Set<number> {
  const wanted = new Set(claims.flatMap(({ quads }) => [...(quads?.wanted ?? [])]));
  const granted = new Set(
    [...wanted].filter((buffer) =>
      claims.every(({ quads, stored }) => !stored.has(buffer) || quads?.owns(buffer)),
    ),
  );
  const misses = ({ quads }: Claim) =>
    quads?.together === true && [...quads.wanted].some((buffer) => !granted.has(buffer));
  if (!claims.some(misses)) return granted;
  return grantedQuads(claims.map((claim) => (misses(claim) ? { ...claim, quads: undefined } : claim)));
}

const isQuad = (ref: Ref, axis: number, bindings: Bindings): boolean =>
  isQuadAligned(ref, axis) && bindings.dtype(ref.buffer) !== 'int';

/** Whether four neighbours along an axis that a load finds, from every fourth place on, are one vector of its buffer. */
export function loadsQuads({ ref, gather }: Load, axis: number, bindings: Bindings): boolean {
  const followsRows = gather === null || (gather.ids.strides[axis] === 0 && gather.stride % 4 === 0);
  return followsRows && isQuad(ref, axis, bindings);
}

/**
 * The buffers in which scalars find, and stores leave, four neighbours along an axis side by side. Undefined when a store
 * does not, or when there are none.
 */
export function quadsAlong(
  axis: number,
  size: number | undefined,
  scalars: readonly Scalar[],
  stores: readonly Ref[],
  bindings: Bindings,
): ReadonlySet<number> | undefined {
  if (size === undefined || size % 4 !== 0 || !stores.every((ref) => isQuad(ref, axis, bindings)))
    return undefined;
  const loads = scalars.filter((scalar) => scalar.kind === 'load');
  const found = loads.filter((load) => loadsQuads(load, axis, bindings)).map(({ ref }) => ref);
  const wanted = new Set([...stores, ...found].map(({ buffer }) => buffer));
  return wanted.size > 0 ? wanted : undefined;
}
