/** `kronograd curvature`: eigenvalues, trace and density of the Hessian or Gauss-Newton matrix of a checkpoint. */
import { basename } from 'node:path';
import { openBackend } from '../backend/open-node.js';
import { VectorSpace } from '../curvature/vector-space.js';
import { float } from '../program/program.js';
import { refused, requireChoice } from '../ranges.js';
import { loadCheckpoint } from '../train/checkpoint-node.js';
import { BACKENDS } from '../train/run-config.js';
import { checkpointProblem, type DataOptions } from './curvature-problem.js';
import { curvatureReport, densityChart, reportLines } from './curvature-report.js';
import { integerOption } from './options.js';
import type { CommandContext, CommandRegistration } from './program.js';
import { writeSvg } from './svg-file.js';

interface CurvatureOptions extends DataOptions {
  readonly top?: number;
  readonly bottom?: number;
  readonly density?: boolean;
  readonly trace?: boolean;
  readonly blocks?: boolean;
  readonly ggn?: boolean;
  readonly seed: number;
  readonly backend: string;
  readonly json?: boolean;
  readonly plot?: string;
}

const COUNT = { min: 0, max: 1000 };
/** Unless given; of a Gauss-Newton matrix the smallest ones are near 0, and crowded. */
const [TOP, BOTTOM] = [5, 1];

export const curvature: CommandRegistration = (program, context) => {
  program
    .command('curvature')
    .description('eigenvalues, trace and density of the Hessian of a trained model’s loss')
    .argument('<checkpoint>', "a run's folder, or the folder of one checkpoint")
    .option('--text <file>', 'a text; by default the training part of the one it was trained on')
    .option('--csv <file>', 'of a model of a CSV file, another one with the same columns')
    .option('--batches <n>', 'batches to take the loss on', integerOption('--batches', { min: 1 }), 1)
    .option('--top <k>', 'largest eigenvalues (default: 5)', integerOption('--top', COUNT))
    .option(
      '--bottom <k>',
      'smallest eigenvalues (default: 1; 0 with --ggn)',
      integerOption('--bottom', COUNT),
    )
    .option('--density', 'the density of all eigenvalues')
    .option('--trace', 'trace and Frobenius norm')
    .option('--blocks', 'largest eigenvalue and trace of the diagonal block of each parameter')
    .option('--ggn', 'the Gauss-Newton matrix instead of the Hessian')
    .option('--seed <n>', 'of the random vectors', integerOption('--seed', { min: 0, max: 2 ** 32 - 1 }), 0)
    .option('--plot <file>', 'the density as an SVG file')
    .option('--backend <name>', `where to compute: ${BACKENDS.join(', ')}`, 'auto')
    .option('--json', 'print one JSON object')
    .action((path: string, options: CurvatureOptions) => lookAt(path, options, context));
};

async function lookAt(path: string, options: CurvatureOptions, context: CommandContext): Promise<void> {
  const choice = requireChoice(options.backend, '--backend', BACKENDS);
  const { plot, density = false, trace = false, blocks = false, ggn = false, seed } = options;
  const loaded = await loadCheckpoint(path);
  if (loaded.warning !== undefined) context.stderr.write(`${loaded.warning}\n`);
  const { model, batches, source, theta: weights } = await checkpointProblem(loaded, options);
  const { size } = model.parameters;
  const top = options.top ?? Math.min(TOP, size);
  const bottom = options.bottom ?? (ggn ? 0 : Math.min(BOTTOM, Math.max(0, size - top)));
  if (top + bottom > size) throw refused(top + bottom, '--top + --bottom', `at most ${size}: the parameters`);
  using backend = (await openBackend(choice)).backend;
  using space = new VectorSpace(backend);
  using theta = backend.tensor(float(size));
  theta.write(weights);
  const wanted = { ...{ ggn, top, bottom, trace, blocks, seed }, density: density || plot !== undefined };
  const report = await curvatureReport(space, { model, theta, batches }, wanted);
  if (plot !== undefined) await writeSvg(plot, densityChart(report, basename(loaded.folder)));
  const about = { checkpoint: loaded.folder, source, batches: batches.length, backend: backend.name };
  const lines = options.json
    ? [JSON.stringify({ ...about, ...report })]
    : [
        `${loaded.folder}, ${batches.length} ${batches.length === 1 ? 'batch' : 'batches'} of ${source}`,
        ...reportLines(report),
      ];
  for (const line of lines) context.stdout.write(`${line}\n`);
}
