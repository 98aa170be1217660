/**
 * Whether an LSTM keeps its errors: the split of d psi[k-1] / d psi[k] at fixed chi[k] into the gate that leads an
 * error from cell to cell unchanged, diag(g_cs[k]), and the remainder Q (Sherstinsky, eq. 177 as corrected; math.md
 * 12.2). Its transpose is ds[k] / ds[k-1] with the value of step k-1 following its state:
 * Ss[k] + Sv[k] N[k-1], of blocks of the step Jacobian and of N, the derivative of the value by the new state.
 */
import type { Numbers } from '../backend/backend.js';
import type { LayerTrace } from './layer-trace.js';
import { type DenseMatrix, product, spectralNorm, square, sum } from './matrices.js';
import { keptPart, type StepJacobian } from './step-jacobians.js';

/**
 * A step runs as a constant error carousel where the mean of g_cs over the units is at least `gate` and ||Q|| at most
 * `remainder`; a layer, where at least a share `steps` of its steps does.
 */
export const CAROUSEL = { gate: 0.9, remainder: 0.1, steps: 0.9 };

export interface CarouselCondition {
  readonly condition: string;
  readonly value: number;
  readonly holds: boolean;
}

export interface Carousel {
  /** ||Q||_2, [T, r]; NaN for the first step, and where this step or the one before is held. */
  readonly remainder: Float64Array;
  /**
   * The bound on ||Q|| from the norms of the weights (math.md 12.2), alike; null for cells other than the Vanilla and the
   * Augmented LSTM.
   */
  readonly bound: Float64Array | null;
  /**
   * What Sherstinsky (VI-J, eq. 179-181) asks of a carousel, as far as it holds up: gates at 1, and ||Q|| below 1. None
   * where there are no two steps in a row.
   */
  readonly conditions: readonly CarouselCondition[];
  /** The share of steps that run as a carousel. */
  readonly share: number;
  readonly isCarousel: boolean;
}

/** Quantities of the step that the split and the bound read. */
export function carouselQuantities({ cell, parameters }: LayerTrace): string[] {
  if (cell.carousel === undefined) return [];
  const names = hasBound(parameters) ? ['u', 'g_cu', 'g_cs'] : [];
  const own = 'Ws_cx' in parameters ? ['g_cx', 'xi_du'] : [];
  return [...new Set([cell.carousel.gate, ...names, ...own])];
}

/** Takes the Jacobians as `stepJacobians` gives them, the last step first. */
export class CarouselSplit {
  readonly #remainder: Float64Array;
  readonly #readoutNorm: Float64Array;
  /** Of each sample, the Jacobian of the step behind. */
  readonly #behind = new Map<number, StepJacobian>();

  /** `quantities`: those of `carouselQuantities`, each [T, r, features]. */
  constructor(
    private readonly layer: LayerTrace,
    private readonly quantities: Readonly<Record<string, Numbers>>,
  ) {
    const places = layer.steps * layer.samples;
    this.#remainder = new Float64Array(places).fill(Number.NaN);
    this.#readoutNorm = new Float64Array(places).fill(Number.NaN);
  }

  add(jacobian: StepJacobian): void {
    const { layer } = this;
    const { samples, taken } = layer;
    const { step, sample, readout } = jacobian;
    const behind = this.#behind.get(sample);
    this.#behind.set(sample, jacobian);
    const place = (step + 1) * samples + sample;
    if (behind === undefined || readout === null || taken[place] === 0 || taken[place - samples] === 0)
      return;
    const kept = keptPart(layer)!;
    const N: DenseMatrix = { rows: readout.length / kept.features, columns: kept.features, data: readout };
    const output = layer.parts.find(({ name }) => name === layer.cell.output)!;
    const rows = { from: kept.offset, count: kept.features };
    const Ss = block(behind.matrix, rows, { from: kept.offset, count: kept.features });
    const Sv = block(behind.matrix, rows, { from: output.offset, count: output.features });
    const whole = sum(Ss, product(Sv, N));
    const gate = this.quantities[layer.cell.carousel!.gate]!;
    const Q = Float64Array.from(whole.data);
    for (let i = 0; i < kept.features; i++) Q[i * kept.features + i]! -= gate[place * kept.features + i]!;
    this.#remainder[place] = spectralNorm(square(Q));
    this.#readoutNorm[place] = spectralNorm(N);
  }

  get result(): Carousel {
    const { layer, quantities } = this;
    const remainder = this.#remainder;
    const gate = quantities[layer.cell.carousel!.gate]!;
    const features = keptPart(layer)!.features;
    const places = [...remainder.keys()].filter((place) => !Number.isNaN(remainder[place]!));
    const gateMean = (place: number) =>
      Float64Array.from(gate.subarray(place * features, (place + 1) * features)).reduce((a, g) => a + g, 0) /
      features;
    const runs = places.filter(
      (place) => gateMean(place) >= CAROUSEL.gate && remainder[place]! <= CAROUSEL.remainder,
    );
    const bound = hasBound(layer.parameters) ? remainderBound(layer, quantities, this.#readoutNorm) : null;
    if (places.length === 0) return { remainder, bound, share: 0, conditions: [], isCarousel: false };
    const share = runs.length / places.length;
    const worst = (values: Float64Array) => places.reduce((most, place) => Math.max(most, values[place]!), 0);
    const smallest = places.reduce((least, place) => Math.min(least, gateMean(place)), 1);
    return {
      ...{ remainder, bound, share },
      conditions: [
        {
          ...{ condition: `mean gate >= ${CAROUSEL.gate} at every step`, value: smallest },
          holds: smallest >= CAROUSEL.gate,
        },
        below('max ||Q[k]||', worst(remainder)),
        ...(bound === null ? [] : [below('bound on ||Q[k]|| by the norms of the weights', worst(bound))]),
      ],
      isCarousel: share >= CAROUSEL.steps,
    };
  }
}

const below = (name: string, value: number): CarouselCondition => ({
  ...{ condition: `${name} < 1`, value, holds: value < 1 },
});

const hasBound = (parameters: LayerTrace['parameters']) => 'Ws_cu' in parameters;

/**
 * ||Q[k]|| <= ||N[k-1]|| (||Wv_cu|| max|u k_cu| + ||Wv_cs|| max|s k_cs| + ||Wv_du|| max|g_cu (1 - u^2)|)
 * + ||Ws_cu|| max|u k_cu| + ||Ws_cs|| max|s k_cs| with k = g (1 - g), and for the gate cx of the Augmented LSTM
 * (||N|| ||Wv_cx|| + ||Ws_cx||) max|g_cu (1 - u^2) xi_du k_cx|. Not every s is below 1.
 */
function remainderBound(
  { parameters, states, samples, steps }: LayerTrace,
  { u, g_cu, g_cs, g_cx, xi_du }: Readonly<Record<string, Numbers>>,
  readoutNorm: Float64Array,
): Float64Array {
  const norm = (name: string) => {
    const { type, data } = parameters[name]!;
    const [rows, columns] = type.shape as [number, number];
    return spectralNorm({ rows, columns, data });
  };
  const norms = Object.fromEntries(
    Object.keys(parameters)
      .filter((name) => /^W[sv]_/.test(name))
      .map((name) => [name, norm(name)]),
  );
  const features = u!.length / (steps * samples);
  const k = (g: number) => g * (1 - g);
  const slopes: Record<string, (i: number) => number> = {
    cu: (i) => u![i]! * k(g_cu![i]!),
    cs: (i) => states.s![i]! * k(g_cs![i]!),
    du: (i) => g_cu![i]! * (1 - u![i]! ** 2),
    ...(g_cx ? { cx: (i) => g_cu![i]! * (1 - u![i]! ** 2) * xi_du![i]! * k(g_cx[i]!) } : {}),
  };
  return readoutNorm.map((N, place) =>
    Object.entries(slopes).reduce((total, [gate, slope]) => {
      let largest = 0;
      for (let i = place * features; i < (place + 1) * features; i++)
        largest = Math.max(largest, Math.abs(slope(i)));
      return total + largest * (N * norms[`Wv_${gate}`]! + (norms[`Ws_${gate}`] ?? 0));
    }, 0),
  );
}

interface Range {
  readonly from: number;
  readonly count: number;
}

/** Rows and columns of a square matrix. */
function block(matrix: Float64Array, rows: Range, columns: Range): DenseMatrix {
  const N = Math.sqrt(matrix.length);
  const data = new Float64Array(rows.count * columns.count);
  for (let i = 0; i < rows.count; i++) {
    const from = (rows.from + i) * N + columns.from;
    data.set(matrix.subarray(from, from + columns.count), i * columns.count);
  }
  return { rows: rows.count, columns: columns.count, data };
}
