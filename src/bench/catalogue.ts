/** What can be benchmarked, by name. */
import { cells } from '../cells/index.js';
import { KronogradError } from '../errors.js';
import type { Precision } from '../train/step-program.js';
import { requireModel } from './curvature-model.js';
import { gemmWork, rankRtWork } from './product-work.js';
import { trainingWork } from './training-work.js';
import type { Work } from './work.js';
import { resolveWorkload, type Workload, type WorkloadSizes } from './workload.js';

/** What `curvatureItemsOf` is for. */
export const CURVATURE_BENCHMARKS = ['hvp', 'lanczos'] as const;

/** A training step for every cell, single kernels, curvature, and of a GPU what tuning finds and its fixed costs. */
export const BENCHMARKS: readonly string[] = [
  ...Object.keys(cells),
  'gemm',
  'rank-rt',
  ...CURVATURE_BENCHMARKS,
  'tune',
  'probes',
];

export interface WorkRequest {
  readonly name: string;
  readonly workloads: readonly string[];
  readonly sizes: WorkloadSizes;
  /** Mixed: beside float32. */
  readonly precision?: Precision;
}

/** Something to time, and whether it wants a GPU. */
export interface Item {
  readonly label: string;
  readonly gpuOnly: boolean;
  /** Made when its turn comes: a program takes time and memory. */
  readonly work: () => Work;
}

/** Curvature of a model of `--cell` at a workload. */
export interface CurvatureItem {
  readonly label: string;
  readonly gpuOnly: boolean;
  readonly model: string;
  readonly workload: Workload;
}

/** Each cell, or `fnn`, at each workload. @throws KronogradError OPTION for an unknown cell, workload or size. */
export function curvatureItemsOf(
  models: readonly string[],
  { name, workloads, sizes }: WorkRequest,
): CurvatureItem[] {
  const resolved = workloads.map((each) => resolveWorkload(each, sizes));
  return models.map(requireModel).flatMap((model) =>
    resolved.map((workload) => ({
      label: `${name} ${model} ${workload.name}`,
      gpuOnly: workload.gpuOnly,
      model,
      workload,
    })),
  );
}

/** @throws KronogradError OPTION for an unknown name, workload or size. */
export function itemsOf({ name, workloads, sizes, precision = 'float32' }: WorkRequest): Item[] {
  if (!BENCHMARKS.includes(name))
    throw new KronogradError('OPTION', `there is no benchmark '${name}'`, {
      where: 'kronograd bench',
      fix: `use one of ${BENCHMARKS.join(', ')}`,
    });
  const resolved = workloads.map((each) => resolveWorkload(each, sizes));
  const inEach = (make: (precision: Precision) => Work): Work =>
    precision === 'mixed' ? { ...make('float32'), mixed: make('mixed') } : make(precision);
  if (name === 'gemm')
    return [512, 2048].map((n) => ({
      label: `gemm ${n}`,
      gpuOnly: n > 512,
      work: () => inEach((each) => gemmWork(n, each)),
    }));
  const make = (workload: Workload, each: Precision) =>
    name === 'rank-rt' ? rankRtWork(workload, each) : trainingWork(name, workload, { precision: each });
  return resolved.map((workload) => ({
    label: `${name} ${workload.name}`,
    gpuOnly: workload.gpuOnly,
    work: () => inEach((each) => make(workload, each)),
  }));
}

/** For what has one precision. */
export const noPrecisions = (name: string): KronogradError =>
  new KronogradError('OPTION', `${name} has no mixed precision: training steps and products have`, {
    where: '--precision',
    fix: `leave it out, or time one of ${[...Object.keys(cells), 'gemm', 'rank-rt'].join(', ')}`,
  });
