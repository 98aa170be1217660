/** The beginning of a run: anew, or where a checkpoint was taken. */
import type { Backend } from '../backend/backend.js';
import type { LoadedCheckpoint } from '../train/checkpoint-node.js';
import type { RunConfig } from '../train/run-config.js';
import { Trainer } from '../train/trainer.js';
import type { ConfigOf, TrainingData } from '../train/training-data.js';
import type { Progress } from './progress.js';

/** `describe` tells the user what is going to be trained; what the device's memory makes of it is told first. */
export async function beginTraining<Data extends TrainingData>(
  backend: Backend,
  config: ConfigOf<Data>,
  data: Data,
  resumed: LoadedCheckpoint | undefined,
  progress: Progress,
  describe: (trainer: Trainer<Data>) => void,
): Promise<Trainer<Data>> {
  if (resumed === undefined) {
    const trainer = await Trainer.create(backend, config, data);
    tellRecompute(trainer, config, progress);
    tellWideHalves(backend, config, progress);
    describe(trainer);
    return trainer;
  }
  const { checkpoint, folder, warning } = resumed;
  if (warning !== undefined) progress.log(warning, { event: 'warning' });
  const trainer = await Trainer.restore(backend, checkpoint, config, data, folder);
  if (checkpoint.config.recompute !== true) tellRecompute(trainer, config, progress);
  tellWideHalves(backend, config, progress);
  describe(trainer);
  const { stepsDone: step } = trainer;
  progress.log(`resumed  after step ${step} from ${folder}`, { event: 'resumed', step, folder });
  return trainer;
}

/** Says so when a run computes steps again without having been asked to. */
function tellRecompute(
  { config: { recompute } }: { readonly config: RunConfig },
  asked: RunConfig,
  progress: Progress,
): void {
  if (recompute !== true || asked.recompute !== undefined) return;
  const message = 'memory   too little to store what BPTT needs of every step: it computes steps again';
  progress.log(message, { event: 'recompute' });
}

/** Says so when mixed precision saves nothing. */
function tellWideHalves({ halves }: Backend, { precision }: RunConfig, progress: Progress): void {
  if (precision !== 'mixed' || halves) return;
  const message =
    'halves   have 4 bytes here, without shader-f16: the numbers are the same, but nothing is saved';
  progress.log(message, { event: 'wideHalves' });
}

/** What a step takes, in words. */
export function costText(
  cost: Trainer['cost'],
  { optimizer, recompute }: Pick<RunConfig, 'optimizer' | 'recompute'>,
): string {
  if (cost === null) return `${optimizer} takes as many programs a step as it finds it needs`;
  const again = recompute ? ', steps computed again' : '';
  return `${cost.dispatches} dispatches a step, arena ${(cost.arenaBytes / 2 ** 20).toFixed(1)} MiB${again}`;
}

/** The same as JSON. */
export const costFigures = (cost: Trainer['cost']) =>
  cost === null ? {} : { dispatches: cost.dispatches, arenaBytes: cost.arenaBytes };
