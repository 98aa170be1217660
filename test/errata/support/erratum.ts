/** One row of the errata table (math.md 13) as a test. */
import { expect, it } from 'vitest';
import { flat, type Nested, off, ShapeError, scale } from './matrix.js';

/** A formula in one network: the engine's number, what the paper prints, and what math.md says instead. */
export interface Evidence {
  readonly what?: string;
  readonly truth: Nested;
  /** Absent where the paper prints nothing. A function where its operands do not conform. */
  readonly printed?: Nested | (() => Nested);
  readonly corrected: Nested;
}

export interface Row {
  /**
   * The table's error of the printed formula, or its least and largest over networks and layers. Networks differ:
   * each measured error must lie within a factor of three of it. `correct`: as good as the corrected formula.
   * `no figure`: the table states no number; off by 1 % at least.
   */
  readonly table: number | readonly [number, number] | 'correct' | 'no figure' | 'nothing printed';
  /** How near the corrected formula must be to the engine: 1e-10 unless given, relative to the largest element. */
  readonly tolerance?: number;
}

type Tensors = Readonly<Record<string, Nested>>;

/** Several parameters as one vector, each relative to its own truth: the worst of them decides, as in the table. */
export function together(
  names: readonly string[],
  truth: Tensors,
  printed: Tensors,
  corrected: Tensors,
): Evidence {
  const join = (tensors: Tensors) =>
    names.flatMap((name) => flat(scale(tensors[name]!, 1 / Math.max(...flat(truth[name]!).map(Math.abs)))));
  return { truth: join(truth), printed: join(printed), corrected: join(corrected) };
}

/**
 * How far a random network of ours may be from the table's. The seeds are of networks like those: from one network to
 * the next the errors spread over a factor of ten, and in a few an error vanishes by itself.
 */
const FACTOR = 3;

/** Errors of the printed formula in each network; infinite where it cannot be evaluated. */
function errorOf(printed: Evidence['printed'], truth: Nested): number {
  if (typeof printed !== 'function') return off(printed!, truth);
  try {
    return off(printed(), truth);
  } catch (error) {
    if (error instanceof ShapeError) return Number.POSITIVE_INFINITY;
    throw error;
  }
}

/** Declares the test of a row and prints what it measured. */
export function erratum(name: string, row: Row, evidence: () => Evidence | readonly Evidence[]): void {
  it(name, () => {
    const { table, tolerance = 1e-10 } = row;
    const cases = [evidence()].flat() as Evidence[];
    const measured = cases.map(({ what = '', truth, printed, corrected }) => ({
      what,
      printed: table === 'nothing printed' ? Number.NaN : errorOf(printed, truth),
      corrected: off(corrected, truth),
    }));
    const range = (of: (m: (typeof measured)[number]) => number) => {
      const all = measured.map(of);
      const [least, largest] = [Math.min(...all), Math.max(...all)];
      const text = (x: number) => x.toPrecision(2);
      return least === largest ? text(least) : `${text(least)} .. ${text(largest)}`;
    };
    const figure = typeof table === 'object' ? table.join(' .. ') : table;
    const printing =
      table === 'nothing printed' ? table : `printed ${range((m) => m.printed)} (table: ${figure})`;
    console.log(`${name}\n  ${printing}, corrected ${range((m) => m.corrected)}`);
    for (const { what, printed, corrected } of measured) {
      expect(corrected, `${what}: the corrected formula against the engine`).toBeLessThanOrEqual(tolerance);
      if (table === 'nothing printed') continue;
      const reading = `${what}: the printed formula against the engine`;
      if (table === 'correct') expect(printed, reading).toBeLessThanOrEqual(tolerance);
      else if (table === 'no figure') expect(printed, reading).toBeGreaterThanOrEqual(0.01);
      else if (table === Number.POSITIVE_INFINITY) expect(printed, reading).toBe(table);
      else {
        const [least, largest] = typeof table === 'number' ? [table, table] : table;
        expect(printed, reading).toBeGreaterThanOrEqual(least / FACTOR);
        expect(printed, reading).toBeLessThanOrEqual(largest * FACTOR);
      }
    }
  });
}
