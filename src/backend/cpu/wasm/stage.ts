/** The code of a stage, by its kind. */
import type { Ref, Stage } from '../../../../kernels/stage.js';
import type { CompiledStage, Environment } from './environment.js';
import { compileGemm } from './gemm.js';
import { compilePointwise } from './pointwise.js';
import { compileReduce } from './reduce.js';
import { compileRows } from './row-phases.js';
import { compileScatterAdd } from './scatter-add.js';
import { compileSoftmax, compileSoftmaxCrossEntropy } from './softmax.js';

/** @param isInvariant Whether an operand's elements are the same in all iterations of the loop around the stage. */
export function compileStage(
  stage: Stage,
  environment: Environment,
  isInvariant: (ref: Ref, shape: readonly number[]) => boolean,
): CompiledStage {
  switch (stage.kind) {
    case 'pointwise':
      return compilePointwise(stage, environment);
    case 'rows':
      return compileRows(stage, environment);
    case 'gemm':
      return compileGemm(stage, environment, isInvariant);
    case 'reduce':
      return compileReduce(stage, environment);
    case 'softmax':
      return compileSoftmax(stage, environment);
    case 'softmaxCrossEntropy':
      return compileSoftmaxCrossEntropy(stage, environment);
    case 'scatterAdd':
      return compileScatterAdd(stage, environment);
  }
}
