/**
 * Singular values of the step Jacobians J[t] = ds[t] / ds[t-1] and of their products to the end, ds[T] / ds[t-1]
 * (math.md 12.1), from dense Jacobians.
 */
import type { LayerTrace } from './layer-trace.js';
import { type DenseMatrix, extremeSingularValues, product, square } from './matrices.js';
import type { StepJacobian } from './step-jacobians.js';

export interface Spectrum {
  /** sigma_max, [T, r]: of step t at (t - 1) r + sample. */
  readonly largest: Float64Array;
  /**
   * sigma_min, [T, r]; null where only norms were computed. Below the rounding of sigma_max, in float32 1e-7 of it, there
   * is nothing but rounding.
   */
  readonly smallest: Float64Array | null;
}

export interface LayerSpectra {
  /** Of ds[t] / ds[t-1]. 1 where the mask holds the state. */
  readonly steps: Spectrum;
  /** Of ds[T] / ds[t-1]. */
  readonly products: Spectrum;
}

/** Takes the Jacobians as `stepJacobians` gives them, the last step first. */
export class DenseSpectra {
  readonly result: { readonly steps: DenseSpectrum; readonly products: DenseSpectrum };
  readonly #products: (DenseMatrix | null)[];

  constructor(private readonly layer: LayerTrace) {
    const { steps, samples } = layer;
    this.result = { steps: empty(steps * samples), products: empty(steps * samples) };
    this.#products = Array.from({ length: samples }, () => null);
  }

  add({ step, sample, matrix }: StepJacobian): void {
    const { samples, taken } = this.layer;
    const { steps, products } = this.result;
    const place = step * samples + sample;
    const behind = this.#products[sample] ?? null;
    if (taken[place] === 0) {
      // The identity, which changes no product.
      set(steps, place, IDENTITY);
      set(products, place, behind === null ? IDENTITY : at(products, place + samples));
      return;
    }
    const jacobian = square(matrix);
    const singular = extremeSingularValues(jacobian);
    set(steps, place, singular);
    const whole = behind === null ? jacobian : product(behind, jacobian);
    this.#products[sample] = whole;
    set(products, place, behind === null ? singular : extremeSingularValues(whole));
  }
}

const IDENTITY = { largest: 1, smallest: 1 };

interface DenseSpectrum extends Spectrum {
  readonly smallest: Float64Array;
}

const empty = (length: number): DenseSpectrum => ({
  largest: new Float64Array(length),
  smallest: new Float64Array(length),
});

const at = ({ largest, smallest }: DenseSpectrum, place: number) => ({
  largest: largest[place]!,
  smallest: smallest[place]!,
});

function set(
  spectrum: DenseSpectrum,
  place: number,
  { largest, smallest }: { largest: number; smallest: number },
): void {
  spectrum.largest[place] = largest;
  spectrum.smallest[place] = smallest;
}
