/** A stage in a few words, for error messages and printed schedules. */
import type { Stage } from './stage.js';
import { stagesOf, type Task } from './task.js';

/** The stages of a task, each by its kind and sizes. */
export const describeTask = (task: Task): string => stagesOf(task).map(describeStage).join('; ');

/** The kind and the sizes, like `gemm [1, 32, 128] x 4, depth 64 + 128`. */
export function describeStage(stage: Stage): string {
  switch (stage.kind) {
    case 'pointwise':
    case 'rows':
      return `${stage.kind} [${stage.shape.join(', ')}]`;
    case 'gemm': {
      const { batch, rows, columns, slots, terms } = stage;
      const depth = terms.map((term) => term.depth).join(' + ');
      return `gemm [${batch}, ${rows}, ${columns}]${slots > 1 ? ` x ${slots}` : ''}, depth ${depth}`;
    }
    case 'reduce':
      return `sum over [${stage.reduced.join(', ')}] for [${stage.kept.join(', ')}]`;
    case 'softmax':
    case 'softmaxCrossEntropy':
      return `${stage.kind} [${stage.rows}, ${stage.columns}]`;
    case 'scatterAdd':
      return `scatterAdd ${stage.count} rows into [${stage.size}, ${stage.width}]`;
  }
}
