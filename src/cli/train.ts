/** `kronograd train`: a character language model from a text, or a model of sequences. */
import type { Backend } from '../backend/backend.js';
import { type OpenedBackend, openBackend } from '../backend/open-node.js';
import { bigramBaseline } from '../data/ngram.js';
import { KronogradError } from '../errors.js';
import { saveCheckpoint } from '../train/checkpoint-node.js';
import { type FitEvent, type FitResult, fit } from '../train/fit.js';
import { sample } from '../train/sampler.js';
import { prepareText } from '../train/text-data.js';
import type { Trainer } from '../train/trainer.js';
import { beginTraining, costFigures, costText } from './begin-training.js';
import { type Fitting, tellSharpness } from './fitting.js';
import { Interruption } from './interruption.js';
import { requireLookedAt } from './optimizer-options.js';
import type { CommandRegistration } from './program.js';
import { bitsPerCharacter, createProgress, type Progress } from './progress.js';
import { type RunSetup, setUpRun, withTextFile } from './run-setup.js';
import { setUpSequences } from './sequence-setup.js';
import { addTrainOptions, type TrainOptions } from './train-options.js';
import { trainSequences } from './train-sequences.js';
import { tuningOf } from './tuning.js';

/** Characters of the sample at the end, drawn a little more cautiously than the model would. */
const SAMPLE = { length: 300, temperature: 0.8 };

export const train: CommandRegistration = (program, context) => {
  addTrainOptions(
    program
      .command('train')
      .description(
        'train a character language model on a text (without arguments, on Moby-Dick), or on sequences',
      )
      .argument('[preset|config.json]', 'what to train'),
  ).action(async (presetOrFile: string | undefined, options: TrainOptions) => {
    // First as for a machine without a GPU: mistakes are found before any device is asked for.
    const setup =
      (await setUpSequences(presetOrFile, options)) ??
      (await setUpRun(presetOrFile, options, { gpu: false }));
    requireLookedAt({ ...options }, setup.config);
    const onText = 'text' in setup;
    const progress = createProgress({ json: options.json === true, stream: context.stdout, bits: onText });
    // A run that is continued goes on with the kernels it had: other ones could round differently.
    const measuring = options.resume ? { milliseconds: 0 } : {};
    const tuning = await tuningOf(options.tune !== false, context, measuring);
    const { unsafeFast } = options;
    const opened = await openBackend(setup.config.backend, { unsafeFast, tuning });
    using backend = opened.backend;
    using interruption = new Interruption(() =>
      progress.log('stopping after this step; Ctrl-C again ends without saving'),
    );
    try {
      const fitting = { signal: interruption.signal, curvatureEvery: options.logCurvature };
      if (onText) {
        const sized = opened.gpu ? await setUpRun(presetOrFile, options, { gpu: true }) : setup;
        await run(sized, opened, backend, progress, fitting);
      } else await trainSequences(setup, backend, opened.reason, progress, fitting);
    } catch (error) {
      if (!(error instanceof KronogradError) || error.code !== 'ABORTED') throw error;
      const { out } = setup.config;
      progress.log(`${error.message}; to continue: kronograd train --resume --out ${out}`, {
        event: 'stopped',
      });
      context.exitCode = interruption.exitCode;
    } finally {
      progress.stop();
    }
  });
};

async function run(
  { config, text, textFile, resumed }: RunSetup,
  { reason }: OpenedBackend,
  backend: Backend,
  progress: Progress,
  fitting: Fitting,
): Promise<void> {
  const data = await prepareText(text, config);
  using trainer = await beginTraining(backend, config, data, resumed, progress, (trainer) =>
    describeRun(trainer, backend, reason, textFile, progress),
  );
  let folder = resumed?.folder ?? '';
  progress.start({
    total: data.steps,
    done: trainer.stepsDone,
    tokensPerStep: config.batch * config.unroll,
  });
  const result = await fit(trainer, {
    ...fitting,
    onEvent: (event) => show(event, progress),
    save: async (checkpoint, kind) => {
      const saved = await saveCheckpoint(config.out, withTextFile(checkpoint, textFile), { kind });
      if (kind === 'last') folder = saved;
    },
  });
  progress.stop();
  await report(result, trainer, backend, folder, progress);
}

function describeRun(
  { config, data, model, cost }: Trainer,
  backend: Backend,
  reason: string,
  textFile: string,
  progress: Progress,
): void {
  const { cell, layers, hidden, batch, unroll } = config;
  const { training, validation, vocabulary, stream, steps } = data;
  const parameters = model.parameters.size;
  const count = (value: number) => value.toLocaleString('en');
  const epochs = (steps / stream.batchesPerEpoch).toFixed(1);
  progress.log(`backend  ${backend.description} (${reason})`, {
    event: 'backend',
    backend: backend.name,
    description: backend.description,
    reason,
  });
  progress.log(
    `text     ${textFile}: ${count(training.length)} characters to learn from, ${count(validation.length)} for validation, ${vocabulary.size} different`,
    {
      event: 'text',
      textFile,
      training: training.length,
      validation: validation.length,
      vocabulary: vocabulary.size,
    },
  );
  progress.log(`model    ${cell}, ${layers} x ${hidden} units: ${count(parameters)} parameters`, {
    event: 'model',
    cell,
    layers,
    hidden,
    parameters,
  });
  progress.log(
    `run      ${count(steps)} steps of ${batch} x ${unroll} characters: ${epochs} epochs; ${costText(cost, config)}`,
    { event: 'run', steps, batch, unroll, ...costFigures(cost) },
  );
}

function show(event: FitEvent, progress: Progress): void {
  switch (event.kind) {
    case 'step':
      progress.update(event);
      break;
    case 'curvature':
      tellSharpness(event, progress);
      break;
    case 'validation': {
      const { step, trainingLoss, validationLoss, isBest } = event;
      const bits = (loss: number) => bitsPerCharacter(loss).toFixed(3);
      const figures = `training ${bits(trainingLoss)}, validation ${bits(validationLoss)} bits/char`;
      progress.log(`step ${step}: ${figures}${isBest ? ', the best so far' : ''}`, {
        event: 'validation',
        step,
        trainingLoss,
        validationLoss,
        isBest,
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

async function report(
  { stepsDone, last, best }: FitResult,
  trainer: Trainer,
  backend: Backend,
  folder: string,
  progress: Progress,
): Promise<void> {
  const { config, data, model } = trainer;
  const { training, validation, vocabulary } = data;
  if (last !== null && best !== null) {
    const bits = bitsPerCharacter(last.validationLoss);
    const bigram = bigramBaseline(training, validation, vocabulary.size).bitsPerCharacter;
    const loss = last.validationLoss.toFixed(4);
    const bestBits = bitsPerCharacter(best.validationLoss).toFixed(3);
    progress.log(
      `validation  loss ${loss}, ${bits.toFixed(3)} bits/char (best ${bestBits} at step ${best.step})`,
      {
        event: 'result',
        step: stepsDone,
        validationLoss: last.validationLoss,
        bitsPerCharacter: bits,
        best: { ...best },
      },
    );
    const verdict = bits < bigram ? 'beaten' : 'not beaten yet: train longer';
    progress.log(`bigram      ${bigram.toFixed(3)} bits/char on the same text: ${verdict}`, {
      event: 'baseline',
      bigramBitsPerCharacter: bigram,
      beaten: bits < bigram,
    });
  }
  const theta = await trainer.parameters();
  const options = { ...SAMPLE, seed: config.seed };
  let text = '';
  for await (const character of sample(backend, { model, theta, vocabulary }, options)) text += character;
  progress.log(`sample\n\n${text}\n`, { event: 'sample', text });
  progress.log(`checkpoint  ${folder}`, { event: 'checkpoint', folder });
}
