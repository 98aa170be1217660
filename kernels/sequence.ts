/** Generates shaders/sequence.wgsl. */
import source from '../shaders/sequence.wgsl';
import type { Bindings } from './bindings.js';
import { type Body, bareCode, extensionsOf } from './body.js';
import { suffixed } from './namespace.js';
import type { SequenceTask, Steps, StepTask } from './task.js';
import { fillTemplate } from './template.js';

/**
 * @param bodies those of the task's stages, each in tiles of its rows.
 * @param dispatches of the shader.
 */
export function sequenceBody(
  task: SequenceTask,
  bodies: readonly Body[],
  bindings: Bindings,
  dispatches: number,
): Body {
  const { rows, shape } = task;
  const tiles = Math.ceil(rows / shape.tileRows);
  const stages = bodies.map((body, n) => suffixed(bareCode(body), `_${n}`));
  const step = bodies.flatMap(({ groups }, n) => {
    const ofTile = groups / tiles;
    // Workgroup memory that one call still reads must not be written by the next.
    const barrier = stages[n]!.includes('var<workgroup>') ? ['workgroupBarrier();'] : [];
    const calls =
      ofTile === 1
        ? [`run_${n}(workgroup, thread);`, ...barrier]
        : [
            `for (var part = 0; part < ${ofTile}; part++) {`,
            ...[`run_${n}(workgroup * ${ofTile} + part, thread);`, ...barrier].map((line) => `  ${line}`),
            '}',
          ];
    return [...calls, 'storageBarrier();'];
  });
  return {
    threads: shape.threads,
    groups: tiles,
    extensions: extensionsOf(bodies),
    inFrame: overTime(task, stages, step, bindings, dispatches),
  };
}

/** One stage, once in a dispatch. */
export function stepBody(task: StepTask, body: Body, bindings: Bindings, dispatches: number): Body {
  const stage = suffixed(bareCode(body), '_0');
  const step = ['run_0(workgroup, thread);'];
  return { ...body, inFrame: overTime({ ...task, chunk: 1 }, [stage], step, bindings, dispatches) };
}

function overTime(
  { first, count, direction, chunk, delay }: Steps,
  stages: readonly string[],
  step: readonly string[],
  bindings: Bindings,
  dispatches: number,
): Body['inFrame'] {
  const hasSeveral = dispatches > 1;
  bindings.ownTime(hasSeveral);
  return (frame) =>
    fillTemplate(source, {
      ...frame,
      constants: [
        `const FIRST = ${first};`,
        `const DIRECTION = ${direction};`,
        `const COUNT = ${count};`,
        `const CHUNK = ${chunk};`,
        `const DELAY = ${delay};`,
      ],
      stages: stages.flatMap((stage) => [stage, '']),
      begin: [`let begin = ${hasSeveral ? 'first.t - DELAY' : '0'};`],
      step,
    });
}
