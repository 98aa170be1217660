/** The largest eigenvalues of a Hessian by Lanczos: what they cost, and what float64 says of them. */
import type { Backend } from '../backend/backend.js';
import { Float64Backend } from '../backend/cpu/float64-backend.js';
import { type LanczosResult, lanczos } from '../curvature/lanczos.js';
import { hessianOperator } from '../curvature/model-operator.js';
import { VectorSpace } from '../curvature/vector-space.js';
import { ownPeakRssBytes } from './contender.js';
import { type CurvatureModel, curvatureModel } from './curvature-model.js';
import { type Place, placeInWords, placeOf } from './place.js';
import { markdownTable } from './table.js';
import type { Workload } from './workload.js';

const WANTED = 5;

export interface LanczosTiming extends Place {
  readonly name: 'lanczos';
  readonly cell: string;
  readonly workload: string;
  readonly parameters: number;
  readonly largest: readonly number[];
  /** The largest relative difference of an eigenvalue from the Rayleigh quotient x'Hx / x'x of its vector in float64. */
  readonly relative_error: number;
  /** The largest |Hx - lambda x| / (lambda |x|) in float64: so near an eigenvalue of H is. */
  readonly residual: number;
  readonly products: number;
  /** From nothing compiled to the eigenvectors. */
  readonly ms: number;
  readonly basis_bytes: number;
  readonly peak_rss_bytes: number;
}

export async function measureLanczos(
  backend: Backend,
  cell: string,
  workload: Workload,
): Promise<LanczosTiming> {
  const made = curvatureModel(cell, workload);
  const { model, batch } = made;
  using space = new VectorSpace(backend);
  using theta = space.vector(model.parameters.size);
  theta.write(made.theta);
  const begin = performance.now();
  using operator = hessianOperator(space, { model, theta, batches: [batch] });
  using found = await lanczos(operator, { largest: WANTED });
  await backend.finish();
  const ms = performance.now() - begin;
  const peak_rss_bytes = await ownPeakRssBytes();
  return {
    name: 'lanczos',
    cell,
    workload: workload.name,
    parameters: model.parameters.size,
    ...placeOf(backend),
    largest: found.largest.values,
    ...(await examined(found, made)),
    products: found.steps,
    ms,
    basis_bytes: found.basisBytes,
    peak_rss_bytes,
  };
}

/** The eigenpairs against products in float64. */
async function examined({ largest }: LanczosResult, { model, batch, theta: first }: CurvatureModel) {
  using space = new VectorSpace(new Float64Backend());
  const { size } = model.parameters;
  using theta = space.vector(size);
  theta.write(first);
  using operator = hessianOperator(space, { model, theta, batches: [batch] });
  const rows = Float64Array.from(await largest.vectors!.read());
  let [relative_error, residual] = [0, 0];
  for (const [i, value] of largest.values.entries()) {
    const x = rows.subarray(i * size, (i + 1) * size);
    const y = await operator.matvec(x);
    const quotient = dot(x, y) / dot(x, x);
    const rest = y.map((each, j) => each - value * x[j]!);
    relative_error = Math.max(relative_error, Math.abs(value / quotient - 1));
    residual = Math.max(residual, Math.sqrt(dot(rest, rest) / dot(x, x)) / Math.abs(value));
  }
  return { relative_error, residual };
}

const dot = (x: ArrayLike<number>, y: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i]! * y[i]!;
  return sum;
};

export function lanczosTable(timings: readonly LanczosTiming[]): string {
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  return markdownTable([
    ['on', `largest ${WANTED}`, 'off by', 'residual', 'products', 'seconds', 'basis', 'peak RSS'],
    ...timings.map((t) => [
      placeInWords(t),
      t.largest.map((value) => value.toPrecision(6)).join(', '),
      t.relative_error.toExponential(1),
      t.residual.toExponential(1),
      String(t.products),
      (t.ms / 1000).toFixed(2),
      mebibytes(t.basis_bytes),
      mebibytes(t.peak_rss_bytes),
    ]),
  ]);
}
