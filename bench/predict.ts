/**
 * `npm run bench -- predict [--out FILE]`: what a training step should take on a card that was never measured, as a table to
 * hold the next measurement against.
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { defaultLimits } from '../kernels/index.js';
import { type Card, countsOf, type Prediction, predict } from '../src/bench/predict.js';
import { markdownTable } from '../src/bench/table.js';
import { trainingWork } from '../src/bench/training-work.js';
import { describeWorkload, resolveWorkload, tokensOf } from '../src/bench/workload.js';
import { type Composition, compose, overlappingSteps } from '../src/schedule/compose.js';
import { schedule } from '../src/schedule/index.js';

const H200: Card = {
  name: 'NVIDIA H200 (SXM)',
  flopsPerSecond: 67e12,
  bytesPerSecond: 4.8e12,
  cores: 132,
  dispatchSeconds: [3e-6, 5e-6],
};

const SOURCES = [
  `float32 ${H200.flopsPerSecond / 1e12} TFLOP/s and ${H200.bytesPerSecond / 1e12} TB/s: the maker’s data sheet of the card, for its boost clock, without tensor cores`,
  `${H200.cores} streaming multiprocessors: the maker’s description of the architecture`,
  `${H200.dispatchSeconds.map((s) => s * 1e6).join(' to ')} us for a dispatch that waits for the one before: an assumption, from what launches on such cards are commonly found to take with a barrier between them (CUDA graphs are at the lower end)`,
];

/** NVIDIA's through Vulkan. */
const LIMITS = {
  ...defaultLimits,
  maxComputeInvocationsPerWorkgroup: 1024,
  maxComputeWorkgroupStorageSize: 49152,
};

const short = (value: number): string => `${Number(value.toPrecision(3))}`;
const ms = (seconds: number): string => short(seconds * 1000);

function row(name: string, composition: Composition): string[] {
  const workload = resolveWorkload(name);
  const plan = schedule(trainingWork('lstm', workload).program, overlappingSteps(LIMITS, composition));
  const counts = countsOf(compose(plan, LIMITS, composition), LIMITS);
  const bytes = counts.reduce((sum, each) => sum + each.bytes, 0);
  const flops = counts.flatMap(({ parts }) => parts).reduce((sum, part) => sum + part.flops, 0);
  const prediction: Prediction = predict(counts, H200);
  const [least, most] = prediction.seconds;
  return [
    `${name}: ${describeWorkload(workload)}`,
    composition,
    `${counts.length}`,
    short(flops / 1e9),
    short(bytes / 1e9),
    ms(prediction.arithmeticSeconds),
    ms(prediction.memorySeconds),
    ms(prediction.workSeconds),
    prediction.dispatchSeconds.map(ms).join(' to '),
    `**${ms(least)} to ${ms(most)}**`,
    [most, least]
      .map((s) => short(tokensOf(workload) / s / 1e6))
      .join(' to ')
      .concat(' million'),
    prediction.bound,
  ];
}

/** @param args of the command line, behind its name. */
export async function predictions(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: { out: { type: 'string' } } });
  const table = markdownTable([
    [
      ...[
        'LSTM',
        'composition',
        'dispatches',
        'Gflop',
        'GB',
        'arithmetic ms',
        'memory ms',
        'work ms',
        'dispatching ms',
      ],
      ...['a step, ms', 'tokens/s', 'bound by'],
    ],
    ...['S', 'M', 'L', 'XL'].flatMap((name) =>
      (['none', 'auto'] as const).map((composition) => row(name, composition)),
    ),
  ]);
  const text = [
    `# What a training step should take on an ${H200.name}`,
    '\nNot measured: predicted from the exact counts of the schedule and from stated rates, so that a measurement can be held against it. Made by `npm run bench -- predict`.',
    `\n${table}`,
    '\n- *dispatches, Gflop, GB*: of the step’s schedule; each distinct element of a dispatch read once and written once.',
    '- *composition*: what shares a dispatch. *auto* is what runs: a loop may be one dispatch whose workgroups own rows of the batch, and layers may be in the same dispatches, some steps behind each other.',
    '- *arithmetic, memory*: all of it at the full rate of the card.',
    '- *work*: the sum over dispatches of the longer of the two, where a dispatch of fewer workgroups than the card has cores has that share of the arithmetic. What shares a dispatch takes as long as the longest part on its own workgroups, or as all of it on all of them, whichever is longer.',
    '- *dispatching*: every dispatch waits for the one before. *A step* is work and dispatching.',
    '- What it leaves out makes a real step slower: kernels reach a part of a core’s rate, short dispatches less of it. What stays in the 50 MB cache between two dispatches makes it faster.',
    '- A loop in one dispatch pays no start for each step, but its workgroups read the weights from the cache at each, one step after the other: a few microseconds a step that are not counted here.',
    '\nRates:\n',
    ...SOURCES.map((source) => `- ${source}.`),
    '',
  ].join('\n');
  if (values.out !== undefined) await writeFile(values.out, text);
  console.log(text);
}
