/** Generates shaders/scatter_add.wgsl. */
import template from '../shaders/scatter_add.wgsl';
import type { Bindings } from './bindings.js';
import type { Body, Share } from './body.js';
import type { KernelLimits } from './kernel.js';
import type { ScatterAddStage } from './stage.js';
import { fillTemplate } from './template.js';

/** Invocations of a workgroup, alone. */
const alone = 64;

/** Its rows are those of the table: it has no tiles of rows of a batch. */
export function scatterAddBody(
  stage: ScatterAddStage,
  bindings: Bindings,
  _: KernelLimits,
  share?: Share,
): Body {
  const { count, size, width } = stage;
  const id = bindings.loadInt(stage.ids, ['n']);
  const source = bindings.load(stage.source, ['n', 'j']);
  const store = bindings.store(stage.target, ['v', 'j'], 'sum');
  const threads = share?.threads ?? alone;
  // Every workgroup goes through all ids, so wide rows are worth a few columns an invocation.
  const columnsEach = Math.min(4, Math.ceil(width / threads));
  return {
    threads,
    groups: size * Math.ceil(width / (threads * columnsEach)),
    inFrame: (frame) =>
      fillTemplate(template, {
        ...frame,
        constants: [
          `const COUNT = ${count};`,
          `const SIZE = ${size};`,
          `const WIDTH = ${width};`,
          `const COLUMNS_EACH = ${columnsEach};`,
          `const THREADS = ${threads};`,
        ],
        operands: [
          'fn id(n: i32) -> i32 {',
          `  return ${id};`,
          '}',
          'fn source(n: i32, j: i32) -> f32 {',
          `  return ${source};`,
          '}',
        ],
        output: [store],
      }),
  };
}
