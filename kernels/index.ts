/** The table of kernels: a generator for each kind of stage. */
import { gemmKernel } from './gemm.js';
import { defaultLimits, type Kernel, type KernelLimits } from './kernel.js';
import { pointwiseKernel } from './pointwise.js';
import { reduceKernel } from './reduce.js';
import { rowsKernel } from './rows.js';
import { scatterAddKernel } from './scatter_add.js';
import { softmaxKernel } from './softmax.js';
import { softmaxCrossEntropyKernel } from './softmax_cross_entropy.js';
import type { BufferSpec, Stage } from './stage.js';

export { type Cost, costOf } from './cost.js';
export { type Binding, defaultLimits, type Kernel, type KernelLimits } from './kernel.js';

type Generator<S> = (stage: S, buffers: readonly BufferSpec[], limits: KernelLimits) => Kernel;

const generators: { readonly [K in Stage['kind']]: Generator<Extract<Stage, { kind: K }>> } = {
  pointwise: pointwiseKernel,
  rows: rowsKernel,
  gemm: gemmKernel,
  reduce: reduceKernel,
  softmax: softmaxKernel,
  softmaxCrossEntropy: softmaxCrossEntropyKernel,
  scatterAdd: scatterAddKernel,
};

/**
 * The shader of a stage for a device.
 * @param buffers all buffers of the schedule: the stage's references index them.
 * @throws KronogradError KERNEL when the stage touches more buffers than the device binds.
 */
export function generateKernel(
  stage: Stage,
  buffers: readonly BufferSpec[],
  limits: KernelLimits = defaultLimits,
): Kernel {
  const generator = generators[stage.kind] as Generator<Stage>;
  return generator(stage, buffers, limits);
}
