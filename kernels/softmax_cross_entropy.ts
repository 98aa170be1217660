/** Generates shaders/softmax_cross_entropy.wgsl. */
import source from '../shaders/softmax_cross_entropy.wgsl';
import type { Bindings } from './bindings.js';
import type { Body, Share } from './body.js';
import type { KernelLimits } from './kernel.js';
import { overLanes } from './lanes.js';
import { splitRows } from './softmax.js';
import type { SoftmaxCrossEntropyStage } from './stage.js';
import { fillTemplate } from './template.js';

/** A class number out of range turns the row into NaN: the loss shows it, and masked rows may hold anything. */
const unknownClass = [
  'if ((label < 0 || label >= COLUMNS) && w != 0f) {',
  '  scale = from_bits(0x7fc00000u);',
  '}',
];

export function softmaxCrossEntropyBody(
  stage: SoftmaxCrossEntropyStage,
  bindings: Bindings,
  limits: KernelLimits,
  share?: Share,
): Body {
  const { target, loss, gradient } = stage;
  const byClass = target.kind === 'classes';
  const define = (head: string, body: string) => [`fn ${head} {`, `  return ${body};`, '}'];
  const operands = [
    ...define('logit(i: i32, j: i32) -> f32', bindings.load(stage.logits, ['i', 'j'])),
    ...define('row_weight(i: i32) -> f32', bindings.load(stage.weight, ['i'])),
    ...define('row_class(i: i32) -> i32', byClass ? bindings.loadInt(target.ref, ['i']) : '0'),
    ...define(
      'target_at(i: i32, j: i32, label: i32) -> f32',
      byClass ? 'select(0f, 1f, j == label)' : bindings.load(target.ref, ['i', 'j']),
    ),
  ];
  const lossStore = loss === null ? [] : [bindings.store(loss, ['i'], 'loss')];
  const gradientStore = gradient === null ? [] : [bindings.store(gradient, ['i', 'j'], 'gradient')];
  const { lanes, threads, groups, constants } = splitRows(stage.rows, stage.columns, limits, share);
  const types = { max: 'f32', sum: 'vec3<f32>' };
  const { text, extensions } = overLanes({ threads, lanes }, limits, types);
  return {
    threads,
    groups,
    extensions,
    inFrame: (frame) =>
      fillTemplate(source, {
        ...frame,
        constants,
        lanes: text,
        operands,
        unknown: byClass ? unknownClass : [],
        loss: lossStore,
        gradient: gradientStore,
      }),
  };
}
