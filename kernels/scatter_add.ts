/** Generates shaders/scatter_add.wgsl. */
import template from '../shaders/scatter_add.wgsl';
import { Bindings } from './bindings.js';
import { costOf } from './cost.js';
import type { Kernel, KernelLimits } from './kernel.js';
import type { BufferSpec, ScatterAddStage } from './stage.js';
import { fillTemplate } from './template.js';
import { foldedWorkgroup, foldWorkgroups } from './workgroups.js';

/** Invocations of a workgroup: THREADS of the shader. */
const threads = 64;

export function scatterAddKernel(
  stage: ScatterAddStage,
  buffers: readonly BufferSpec[],
  limits: KernelLimits,
): Kernel {
  const { count, size, width } = stage;
  const bindings = new Bindings(buffers);
  const id = bindings.loadInt(stage.ids, ['n']);
  const source = bindings.load(stage.source, ['n', 'j']);
  const store = bindings.store(stage.target, ['v', 'j'], 'sum');
  // Every workgroup goes through all ids, so wide rows are worth a few columns an invocation.
  const columnsEach = Math.min(4, Math.ceil(width / threads));
  const groups = size * Math.ceil(width / (threads * columnsEach));
  const workgroups = foldWorkgroups(groups, limits.maxComputeWorkgroupsPerDimension);
  const code = fillTemplate(template, {
    bindings: bindings.declarations(limits),
    constants: [
      `const COUNT = ${count};`,
      `const SIZE = ${size};`,
      `const WIDTH = ${width};`,
      `const COLUMNS_EACH = ${columnsEach};`,
    ],
    operands: [
      'fn id(n: i32) -> i32 {',
      `  return ${id};`,
      '}',
      'fn source(n: i32, j: i32) -> f32 {',
      `  return ${source};`,
      '}',
    ],
    workgroup: [`let workgroup = ${foldedWorkgroup(workgroups)};`],
    output: [store],
  });
  return { code, workgroups, bindings: bindings.list, usesTime: bindings.usesTime, ...costOf(stage) };
}
