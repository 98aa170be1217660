/** Generates shaders/softmax.wgsl. */
import source from '../shaders/softmax.wgsl';
import { Bindings } from './bindings.js';
import { costOf } from './cost.js';
import type { Kernel, KernelLimits } from './kernel.js';
import { calledFunctions } from './scalars.js';
import type { BufferSpec, SoftmaxStage } from './stage.js';
import { fillTemplate } from './template.js';
import { foldedWorkgroup, foldWorkgroups, powerOfTwoFrom } from './workgroups.js';

/** Rows of a workgroup and lanes of a row, of a few columns each: short rows share a workgroup of 64 invocations. */
export function splitRows(rows: number, columns: number, limits: KernelLimits, columnsEach = 4) {
  const lanes = Math.min(
    powerOfTwoFrom(columns / columnsEach),
    256,
    limits.maxComputeInvocationsPerWorkgroup,
  );
  const rowsPerGroup = Math.min(powerOfTwoFrom(rows), Math.max(1, 64 / lanes));
  const workgroups = foldWorkgroups(Math.ceil(rows / rowsPerGroup), limits.maxComputeWorkgroupsPerDimension);
  const constants = [
    `const ROWS = ${rows};`,
    `const COLUMNS = ${columns};`,
    `const ROWS_PER_GROUP = ${rowsPerGroup};`,
    `const LANES = ${lanes};`,
  ];
  return { lanes, workgroups, constants };
}

export function softmaxKernel(
  stage: SoftmaxStage,
  buffers: readonly BufferSpec[],
  limits: KernelLimits,
): Kernel {
  const bindings = new Bindings(buffers);
  const axes = ['i', 'j'];
  const load = bindings.load(stage.input, axes);
  const store = bindings.store(stage.output, axes, 'p');
  const { workgroups, constants } = splitRows(stage.rows, stage.columns, limits);
  const code = fillTemplate(source, {
    bindings: bindings.declarations(limits),
    constants,
    functions: calledFunctions([source]),
    input: ['fn input(i: i32, j: i32) -> f32 {', `  return ${load};`, '}'],
    workgroup: [`let workgroup = ${foldedWorkgroup(workgroups)};`],
    output: [store],
  });
  return { code, workgroups, bindings: bindings.list, usesTime: bindings.usesTime, ...costOf(stage) };
}
