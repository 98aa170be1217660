/**
 * The phases of a rows stage. Each goes along the row once and ends with the sums that later ones need: the mean,
 * then the variance of what is centred by it, then what is normalised by both. The last one stores.
 */
import type { Affine, RowsStage, Scalar } from './stage.js';

export interface Phase {
  /** The row sums it adds up. */
  readonly sums: readonly number[];
  /** Scalars that differ along the row, which it evaluates and later phases read. */
  readonly keeps: readonly number[];
  /** Scalars that earlier phases keep and it reads. */
  readonly reads: ReadonlySet<number>;
}

/** @param remembers whether phases keep what they compute; else later ones compute it again. */
export function phasesOf({ scalars, stores }: RowsStage, remembers: boolean): Phase[] {
  const isUniform = uniforms(scalars);
  const level: number[] = [];
  scalars.forEach((scalar, k) => {
    if (scalar.kind === 'rowSum') level[k] = level[scalar.value]! + 1;
    else level[k] = scalar.kind === 'call' ? Math.max(0, ...scalar.args.map((a) => level[a]!)) : 0;
  });
  const stored = stores.map(({ value }) => value);
  const sums = sumsOf(scalars, stored);
  const count = 1 + Math.max(0, ...stored.map((k) => level[k]!), ...sums.map((k) => level[k]!));

  const first = new Map<number, number>();
  const kept = new Set<number>();
  const phases = Array.from({ length: count }, (_, phase) => {
    const ends = sums.filter((k) => level[k] === phase + 1);
    const reads = new Set<number>();
    const visit = (k: number): void => {
      const scalar = scalars[k]!;
      if (scalar.kind === 'rowSum') return;
      const wasSeen = first.get(k) ?? phase;
      if (wasSeen < phase && remembers && !isUniform(k) && isWorth(scalar)) {
        kept.add(k);
        reads.add(k);
        return;
      }
      first.set(k, wasSeen);
      if (scalar.kind === 'call') scalar.args.forEach(visit);
    };
    for (const k of ends) visit((scalars[k] as Scalar & { kind: 'rowSum' }).value);
    if (phase === count - 1) stored.forEach(visit);
    return { sums: ends, reads };
  });
  return phases.map((phase, n) => ({ ...phase, keeps: [...kept].filter((k) => first.get(k) === n) }));
}

/** A test for scalars that are the same all along the row. */
function uniforms(scalars: readonly Scalar[]): (scalar: number) => boolean {
  const rests = ({ strides }: Affine) => strides.at(-1) === 0;
  const known: boolean[] = [];
  for (const scalar of scalars) {
    if (scalar.kind === 'load') known.push(rests(scalar.ref) && (!scalar.gather || rests(scalar.gather.ids)));
    else if (scalar.kind === 'coordinate') known.push(rests(scalar.index));
    else if (scalar.kind === 'random') known.push(rests(scalar.key) && rests(scalar.index));
    else if (scalar.kind === 'call') known.push(scalar.args.every((a) => known[a]));
    else known.push(true);
  }
  return (scalar) => known[scalar]!;
}

/** Whether having a scalar is worth a place to keep it: an element is read again as easily from where it is. */
const isWorth = ({ kind }: Scalar): boolean => kind === 'call' || kind === 'random';

/** The row sums that `wanted` need, in order. */
function sumsOf(scalars: readonly Scalar[], wanted: readonly number[]): number[] {
  const needed = new Set(wanted);
  for (let k = scalars.length - 1; k >= 0; k--) {
    const scalar = scalars[k]!;
    if (!needed.has(k)) continue;
    if (scalar.kind === 'call') for (const a of scalar.args) needed.add(a);
    if (scalar.kind === 'rowSum') needed.add(scalar.value);
  }
  return [...needed].filter((k) => scalars[k]!.kind === 'rowSum').sort((a, b) => a - b);
}
