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
  /** sigma_min, [T, r]; null where only norms were computed. */
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
    const place = step * samples + sample;
    const { steps, products } = this.result;
    const behind = this.#products[sample];
    const jacobian = square(matrix);
    set(steps, place, extremeSingularValues(jacobian));
    if (taken[place] === 0 || behind === null || behind === undefined) {
      // A step that is held changes no product, and the last one is a product by itself.
      this.#products[sample] = taken[place] === 0 ? (behind ?? null) : jacobian;
      set(products, place, behind ? at(products, place + samples) : at(steps, place));
      return;
    }
    this.#products[sample] = product(behind, jacobian);
    set(products, place, extremeSingularValues(this.#products[sample]));
  }
}

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
