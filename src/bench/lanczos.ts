/** The largest eigenvalues of a Hessian by Lanczos: how near they are to those in float64, what they cost. */
import type { Backend } from '../backend/backend.js';
import { Float64Backend } from '../backend/cpu/float64-backend.js';
import { lanczos } from '../curvature/lanczos.js';
import { hessianOperator } from '../curvature/model-operator.js';
import { VectorSpace } from '../curvature/vector-space.js';
import { ownPeakRssBytes } from './contender.js';
import { type CurvatureModel, curvatureModel } from './curvature-model.js';
import { markdownTable } from './table.js';
import type { Workload } from './workload.js';

const WANTED = 5;

export interface LanczosTiming {
  readonly name: 'lanczos';
  readonly cell: string;
  readonly workload: string;
  readonly parameters: number;
  readonly backend: string;
  readonly adapter: string;
  readonly largest: readonly number[];
  readonly errors: readonly number[];
  /** The largest relative difference of an eigenvalue from the one in float64. */
  readonly relative_error: number;
  readonly products: number;
  /** From nothing compiled to the eigenvectors. */
  readonly ms: number;
  readonly basis_bytes: number;
  readonly peak_rss_bytes: number;
}

/** On each backend, and once in float64 to compare with: that takes its time. */
export async function measureLanczos(
  backends: readonly Backend[],
  cell: string,
  workload: Workload,
): Promise<LanczosTiming[]> {
  const made = curvatureModel(cell, workload);
  const timings: Omit<LanczosTiming, 'relative_error'>[] = [];
  for (const backend of backends) timings.push(await timed(backend, cell, workload, made));
  using oracle = new Float64Backend();
  const reference = await timed(oracle, cell, workload, made);
  return [...timings, reference].map((timing) => ({
    ...timing,
    relative_error: Math.max(
      ...timing.largest.map((value, i) => Math.abs(value / reference.largest[i]! - 1)),
    ),
  }));
}

async function timed(
  backend: Backend,
  cell: string,
  workload: Workload,
  { model, batch, theta: first }: CurvatureModel,
): Promise<Omit<LanczosTiming, 'relative_error'>> {
  using space = new VectorSpace(backend);
  using theta = space.vector(model.parameters.size);
  theta.write(first);
  const begin = performance.now();
  using operator = hessianOperator(space, { model, theta, batches: [batch] });
  using found = await lanczos(operator, { largest: WANTED });
  await backend.finish();
  return {
    name: 'lanczos',
    cell,
    workload: workload.name,
    parameters: model.parameters.size,
    backend: backend.name,
    adapter: backend.description,
    largest: found.largest.values,
    errors: found.largest.errors,
    products: found.steps,
    ms: performance.now() - begin,
    basis_bytes: found.basisBytes,
    peak_rss_bytes: await ownPeakRssBytes(),
  };
}

export function lanczosTable(timings: readonly LanczosTiming[]): string {
  const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
  return markdownTable([
    ['on', `largest ${WANTED}`, 'off by', 'products', 'seconds', 'basis', 'peak RSS'],
    ...timings.map((t) => [
      t.adapter,
      t.largest.map((value) => value.toPrecision(6)).join(', '),
      t.relative_error.toExponential(1),
      String(t.products),
      (t.ms / 1000).toFixed(2),
      mebibytes(t.basis_bytes),
      mebibytes(t.peak_rss_bytes),
    ]),
  ]);
}
