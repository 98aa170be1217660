/** Generates shaders/pointwise.wgsl. */
import source from '../shaders/pointwise.wgsl';
import { collapseAxes, product, unravel } from './affine.js';
import { Bindings } from './bindings.js';
import { costOf } from './cost.js';
import type { Kernel, KernelLimits } from './kernel.js';
import { calledFunctions, indicesOf, mapIndices, scalarStatements } from './scalars.js';
import type { BufferSpec, PointwiseStage } from './stage.js';
import { fillTemplate } from './template.js';
import { foldedWorkgroup, foldWorkgroups, powerOfTwoFrom } from './workgroups.js';

export function pointwiseKernel(
  stage: PointwiseStage,
  buffers: readonly BufferSpec[],
  limits: KernelLimits,
): Kernel {
  const { shape, narrow } = collapseAxes(stage.shape, [
    ...indicesOf(stage.scalars),
    ...stage.stores.map(({ ref }) => ref),
  ]);
  const bindings = new Bindings(buffers);
  const [places, axes] = unravel('element', shape, 'i');
  const scalars = scalarStatements(
    mapIndices(stage.scalars, narrow),
    stage.stores.map(({ value }) => value),
    axes,
    bindings,
  );
  const stores = stage.stores.map(({ ref, value }) => bindings.store(narrow(ref), axes, `s${value}`));

  const elements = product(shape);
  const threads = Math.min(256, limits.maxComputeInvocationsPerWorkgroup, powerOfTwoFrom(elements));
  const workgroups = foldWorkgroups(Math.ceil(elements / threads), limits.maxComputeWorkgroupsPerDimension);
  const code = fillTemplate(source, {
    bindings: bindings.declarations(limits),
    constants: [`const ELEMENTS = ${elements};`, `const THREADS = ${threads};`],
    functions: calledFunctions(scalars),
    workgroup: [`let workgroup = ${foldedWorkgroup(workgroups)};`],
    element: [...places, ...scalars, ...stores],
  });
  return { code, workgroups, bindings: bindings.list, usesTime: bindings.usesTime, ...costOf(stage) };
}
