/** `kronograd sample`: text from a checkpoint. */
import { openBackend } from '../backend/open-node.js';
import { requireChoice } from '../ranges.js';
import { loadCheckpoint } from '../train/checkpoint-node.js';
import { BACKENDS } from '../train/run-config.js';
import { SAMPLE_RANGES, sample as sampleText } from '../train/sampler.js';
import { trainedModel } from '../train/weights.js';
import { integerOption, numberOption } from './options.js';
import type { CommandRegistration } from './program.js';

interface SampleCommandOptions {
  readonly prompt?: string;
  readonly length: number;
  readonly temperature: number;
  readonly seed: number;
  readonly backend: string;
}

export const sample: CommandRegistration = (program, context) => {
  const { length, temperature, seed } = SAMPLE_RANGES;
  program
    .command('sample')
    .description('write text with a trained model')
    .argument('<checkpoint>', "a run's folder, or the folder of one checkpoint")
    .option('--prompt <text>', 'how the text begins')
    .option('--length <n>', 'characters to write', integerOption('--length', length), 500)
    .option(
      '--temperature <x>',
      'below 1 more of what is likely, above 1 more of what is not',
      numberOption('--temperature', temperature),
      1,
    )
    .option('--seed <n>', 'another seed, another text', integerOption('--seed', seed), 1)
    .option('--backend <name>', `where to compute: ${BACKENDS.join(', ')}`, 'auto')
    .action(async (path: string, { backend: choice, ...options }: SampleCommandOptions) => {
      const chosen = requireChoice(choice, '--backend', BACKENDS);
      const { checkpoint, folder, warning } = await loadCheckpoint(path);
      if (warning !== undefined) context.stderr.write(`${warning}\n`);
      const trained = trainedModel(checkpoint, folder);
      // Before a device is asked for.
      if (options.prompt !== undefined) trained.vocabulary.encode(options.prompt, '--prompt');
      using backend = (await openBackend(chosen)).backend;
      context.stdout.write(options.prompt ?? '');
      for await (const character of sampleText(backend, trained, options)) context.stdout.write(character);
      context.stdout.write('\n');
    });
};
