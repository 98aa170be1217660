/** How well a model of sequences does on what nobody has looked at, beside the baselines. */
import type { Backend } from '../backend/backend.js';
import type { JsonRecord } from '../interop/json.js';
import { float } from '../program/program.js';
import type { LoadedCheckpoint } from '../train/checkpoint-node.js';
import { requireContinuation } from '../train/continuation.js';
import type { SequenceTrainConfig } from '../train/sequence-config.js';
import type { SequenceData } from '../train/sequence-data.js';
import { flatWeights } from '../train/weights.js';
import type { Problem } from './problems.js';

export interface TestResult {
  /** Of the weights that were tested. */
  readonly step: number;
  readonly loss: number;
  /** The share of classes that are right; undefined where the targets are values. */
  readonly accuracy: number | undefined;
}

/** @throws KronogradError CHECKPOINT when the checkpoint is of another model or of other data, MEMORY */
export async function testSequences(
  backend: Backend,
  loaded: LoadedCheckpoint,
  config: SequenceTrainConfig,
  data: SequenceData,
  problem: Problem,
): Promise<TestResult> {
  requireContinuation(loaded.checkpoint, config, data, loaded.folder);
  return scoreSequences(backend, loaded, config, data, problem);
}

/** The same of data that the checkpoint need not be of. @throws KronogradError CHECKPOINT for another model's, MEMORY */
export async function scoreSequences(
  backend: Backend,
  { checkpoint, folder }: LoadedCheckpoint,
  config: SequenceTrainConfig,
  data: SequenceData,
  { test }: Problem,
): Promise<TestResult> {
  const model = data.model(config);
  const weights = flatWeights(model, checkpoint.weights, folder);
  using evaluator = data.evaluator(backend, model, config);
  using theta = backend.tensor(float(weights.length));
  theta.write(weights);
  return {
    step: checkpoint.position.step,
    loss: await evaluator.loss(theta, test),
    accuracy: test.target.kind === 'classes' ? await evaluator.accuracy(theta, test) : undefined,
  };
}

export interface ResultLine {
  readonly text: string;
  /** The same as an object. */
  readonly json: JsonRecord;
}

/** The test, each baseline, and the goal where there is one. `which` tells of the weights what their step does not. */
export function resultLines(
  { step, loss, accuracy }: TestResult,
  { baselines, goal, tell }: Problem,
  which = '',
): ResultLine[] {
  const right = (share: number) => `${(100 * share).toFixed(1)} % right`;
  const figures = (each: number, share: number | undefined) =>
    share === undefined ? tell(each) : `${tell(each)}, ${right(share)}`;
  const lines: ResultLine[] = [
    {
      text: `test        ${figures(loss, accuracy)}, with the weights of step ${step}${which}`,
      json: { event: 'result', step, testLoss: loss, accuracy },
    },
  ];
  for (const { name, loss: baseline, accuracy: share } of baselines) {
    const beaten = loss < baseline;
    lines.push({
      text: `baseline    ${name}: ${figures(baseline, share)}, ${beaten ? 'beaten' : 'not beaten'}`,
      json: { event: 'baseline', name, loss: baseline, accuracy: share, beaten },
    });
  }
  if (goal !== undefined && accuracy !== undefined) {
    const reached = accuracy >= goal;
    lines.push({
      text: `goal        ${right(goal)}: ${reached ? 'reached' : 'not reached'}`,
      json: { event: 'goal', accuracy: goal, reached },
    });
  }
  return lines;
}
