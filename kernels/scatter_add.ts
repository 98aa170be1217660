/** Generates shaders/scatter_add.wgsl. */
import template from '../shaders/scatter_add.wgsl';
import type { Bindings } from './bindings.js';
import type { Body, Share } from './body.js';
import type { KernelLimits } from './kernel.js';
import { quadsAlong, wholeQuads } from './quads.js';
import type { Scalar, ScatterAddStage } from './stage.js';
import { fillTemplate } from './template.js';
import { powerOfTwoFrom } from './workgroups.js';

/** Invocations of a workgroup, alone: rows wider than these are divided, narrower ones share it. */
const [LEAST, MOST] = [64, 256];

/** Words of matches in workgroup memory for each invocation. */
const WORDS_EACH = 4;

/** Its rows are those of the table: it has no tiles of rows of a batch. */
export function scatterAddBody(
  stage: ScatterAddStage,
  bindings: Bindings,
  { maxComputeInvocationsPerWorkgroup }: KernelLimits,
  share?: Share,
): Body {
  const { count, size, width } = stage;
  const load: Scalar = { kind: 'load', ref: stage.source, gather: null };
  const wanted = quadsAlong(1, width, [load], [stage.target], bindings);
  const byQuads = bindings.areQuads(wanted);
  // Four columns share the walk along the ids, whether or not they are one vector in memory.
  const each = width % 4 === 0 ? 4 : 1;
  const columns = ['j', '(j + 1)', '(j + 2)', '(j + 3)'].slice(0, each);
  const id = bindings.loadInt(stage.ids, ['n']);
  const elements = columns.map((j) => bindings.load(stage.source, ['n', j]));
  const source = byQuads ? bindings.loadQuad(stage.source, ['n', 'j']) : `Value(${elements.join(', ')})`;
  const output = byQuads
    ? [bindings.storeQuad(stage.target, ['v', 'j'], 'sum')]
    : columns.map((j, c) => bindings.store(stage.target, ['v', j], each === 1 ? 'sum' : `sum[${c}]`));

  const line = powerOfTwoFrom(width / each);
  const alone = Math.min(MOST, maxComputeInvocationsPerWorkgroup, Math.max(LEAST, line));
  const threads = share?.threads ?? alone;
  const lanes = Math.min(line, threads);
  const rows = Math.min(threads / lanes, powerOfTwoFrom(size));
  const words = Math.min(Math.ceil(count / 32), (WORDS_EACH * threads) / rows);
  return {
    threads,
    groups: Math.ceil(size / rows) * Math.ceil(width / (lanes * each)),
    quads: wholeQuads(wanted, true),
    inFrame: (frame) =>
      fillTemplate(template, {
        ...frame,
        constants: [
          `const COUNT = ${count};`,
          `const SIZE = ${size};`,
          `const WIDTH = ${width};`,
          `const ROWS = ${rows};`,
          `const LANES = ${lanes};`,
          `const THREADS = ${threads};`,
          `const WORDS = ${words};`,
          `const EACH = ${each};`,
          `alias Value = ${each === 4 ? 'vec4<f32>' : 'f32'};`,
        ],
        operands: [
          'fn id(n: i32) -> i32 {',
          `  return ${id};`,
          '}',
          'fn source(n: i32, j: i32) -> Value {',
          `  return ${source};`,
          '}',
        ],
        output,
      }),
  };
}
