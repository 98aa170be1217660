/** The kernels: a body for each kind of stage, and the compositions of them. */
import { Bindings } from './bindings.js';
import { type Body, kernelOf, type Share } from './body.js';
import { elementBytes } from './cost.js';
import { defaultLimits, type Kernel, type KernelLimits, limitsFor } from './kernel.js';
import { parallelBody } from './parallel.js';
import { pointwiseBody } from './pointwise.js';
import { productBody } from './product.js';
import { claimOf, grantedQuads } from './quads.js';
import { reduceBody } from './reduce.js';
import { rowsBody } from './rows.js';
import { scatterAddBody } from './scatter_add.js';
import { sequenceBody, stepBody } from './sequence.js';
import { roomForProducts, shareMemory } from './sharing.js';
import { softmaxBody } from './softmax.js';
import { softmaxCrossEntropyBody } from './softmax_cross_entropy.js';
import type { BufferSpec, Stage } from './stage.js';
import { costOfTask, dispatchesOf, type SequenceTask, stagesOf, type Task } from './task.js';

export { type Cost, costOf } from './cost.js';
export { type Binding, defaultLimits, type Kernel, type KernelLimits } from './kernel.js';

type Generator<S> = (stage: S, bindings: Bindings, limits: KernelLimits, share?: Share) => Body;

const generators: { readonly [K in Stage['kind']]: Generator<Extract<Stage, { kind: K }>> } = {
  pointwise: pointwiseBody,
  rows: rowsBody,
  gemm: productBody,
  reduce: reduceBody,
  softmax: softmaxBody,
  softmaxCrossEntropy: softmaxCrossEntropyBody,
  scatterAdd: scatterAddBody,
};

/**
 * The shader of a task for a device.
 * @param buffers all buffers of the schedule: the stages' references index them.
 * @throws KronogradError KERNEL when the task touches more buffers than the device binds.
 */
export function generateKernel(
  task: Task,
  buffers: readonly BufferSpec[],
  limits: KernelLimits = defaultLimits,
): Kernel {
  const leaves = leavesOf(task, limitsFor(buffers, limits));
  const generate = ({ stage, share }: Leaf) => {
    const generator = generators[stage.kind] as Generator<Stage>;
    return (bindings: Bindings) => generator(stage, bindings, limits, share);
  };
  const claims = leaves.map((leaf) => claimOf(generate(leaf), buffers));
  const bindings = new Bindings(buffers, grantedQuads(claims));
  const bodies = leaves.map((leaf) => generate(leaf)(bindings));
  const { flops, bytes } = costOfTask(task, elementBytes(buffers, limits));
  const dispatches = dispatchesOf(task);
  const cost = { flops: flops / dispatches, bytes: bytes / dispatches };
  return kernelOf(compose(task, bodies, bindings), bindings, limits, cost);
}

interface Leaf {
  readonly stage: Stage;
  /** Undefined: it has the shader to itself. */
  readonly share: Share | undefined;
}

/** The stages of a task, in the order of `stagesOf`. */
function leavesOf(task: Task, limits: KernelLimits): Leaf[] {
  if (task.kind === 'step') return [{ stage: task.stage, share: undefined }];
  if (task.kind !== 'sequence' && task.kind !== 'parallel') return [{ stage: task, share: undefined }];
  const ofSequence = ({ stages, shape: { threads, tileRows } }: SequenceTask, room: number): Leaf[] =>
    stages.map(({ stage, rowAxis }) => ({
      stage,
      share: { threads, room, tile: { axis: rowAxis, rows: tileRows } },
    }));
  if (task.kind === 'sequence')
    return ofSequence(task, roomForProducts(stagesOf(task), task.shape.threads, limits));
  const { parts, threads } = task;
  const { rooms } = shareMemory(parts, threads, limits)!;
  return parts.flatMap((part, n) =>
    part.kind === 'sequence'
      ? ofSequence(part, rooms[n]!)
      : [
          {
            stage: part.kind === 'step' ? part.stage : part,
            share: { threads, room: rooms[n]!, tile: null },
          },
        ],
  );
}

/** The task's body from those of its stages. */
function compose(
  task: Task,
  bodies: readonly Body[],
  bindings: Bindings,
  dispatches = dispatchesOf(task),
): Body {
  if (task.kind === 'sequence') return sequenceBody(task, bodies, bindings, dispatches);
  if (task.kind === 'step') return stepBody(task, bodies[0]!, bindings, dispatches);
  if (task.kind !== 'parallel') return bodies[0]!;
  let taken = 0;
  return parallelBody(
    task.parts.map((part) => {
      const own = bodies.slice(taken, (taken += stagesOf(part).length));
      return compose(part, own, bindings, dispatches);
    }),
  );
}
