/** `kronograd eval`: how well a checkpoint predicts a text, or does on the test part of its sequences. */
import type { Backend } from '../backend/backend.js';
import { openBackend } from '../backend/open-node.js';
import { splitByPosition } from '../data/split.js';
import { KronogradError } from '../errors.js';
import { float } from '../program/program.js';
import { requireChoice } from '../ranges.js';
import { type Checkpoint, sha256 } from '../train/checkpoint.js';
import { loadCheckpoint } from '../train/checkpoint-node.js';
import { Evaluator } from '../train/evaluator.js';
import { BACKENDS } from '../train/run-config.js';
import { SequenceData } from '../train/sequence-data.js';
import { type TrainedModel, trainedModel } from '../train/weights.js';
import type { CommandRegistration } from './program.js';
import { bitsPerCharacter } from './progress.js';
import { savedTextFile } from './run-setup.js';
import { resultLines, scoreSequences, testSequences } from './sequence-result.js';
import { type SavedSequences, savedOnCsv, savedSequences } from './sequence-setup.js';
import { readTextFile } from './text-file.js';

interface EvalOptions {
  readonly text?: string;
  readonly csv?: string;
  readonly backend: string;
  readonly json?: boolean;
}

export const evaluate: CommandRegistration = (program, context) => {
  program
    .command('eval')
    .description('measure how well a trained model predicts a text, or the sequences kept for its test')
    .argument('<checkpoint>', "a run's folder, or the folder of one checkpoint")
    .option('--text <file>', 'the text; by default the validation part of the text it was trained on')
    .option('--csv <file>', 'another series with the same columns: all of it is forecast')
    .option('--backend <name>', `where to compute: ${BACKENDS.join(', ')}`, 'auto')
    .option('--json', 'print one JSON object')
    .action(async (path: string, options: EvalOptions) => {
      const choice = requireChoice(options.backend, '--backend', BACKENDS);
      const loaded = await loadCheckpoint(path);
      const { checkpoint, folder, warning } = loaded;
      if (warning !== undefined) context.stderr.write(`${warning}\n`);
      const sequences =
        options.csv === undefined
          ? await savedSequences(loaded)
          : await savedOnCsv(loaded, options.csv, '--csv');
      if (sequences !== null) {
        if (options.text !== undefined)
          throw new KronogradError('OPTION', '--text is for models of text', {
            where: '--text',
            fix: `leave it out: ${folder} is a model of sequences`,
          });
        using backend = (await openBackend(choice)).backend;
        for (const line of await evaluateSequences(backend, sequences, options))
          context.stdout.write(`${line}\n`);
        return;
      }
      const trained = trainedModel(checkpoint, folder);
      const ids =
        options.text === undefined
          ? await validationPart(checkpoint, trained, folder)
          : trained.vocabulary.encode(await readTextFile(options.text), options.text);
      using backend = (await openBackend(choice)).backend;
      using evaluator = new Evaluator(backend, trained.model, trained.config);
      using theta = backend.tensor(float(trained.theta.length));
      theta.write(trained.theta);
      const loss = await evaluator.loss(theta, ids);
      const bits = bitsPerCharacter(loss);
      const line = options.json
        ? JSON.stringify({ checkpoint: folder, characters: ids.length, loss, bitsPerCharacter: bits })
        : `${folder}: loss ${loss.toFixed(4)}, ${bits.toFixed(3)} bits/char on ${ids.length} characters`;
      context.stdout.write(`${line}\n`);
    });
};

async function evaluateSequences(
  backend: Backend,
  { config, problem, resumed }: SavedSequences,
  { csv, json }: EvalOptions,
): Promise<string[]> {
  // Another series may be shorter than a batch, and nothing is trained on it.
  const data = new SequenceData(problem.sets, csv === undefined ? config : { ...config, batch: 1 });
  const score = csv === undefined ? testSequences : scoreSequences;
  const lines = resultLines(await score(backend, resumed, config, data, problem), problem);
  if (!json) return [`${resumed.folder}: ${problem.description}`, ...lines.map(({ text }) => text)];
  return lines.map((line) => JSON.stringify({ checkpoint: resumed.folder, ...line.json }));
}

/** The part of its text that the model has not been trained on. */
async function validationPart(
  checkpoint: Checkpoint,
  { vocabulary, config }: TrainedModel,
  folder: string,
): Promise<Int32Array> {
  const textFile = savedTextFile(checkpoint, folder);
  const text = await readTextFile(textFile);
  if ((await sha256(new TextEncoder().encode(text))) !== checkpoint.config.textSha256)
    throw new KronogradError('TEXT', 'the text is not the one that the model was trained on', {
      where: textFile,
      fix: 'name the text to measure on with --text FILE',
    });
  const { validation } = splitByPosition(vocabulary.encode(text, textFile), config.validationFraction);
  if (validation.length === 0)
    throw new KronogradError('TEXT', 'the model was trained without a validation text', {
      where: folder,
      fix: 'name the text to measure on with --text FILE',
    });
  return validation;
}
