/** What `kronograd curvature` finds out, and how it says it. */
import type { Tensor } from '../backend/backend.js';
import { markdownTable } from '../bench/table.js';
import type { CurvatureBatch } from '../curvature/batch-products.js';
import { gaussNewtonBlock, hessianBlock } from '../curvature/blocks.js';
import { lanczos } from '../curvature/lanczos.js';
import type { LinearOperator } from '../curvature/linear-operator.js';
import { gaussNewtonOperator, hessianOperator } from '../curvature/model-operator.js';
import { type SpectralDensity, spectralDensity } from '../curvature/spectral-density.js';
import { type Estimate, hutchinson, hutchPlusPlus } from '../curvature/trace.js';
import type { VectorSpace } from '../curvature/vector-space.js';
import type { Model } from '../model/model.js';
import { Objective } from '../optim/objective.js';
import { lineChart } from '../plot/line-chart.js';

export interface ReportOptions {
  readonly ggn: boolean;
  /** How many of the largest and of the smallest eigenvalues. */
  readonly top: number;
  readonly bottom: number;
  readonly density: boolean;
  readonly trace: boolean;
  readonly blocks: boolean;
  readonly seed: number;
}

export interface Eigenvalue {
  readonly value: number;
  readonly error: number;
}

export interface BlockReport {
  /** The parameter that it is the diagonal block of. */
  readonly name: string;
  readonly parameters: number;
  readonly largest: Eigenvalue;
  readonly trace: Estimate;
}

export interface CurvatureReport {
  readonly matrix: 'Hessian' | 'Gauss-Newton matrix';
  readonly parameters: number;
  readonly loss: number;
  readonly gradientNorm: number;
  readonly largest: readonly Eigenvalue[];
  readonly smallest: readonly Eigenvalue[];
  /** Products with the matrix that the eigenvalues took, and whether all of them are within the tolerance. */
  readonly products: number;
  readonly converged: boolean;
  readonly trace?: Estimate;
  readonly squaredFrobeniusNorm?: Estimate;
  readonly density?: SpectralDensity;
  readonly blocks?: readonly BlockReport[];
}

/** Errors of eigenvalues, as a share of the largest one. */
const TOLERANCE = 1e-4;
/** Products for a trace by Hutch++ and probes for the norm. */
const TRACE_PRODUCTS = 60;
const NORM_PROBES = 32;
const BLOCK_PROBES = 16;

/** @throws KronogradError as `lanczos`, `spectralDensity` and `hutchPlusPlus` do */
export async function curvatureReport(
  space: VectorSpace,
  problem: { readonly model: Model; readonly theta: Tensor; readonly batches: readonly CurvatureBatch[] },
  options: ReportOptions,
): Promise<CurvatureReport> {
  const { ggn, top: largest, bottom: smallest, seed } = options;
  using operator = ggn ? gaussNewtonOperator(space, problem) : hessianOperator(space, problem);
  const { loss, gradientNorm } = await lossAndGradient(space, problem);
  const found =
    largest + smallest > 0 ? await eigenvalues(operator, { largest, smallest, seed }) : NO_EIGENVALUES;
  return {
    matrix: ggn ? 'Gauss-Newton matrix' : 'Hessian',
    parameters: operator.shape[0],
    ...{ loss, gradientNorm },
    ...found,
    ...(options.trace && (await traceAndNorm(operator, seed))),
    ...(options.density && { density: await spectralDensity(operator, { seed }) }),
    ...(options.blocks && { blocks: await blockReports(space, problem, options) }),
  };
}

const NO_EIGENVALUES = { largest: [], smallest: [], products: 0, converged: true };

async function eigenvalues(
  operator: LinearOperator,
  wanted: { readonly largest: number; readonly smallest: number; readonly seed: number },
) {
  using found = await lanczos(operator, { ...wanted, tolerance: TOLERANCE });
  const paired = ({ values, errors }: typeof found.largest): Eigenvalue[] =>
    values.map((value, i) => ({ value, error: errors[i]! }));
  return {
    largest: paired(found.largest),
    smallest: paired(found.smallest),
    products: found.steps,
    converged: found.converged,
  };
}

async function lossAndGradient(
  space: VectorSpace,
  { model, theta, batches }: Parameters<typeof curvatureReport>[1],
) {
  using objective = new Objective(space, model, theta);
  using gradient = space.vector(model.parameters.size);
  using sum = space.vector(model.parameters.size);
  let loss = 0;
  for (const [i, batch] of batches.entries()) {
    loss += (await objective.gradient(batch, gradient)).loss;
    await space.combine(1, gradient, i === 0 ? 0 : 1, sum);
  }
  return { loss, gradientNorm: Math.sqrt(await space.dot(sum, sum)) };
}

async function traceAndNorm(operator: LinearOperator, seed: number) {
  const trace = await hutchPlusPlus(operator, { products: TRACE_PRODUCTS, seed });
  const { squaredFrobeniusNorm } = await hutchinson(operator, { probes: NORM_PROBES, seed });
  return { trace, squaredFrobeniusNorm };
}

async function blockReports(
  space: VectorSpace,
  problem: Parameters<typeof curvatureReport>[1],
  { ggn, seed }: ReportOptions,
): Promise<BlockReport[]> {
  const reports: BlockReport[] = [];
  for (const { name } of problem.model.parameters.specs) {
    using block = ggn ? gaussNewtonBlock(space, problem, name) : hessianBlock(space, problem, name);
    const { largest } = await eigenvalues(block, { largest: 1, smallest: 0, seed });
    const { trace } = await hutchinson(block, { probes: BLOCK_PROBES, seed });
    reports.push({ name, parameters: block.shape[0], largest: largest[0]!, trace });
  }
  return reports;
}

/** The report for people. */
export function reportLines(report: CurvatureReport): string[] {
  const { matrix, parameters, loss, gradientNorm, largest, smallest, trace, squaredFrobeniusNorm } = report;
  const lines = [
    `${matrix} of ${parameters.toLocaleString('en')} parameters; loss ${short(loss)}, gradient norm ${short(gradientNorm)}`,
  ];
  if (largest.length + smallest.length > 0) lines.push('', eigenvalueTable(report), '', ...remarks(report));
  if (trace !== undefined)
    lines.push('', `trace ${estimate(trace)}, mean eigenvalue ${short(trace.value / parameters)}`);
  if (squaredFrobeniusNorm !== undefined)
    lines.push(`squared Frobenius norm ${estimate(squaredFrobeniusNorm)}`);
  if (report.blocks !== undefined) lines.push('', blockTable(report.blocks));
  if (report.density !== undefined) lines.push('', ...densityLines(report.density));
  return lines;
}

function eigenvalueTable({ largest, smallest }: CurvatureReport): string {
  const rows = (kind: string, pairs: readonly Eigenvalue[]) =>
    pairs.map(({ value, error }, i) => [`${kind} ${i + 1}`, short(value), `+- ${error.toExponential(1)}`]);
  return markdownTable([
    ['eigenvalue', 'value', 'error of Lanczos'],
    ...rows('largest', largest),
    ...rows('smallest', smallest),
  ]);
}

/** What the eigenvalues mean. */
function remarks({ matrix, largest, smallest, products, converged }: CurvatureReport): string[] {
  const lines = [`${products} products by Lanczos`];
  if (!converged)
    lines.push('not all errors are within the tolerance: an end of the spectrum is crowded, or flat');
  const [top, bottom] = [largest[0], smallest[0]];
  if (top !== undefined && top.value > 0)
    lines.push(
      `gradient descent is stable up to a learning rate of about ${short(2 / top.value)}, 2 / largest`,
    );
  if (bottom === undefined) return lines;
  const isNegative = bottom.value < -bottom.error;
  if (matrix === 'Hessian' && isNegative) {
    const share =
      top !== undefined && top.value > 0
        ? `, ${short((-100 * bottom.value) / top.value)} % of the largest`
        : '';
    lines.push(`negative curvature: ${short(bottom.value)}${share}; this is no minimum`);
  } else if (top !== undefined && bottom.value > bottom.error)
    lines.push(`condition ${short(top.value / bottom.value)}`);
  else lines.push('the smallest eigenvalue is 0 within its error: singular');
  return lines;
}

const blockTable = (blocks: readonly BlockReport[]): string =>
  markdownTable([
    ['diagonal block', 'parameters', 'largest eigenvalue', 'trace'],
    ...blocks.map(({ name, parameters, largest: { value, error }, trace }) => [
      name,
      parameters.toLocaleString('en'),
      `${short(value)} +- ${error.toExponential(1)}`,
      estimate(trace),
    ]),
  ]);

/** The share of eigenvalues in each tenth of the grid. */
function densityLines({ grid, density }: SpectralDensity): string[] {
  const total = density.reduce((sum, x) => sum + x, 0);
  const tenth = Math.ceil(grid.length / 10);
  const rows: string[][] = [];
  for (let from = 0; from < grid.length; from += tenth) {
    const share = density.slice(from, from + tenth).reduce((sum, x) => sum + x, 0) / total;
    const to = Math.min(from + tenth, grid.length - 1);
    rows.push([`${short(grid[from]!)} to ${short(grid[to]!)}`, `${(100 * share).toFixed(2)} %`]);
  }
  return [markdownTable([['eigenvalues', 'share'], ...rows])];
}

/** What is so much less than the highest density is not drawn. */
const LEAST = 1e-6;

/** The density as a picture; on a log scale, for most eigenvalues lie in one place. */
export function densityChart({ matrix, density }: CurvatureReport, source: string): string {
  const { grid, density: values, standardErrors } = density!;
  const least = LEAST * Math.max(...values);
  const line = (name: string, of: (value: number, i: number) => number) => ({
    name,
    points: values.map((value, i) => [grid[i]!, value < least ? Number.NaN : of(value, i)] as const),
  });
  return lineChart({
    title: `Eigenvalues of the ${matrix}, ${source}`,
    x: { label: 'eigenvalue' },
    y: { label: 'density', scale: 'log' },
    series: [
      line('with its standard error', (value, i) => value + standardErrors[i]!),
      line('density', (value) => value),
    ],
  });
}

const short = (x: number): string => String(Number(x.toPrecision(5)));
const estimate = ({ value, standardError }: Estimate): string =>
  `${short(value)} +- ${short(Number(standardError.toPrecision(2)))}`;
