/** Generates shaders/softmax.wgsl. */
import source from '../shaders/softmax.wgsl';
import type { Bindings } from './bindings.js';
import { type Body, type Share, tiling } from './body.js';
import type { KernelLimits } from './kernel.js';
import { overLanes } from './lanes.js';
import type { SoftmaxStage } from './stage.js';
import { fillTemplate } from './template.js';
import { powerOfTwoFrom } from './workgroups.js';

/** A core that runs fewer invocations side by side gains nothing by lanes that read neighbours and wait for each other. */
const WIDE = 32;
/** Rows for each invocation that runs beside others, so that every core has enough without lanes. */
const FILLED = 8;

/** Rows of a workgroup and lanes of a row, of a few columns each: short rows share a workgroup of 64 invocations. */
export function splitRows(
  rows: number,
  columns: number,
  limits: KernelLimits,
  share?: Share,
  { columnsEach = 4, rowsOfBatch = rows } = {},
) {
  const most = share?.threads ?? Math.min(256, limits.maxComputeInvocationsPerWorkgroup);
  const filled = rows >= FILLED * limits.parallelInvocations;
  const isWide = limits.coreInvocations >= WIDE || !filled;
  let lanes = isWide ? Math.min(powerOfTwoFrom(columns / columnsEach), most) : 1;
  let rowsPerGroup = Math.min(powerOfTwoFrom(rows), Math.max(1, 64 / lanes));
  if (share !== undefined) {
    rowsPerGroup = Math.min(share.threads / lanes, share.tile?.rows ?? share.threads);
    lanes = share.threads / rowsPerGroup;
  }
  const constants = [
    `const ROWS = ${rows};`,
    `const COLUMNS = ${columns};`,
    `const ROWS_PER_GROUP = ${rowsPerGroup};`,
    `const LANES = ${lanes};`,
  ];
  const { ofTile, tiles } = tiling(rows, rowsOfBatch, share?.tile ?? null);
  const groups = tiles * Math.ceil(ofTile / rowsPerGroup);
  return { lanes, threads: rowsPerGroup * lanes, groups, constants };
}

export function softmaxBody(
  stage: SoftmaxStage,
  bindings: Bindings,
  limits: KernelLimits,
  share?: Share,
): Body {
  const axes = ['i', 'j'];
  const load = bindings.load(stage.input, axes);
  const store = bindings.store(stage.output, axes, 'p');
  const { lanes, threads, groups, constants } = splitRows(stage.rows, stage.columns, limits, share);
  const { text, extensions } = overLanes({ threads, lanes }, limits, { max: 'f32', sum: 'f32' });
  return {
    threads,
    groups,
    extensions,
    inFrame: (frame) =>
      fillTemplate(source, {
        ...frame,
        constants,
        lanes: text,
        input: ['fn input(i: i32, j: i32) -> f32 {', `  return ${load};`, '}'],
        output: [store],
      }),
  };
}
