/** `kronograd train` on sequences: forecasts and tasks, told beside the baselines they have to beat. */
import type { Backend } from '../backend/backend.js';
import { loadCheckpoint, saveCheckpoint } from '../train/checkpoint-node.js';
import { type FitEvent, fit } from '../train/fit.js';
import { SequenceData } from '../train/sequence-data.js';
import type { Trainer } from '../train/trainer.js';
import { beginTraining, costFigures, costText } from './begin-training.js';
import { type Fitting, tellSharpness } from './fitting.js';
import type { Problem } from './problems.js';
import type { Progress } from './progress.js';
import { resultLines, testSequences } from './sequence-result.js';
import type { SequenceSetup } from './sequence-setup.js';

export async function trainSequences(
  { config, problem, resumed }: SequenceSetup,
  backend: Backend,
  reason: string,
  progress: Progress,
  fitting: Fitting,
): Promise<void> {
  const data = new SequenceData(problem.sets, config);
  using trainer = await beginTraining(backend, config, data, resumed, progress, (trainer) =>
    describeRun(trainer, problem, backend, reason, progress),
  );
  let folder = resumed?.folder ?? '';
  const tokensPerStep = config.batch * data.unroll();
  progress.start({ total: data.steps, done: trainer.stepsDone, tokensPerStep });
  await fit(trainer, {
    ...fitting,
    onEvent: (event) => show(event, problem, progress),
    save: async (checkpoint, kind) => {
      const saved = await saveCheckpoint(config.out, checkpoint, { kind });
      if (kind === 'last') folder = saved;
    },
  });
  progress.stop();
  const best = await loadCheckpoint(config.out, { kind: 'best' });
  const result = await testSequences(backend, best, config, data, problem);
  for (const { text, json } of resultLines(result, problem, ', the best on validation'))
    progress.log(text, json);
  progress.log(`checkpoint  ${folder}`, { event: 'checkpoint', folder });
}

function describeRun(
  { config, data, model, cost }: Trainer<SequenceData>,
  { description }: Problem,
  backend: Backend,
  reason: string,
  progress: Progress,
): void {
  const { network, cell, bidirectional, layers, hidden, batch, segmentLength, segmentState } = config;
  const parameters = model.parameters.size;
  const extension = network === 'attention' ? ' with attention' : bidirectional ? ', both directions' : '';
  const kind = network === 'feed-forward' ? network : `${cell}${extension}`;
  progress.log(`backend  ${backend.description} (${reason})`, {
    event: 'backend',
    backend: backend.name,
    description: backend.description,
    reason,
  });
  progress.log(`data     ${description}`, { event: 'data', description });
  progress.log(`model    ${kind}, ${layers} x ${hidden} units: ${parameters} parameters`, {
    event: 'model',
    ...{ network, cell, bidirectional, layers, hidden, parameters },
  });
  const pieces = segmentLength === 0 ? 'sequences' : `segments, state ${segmentState},`;
  progress.log(
    `run      ${data.steps} steps of ${batch} ${pieces} of ${data.unroll()} steps; ${costText(cost, config)}`,
    { event: 'run', steps: data.steps, batch, unroll: data.unroll(), ...costFigures(cost) },
  );
}

function show(event: FitEvent, { tell }: Problem, progress: Progress): void {
  switch (event.kind) {
    case 'step':
      progress.update(event);
      break;
    case 'curvature':
      tellSharpness(event, progress);
      break;
    case 'validation': {
      const { step, trainingLoss, validationLoss, isBest } = event;
      const figures = `training ${tell(trainingLoss)}, validation ${tell(validationLoss)}`;
      progress.log(`step ${step}: ${figures}${isBest ? ', the best so far' : ''}`, {
        event: 'validation',
        ...{ step, trainingLoss, validationLoss, isBest },
      });
      break;
    }
    case 'earlyStop':
      progress.log(`stopped early: no better validation loss since step ${event.best.step}`, {
        event: 'earlyStop',
        ...event.best,
      });
  }
}
