/** `kronograd diagnose`: how errors flow back through the recurrent layers of a checkpoint. */
import { basename } from 'node:path';
import { openBackend } from '../backend/open-node.js';
import { diagnosisChart } from '../diagnostics/chart.js';
import { diagnose as diagnoseModel } from '../diagnostics/diagnose.js';
import { diagnosisLines } from '../diagnostics/report.js';
import { KronogradError } from '../errors.js';
import { requireChoice } from '../ranges.js';
import { loadCheckpoint } from '../train/checkpoint-node.js';
import { BACKENDS } from '../train/run-config.js';
import { checkpointProblem } from './curvature-problem.js';
import { integerOption } from './options.js';
import type { CommandContext, CommandRegistration } from './program.js';
import { writeSvg } from './svg-file.js';

interface DiagnoseOptions {
  readonly text?: string;
  readonly csv?: string;
  readonly steps?: number;
  readonly samples: number;
  readonly backend: string;
  readonly json?: boolean;
  readonly plot?: string;
}

export const diagnose: CommandRegistration = (program, context) => {
  program
    .command('diagnose')
    .description('how errors flow back through time in a trained model: whether they vanish, explode or stay')
    .argument('<checkpoint>', "a run's folder, or the folder of one checkpoint")
    .option('--text <file>', 'a text; by default the training part of the one it was trained on')
    .option('--csv <file>', 'of a model of a CSV file, another one with the same columns')
    .option(
      '--steps <T>',
      'steps to follow; by default as many as in training',
      integerOption('--steps', { min: 1, max: 65_536 }),
    )
    .option('--samples <r>', 'sequences side by side', integerOption('--samples', { min: 1, max: 65_536 }), 2)
    .option('--plot <file>', 'error signals and products by lag as an SVG file')
    .option('--backend <name>', `where to compute: ${BACKENDS.join(', ')}`, 'auto')
    .option('--json', 'print one JSON object')
    .action((path: string, options: DiagnoseOptions) => diagnoseCheckpoint(path, options, context));
};

async function diagnoseCheckpoint(
  path: string,
  options: DiagnoseOptions,
  context: CommandContext,
): Promise<void> {
  const { steps, samples, plot } = options;
  const choice = requireChoice(options.backend, '--backend', BACKENDS);
  const loaded = await loadCheckpoint(path);
  if (loaded.warning !== undefined) context.stderr.write(`${loaded.warning}\n`);
  const changes = { batch: samples, unroll: steps };
  const found = await checkpointProblem(loaded, { ...options, batches: 1, changes });
  const [batch] = found.batches;
  if (steps !== undefined && batch!.steps !== steps)
    throw new KronogradError('OPTION', `the sequences have ${batch!.steps} steps, not ${steps}`, {
      where: '--steps',
      fix: 'leave it out: sequences are diagnosed whole',
    });
  using backend = (await openBackend(choice)).backend;
  const diagnosis = await diagnoseModel(backend, { ...found, batch: batch! });
  if (plot !== undefined)
    await writeSvg(plot, diagnosisChart(diagnosis, `Gradient flow, ${basename(loaded.folder)}`));
  const about = { checkpoint: loaded.folder, source: found.source, backend: backend.name };
  const of = `${diagnosis.samples} x ${diagnosis.steps} steps of ${found.source}`;
  const lines = options.json
    ? [JSON.stringify({ ...about, ...diagnosis }, (_, value) => plain(value))]
    : [`${loaded.folder}, ${of}: loss ${diagnosis.loss.toFixed(4)}`, ...diagnosisLines(diagnosis)];
  for (const line of lines) context.stdout.write(`${line}\n`);
}

/** Numbers that JSON would write as an object. */
const plain = (value: unknown): unknown => (value instanceof Float64Array ? Array.from(value) : value);
