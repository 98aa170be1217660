/** Generates shaders/reduce.wgsl. */
import source from '../shaders/reduce.wgsl';
import { collapseAxes, product, unravel } from './affine.js';
import { Bindings } from './bindings.js';
import { costOf } from './cost.js';
import type { Kernel, KernelLimits } from './kernel.js';
import { calledFunctions, indicesOf, mapIndices, scalarStatements } from './scalars.js';
import type { Affine, BufferSpec, ReduceStage } from './stage.js';
import { fillTemplate } from './template.js';
import { foldedWorkgroup, foldWorkgroups, powerOfTwoFrom } from './workgroups.js';

/**
 * Outputs and lanes of a workgroup. A contiguous kept axis wants a run of outputs side by side; whatever the
 * outputs cannot use goes to lanes, and the other way round.
 */
function split(kept: number, reduced: number, keptIsContiguous: boolean, threads: number) {
  const most = (n: number, room: number) => Math.min(powerOfTwoFrom(n), room);
  if (keptIsContiguous) {
    const outputs = most(kept, 32);
    const lanes = most(reduced, threads / outputs);
    return { outputs: most(kept, threads / lanes), lanes };
  }
  const lanes = most(reduced, threads);
  return { outputs: most(kept, threads / lanes), lanes };
}

export function reduceKernel(
  stage: ReduceStage,
  buffers: readonly BufferSpec[],
  limits: KernelLimits,
): Kernel {
  const outer = stage.kept.length;
  const indices = indicesOf(stage.scalars);
  const part =
    (from: number, to?: number) =>
    <T extends Affine>(index: T): T => ({ ...index, strides: index.strides.slice(from, to) });
  const keptDomain = collapseAxes(stage.kept, [...indices.map(part(0, outer)), ...stage.stores]);
  const reducedDomain = collapseAxes(stage.reduced, indices.map(part(outer)));
  const narrow = <T extends Affine>(index: T): T => ({
    ...index,
    strides: [
      ...keptDomain.narrow(part(0, outer)(index)).strides,
      ...reducedDomain.narrow(part(outer)(index)).strides,
    ],
  });

  const bindings = new Bindings(buffers);
  const [outputPlaces, outputAxes] = unravel('output', keptDomain.shape, 'i');
  const [elementPlaces, elementAxes] = unravel('element', reducedDomain.shape, 'j');
  const scalars = mapIndices(stage.scalars, narrow);
  const statements = scalarStatements(scalars, [stage.value], [...outputAxes, ...elementAxes], bindings);
  const stores = stage.stores.map((ref) => bindings.store(keptDomain.narrow(ref), outputAxes, 'sum'));

  const kept = product(keptDomain.shape);
  const reduced = product(reducedDomain.shape);
  const innermostKept = outputAxes.length - 1;
  const keptIsContiguous = indicesOf(scalars).some(({ strides }) => strides[innermostKept] === 1);
  const threads = Math.min(256, limits.maxComputeInvocationsPerWorkgroup);
  const { outputs, lanes } = split(kept, reduced, keptIsContiguous, threads);
  const workgroups = foldWorkgroups(Math.ceil(kept / outputs), limits.maxComputeWorkgroupsPerDimension);
  const code = fillTemplate(source, {
    bindings: bindings.declarations(limits),
    constants: [
      `const KEPT = ${kept};`,
      `const REDUCED = ${reduced};`,
      `const OUTPUTS = ${outputs};`,
      `const LANES = ${lanes};`,
    ],
    functions: calledFunctions(statements),
    value: [
      'fn value(output: i32, element: i32) -> f32 {',
      ...[...outputPlaces, ...elementPlaces, ...statements, `return s${stage.value};`].map(
        (line) => `  ${line}`,
      ),
      '}',
    ],
    workgroup: [`let workgroup = ${foldedWorkgroup(workgroups)};`],
    place: keptIsContiguous
      ? ['let lane = thread / OUTPUTS;', 'let slot = thread % OUTPUTS;']
      : ['let lane = thread % LANES;', 'let slot = thread / LANES;'],
    stores: [...outputPlaces, ...stores],
  });
  return { code, workgroups, bindings: bindings.list, usesTime: bindings.usesTime, ...costOf(stage) };
}
