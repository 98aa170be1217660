/** Gradient flow through the recurrent layers of a model on one batch (math.md section 12). */
import type { Backend } from '../backend/backend.js';
import { type Carousel, CarouselSplit, carouselQuantities } from './carousel.js';
import { type RecurrenceCertificates, recurrenceCertificates } from './certificates.js';
import { errorSignalNorms } from './error-signals.js';
import { type GateStatistics, gateStatistics } from './gates.js';
import { meanByLag, takenSteps } from './lags.js';
import type { LayerTrace } from './layer-trace.js';
import { type DiagnosisProblem, type TracedLayer, traceModel } from './model-trace.js';
import { powerSpectra } from './power-iteration.js';
import { DenseSpectra, type LayerSpectra } from './spectra.js';
import { stepJacobians } from './step-jacobians.js';
import { stepQuantities } from './step-program.js';
import { type Verdict, verdictOn } from './verdict.js';

export interface DiagnosisOptions {
  /**
   * Elements of a state up to which step Jacobians are made as matrices: singular values are then exact, the smallest
   * ones too, and an LSTM is split. Beyond it only norms are computed, by power iteration. 256 unless given.
   */
  readonly denseState?: number;
}

/** Arrays [T, r] are in the order in which the layer's steps run: step t at (t - 1) r + sample. */
export interface LayerDiagnosis extends LayerSpectra {
  /** `layer 0`, `layer 0, reverse` */
  readonly name: string;
  readonly cell: string;
  /** Elements of the carried state. */
  readonly stateSize: number;
  /** Whether singular values come from dense Jacobians. */
  readonly isDense: boolean;
  /** log sigma_max of the product of all steps over their number, the mean over samples. */
  readonly growthRate: number;
  /** |dE / ds[t]|, [T, r]: of the whole loss, and of that of the step which the layer takes last. */
  readonly errorSignals: { readonly loss: Float64Array; readonly lastLoss: Float64Array };
  /** Means over samples, by the lag k = 0, 1, ... from each sample's end. */
  readonly byLag: {
    /** |dE_T / ds[T-k]|, E_T the loss of the step which the layer takes last. */
    readonly errorSignal: readonly number[];
    /** sigma_max of ds[T] / ds[T-k], 1 at lag 0. */
    readonly product: readonly number[];
  };
  /** null for cells that are no plain recurrence, and with zoneout, under which none is. */
  readonly certificates: RecurrenceCertificates | null;
  /** By the names of the cell's gates. */
  readonly gates: Readonly<Record<string, GateStatistics>>;
  /** null for cells without one, with zoneout, and where the state is too large for matrices. */
  readonly carousel: Carousel | null;
  readonly verdict: Verdict;
}

export interface Diagnosis {
  readonly loss: number;
  /** T */
  readonly steps: number;
  /** r */
  readonly samples: number;
  readonly layers: readonly LayerDiagnosis[];
}

/**
 * @throws KronogradError OPTION for a model without recurrent layers, SHAPE for parts of a batch that do not fit, DATA
 * for a loss or a state that is not finite and for a mask without a step, MEMORY
 */
export async function diagnose(
  backend: Backend,
  problem: DiagnosisProblem,
  options: DiagnosisOptions = {},
): Promise<Diagnosis> {
  const { loss, layers } = await traceModel(backend, problem);
  const { steps, samples } = problem.batch;
  const diagnoses: LayerDiagnosis[] = [];
  for (const layer of layers) diagnoses.push(await diagnoseLayer(backend, layer, options));
  return { loss, steps, samples, layers: diagnoses };
}

async function diagnoseLayer(
  backend: Backend,
  { trace, byOutput }: TracedLayer,
  { denseState = 256 }: DiagnosisOptions,
): Promise<LayerDiagnosis> {
  const { name, cell, stateSize, zoneout } = trace;
  const isDense = stateSize <= denseState;
  const gateNames = cell.gates ?? [];
  const quantities = await stepQuantities(backend, trace, [
    ...new Set([...gateNames, ...carouselQuantities(trace)]),
  ]);
  const { spectra, carousel } = isDense
    ? await fromMatrices(backend, trace, quantities)
    : { spectra: await powerSpectra(backend, trace), carousel: null };
  const [ofLoss, ofLastLoss] = (await errorSignalNorms(backend, trace, [
    byOutput.loss,
    byOutput.lastLoss,
  ])) as [Float64Array, Float64Array];
  const errorSignal = meanByLag(trace, ofLastLoss);
  return {
    ...{ name, cell: cell.name, stateSize, isDense, ...spectra },
    growthRate: growthRate(trace, spectra),
    errorSignals: { loss: ofLoss, lastLoss: ofLastLoss },
    byLag: { errorSignal, product: [1, ...meanByLag(trace, spectra.products.largest)] },
    certificates: zoneout > 0 ? null : recurrenceCertificates(trace, isDense ? spectra.steps.largest : null),
    gates: gateStatistics(trace, Object.fromEntries(gateNames.map((gate) => [gate, quantities[gate]!]))),
    carousel,
    verdict: verdictOn(`${name} (${cell.name})`, errorSignal),
  };
}

async function fromMatrices(
  backend: Backend,
  trace: LayerTrace,
  quantities: Awaited<ReturnType<typeof stepQuantities>>,
): Promise<{ spectra: LayerSpectra; carousel: Carousel | null }> {
  const spectra = new DenseSpectra(trace);
  const hasCarousel = trace.cell.carousel !== undefined && trace.zoneout === 0;
  const split = hasCarousel ? new CarouselSplit(trace, quantities) : null;
  for await (const jacobian of stepJacobians(backend, trace)) {
    spectra.add(jacobian);
    split?.add(jacobian);
  }
  return { spectra: spectra.result, carousel: split?.result ?? null };
}

function growthRate(trace: LayerTrace, { products }: LayerSpectra): number {
  const rates = takenSteps(trace).flatMap((steps, sample) => {
    const first = steps.at(-1);
    if (first === undefined) return [];
    return [Math.log(products.largest[first * trace.samples + sample]!) / steps.length];
  });
  return rates.reduce((total, rate) => total + rate, 0) / rates.length;
}
