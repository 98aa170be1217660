import type { Command } from 'commander';
import type { TrainConfigInput } from '../train/config.js';
import { BACKENDS, CELLS, OPTIMIZERS, SCHEDULES } from '../train/run-config.js';
import { NETWORKS, SEGMENT_STATES } from '../train/sequence-config.js';
import { anyNumberOption, integerOption, numbersOption, UNSAFE_FAST_MEANING } from './options.js';
import { NO_TUNE_MEANING } from './tuning.js';

/** What `train` takes after its preset, as commander hands it over. */
export interface TrainOptions {
  readonly text?: string;
  readonly csv?: string;
  readonly target?: string;
  readonly features?: string;
  readonly window?: number;
  readonly horizon?: number;
  readonly period?: number;
  readonly network?: string;
  readonly bidirectional?: boolean;
  readonly segmentLength?: number | readonly number[];
  readonly segmentState?: string;
  readonly lossSteps?: number | readonly number[];
  readonly cell?: string;
  readonly heads?: number;
  readonly hidden?: number;
  readonly projection?: number;
  readonly contextWindow?: number;
  readonly layers?: number;
  readonly batch?: number;
  readonly unroll?: number;
  readonly steps?: number;
  readonly epochs?: number;
  readonly lr?: number;
  readonly clip?: number;
  readonly clipValue?: number;
  readonly clipAccumulations?: number;
  readonly recompute?: boolean;
  readonly precision?: string;
  readonly dropout?: number;
  readonly recurrentDropout?: number;
  readonly zoneout?: number;
  readonly optimizer?: string;
  readonly damping?: number;
  readonly structuralDamping?: number;
  readonly curvatureBatch?: number;
  readonly cgIterations?: number;
  readonly weightDecay?: number;
  readonly schedule?: string;
  readonly seed?: number;
  readonly backend?: string;
  readonly out?: string;
  readonly unsafeFast?: boolean;
  readonly tune?: boolean;
  readonly resume?: boolean;
  readonly logCurvature?: number;
  readonly json?: boolean;
}

/**
 * Adds the options of `train` to a command. Their ranges are checked with the configuration that they become
 * part of.
 */
export function addTrainOptions(command: Command): Command {
  const number = (flag: string, value: string, meaning: string) =>
    command.option(`${flag} <${value}>`, meaning, anyNumberOption(flag));

  command.option('--text <file>', 'the text to learn from, in UTF-8');
  command.option(
    '--csv <file>',
    'a time series to forecast instead, with a header; of occupancy, its counts',
  );
  command.option(
    '--target <columns>',
    'with --csv, the column to forecast; of occupancy, those of the labels, with commas between',
  );
  command.option(
    '--features <columns>',
    'with --csv, the columns that are shown, with commas between; the target, of occupancy all others',
  );
  number('--window', 't', 'steps that a forecast sees; of a task, how long its sequences are');
  number('--horizon', 'h', 'how many steps ahead the forecast is');
  number('--period', 'p', 'with --csv, rows of one season, for the seasonal-naive baseline');
  command.option('--network <name>', `on sequences: ${NETWORKS.join(', ')}`);
  command.option('--bidirectional', 'on sequences, in both directions of time');
  command.option(
    '--segment-length <k>',
    'cut sequences into segments of so many steps each; with commas between, of so many in turn',
    numbersOption('--segment-length'),
  );
  command.option('--segment-state <name>', `what a segment begins with: ${SEGMENT_STATES.join(', ')}`);
  command.option(
    '--loss-steps <a,tau>',
    'the first and the last step that the loss is a sum over, counted from 1',
    numbersOption('--loss-steps'),
  );
  command.option('--cell <name>', `the recurrent cell: ${CELLS.join(', ')}`);
  number('--heads', 'n', 'heads of multi-head-lstm');
  number('--hidden', 'n', 'units of each layer');
  number('--projection', 'n', "features of each layer's projected output, with lstm and augmented-lstm");
  number(
    '--context-window',
    'l',
    'inputs that augmented-lstm sees at once: of its step, and of those after it',
  );
  number('--layers', 'n', 'recurrent layers, stacked');
  number('--batch', 'n', 'places of the text read side by side');
  number('--unroll', 't', 'characters that the gradient is propagated back through');
  number('--steps', 'n', 'updates to make');
  number('--epochs', 'n', 'passes over the text to make, instead of --steps');
  number('--lr', 'x', 'the largest learning rate');
  number('--clip', 'x', 'the global norm that gradients are clipped to; 0 for no clipping');
  number('--clip-value', 'x', 'what each element of the gradient is limited to; 0 for no limit');
  number(
    '--clip-accumulations',
    'x',
    'what derivatives inside BPTT are limited to, step by step; 0 for no limit',
  );
  command.option(
    '--recompute',
    'compute steps again in BPTT instead of storing them, which by itself is done only when memory is short',
  );
  command.option('--no-recompute', 'never do so');
  command.option(
    '--precision <name>',
    'float32, or mixed: products of 16-bit floats added up in float32, with loss scaling',
  );
  number('--dropout', 'p', 'the probability that a unit between two layers is dropped');
  number(
    '--recurrent-dropout',
    'p',
    'the share of the state that products do not see, the same at each step',
  );
  number('--zoneout', 'p', 'the probability that a unit of the state keeps its value over a step');
  command.option('--optimizer <name>', `how weights are updated: ${OPTIMIZERS.join(', ')}`);
  number('--damping', 'x', 'with hf and kfac, what is added to the diagonal of the curvature at first');
  number('--structural-damping', 'x', 'with hf, how much changes of hidden states count beside it');
  number('--curvature-batch', 'n', 'with hf, samples of a batch that the curvature is taken on; 0 for all');
  number('--cg-iterations', 'n', 'with hf, the most iterations of conjugate gradients in a step');
  number('--weight-decay', 'x', 'decoupled with adamw, an L2 penalty with the others');
  command.option('--schedule <name>', `of the learning rate: ${SCHEDULES.join(', ')}`);
  number('--seed', 'n', 'of initialisation and dropout');
  command.option('--backend <name>', `where to compute: ${BACKENDS.join(', ')}`);
  command.option('--unsafe-fast', UNSAFE_FAST_MEANING);
  command.option('--no-tune', NO_TUNE_MEANING);
  command.option('--out <dir>', 'the folder for checkpoints');
  command.option('--resume', 'continue from the last checkpoint in that folder');
  command.option(
    '--log-curvature <n>',
    'tell the largest eigenvalue of the Hessian every n steps; each time costs about as much as 15 to 90 steps',
    integerOption('--log-curvature', { min: 1 }),
  );
  command.option('--json', 'print one JSON object a line instead of a progress bar');
  return command;
}

/** The options that say what to learn from. */
export const DATA_KEYS = [
  'text',
  'csv',
  'target',
  'features',
  'window',
  'horizon',
  'period',
] as const satisfies (keyof TrainOptions)[];

/** The part of the options that belongs into the configuration. */
export function configOf(options: TrainOptions): TrainConfigInput {
  const others = new Set<string>([...DATA_KEYS, 'unsafeFast', 'tune', 'resume', 'logCurvature', 'json']);
  return Object.fromEntries(Object.entries(options).filter(([key]) => !others.has(key)));
}

/** An option by the key that commander has for it. */
export const flagOf = (key: string): string =>
  `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** The name of a key in errors: the option, where it has been given, or what a file or the configuration calls it. */
export function optionName(
  options: TrainOptions,
  otherwise: (key: string) => string = (key) => key,
): (key: string) => string {
  const given = new Map(Object.entries(options));
  return (key) => (given.get(key) === undefined ? otherwise(key) : flagOf(key));
}
