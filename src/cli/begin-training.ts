/** The beginning of a run: anew, or where a checkpoint was taken. */
import type { Backend } from '../backend/backend.js';
import type { LoadedCheckpoint } from '../train/checkpoint-node.js';
import type { RunConfig } from '../train/run-config.js';
import { Trainer } from '../train/trainer.js';
import type { ConfigOf, TrainingData } from '../train/training-data.js';
import type { Progress } from './progress.js';

/** `describe` tells the user what is going to be trained. */
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
    describe(trainer);
    return trainer;
  }
  const { checkpoint, folder, warning } = resumed;
  if (warning !== undefined) progress.log(warning, { event: 'warning' });
  const trainer = await Trainer.restore(backend, checkpoint, config, data, folder);
  describe(trainer);
  const { stepsDone: step } = trainer;
  progress.log(`resumed  after step ${step} from ${folder}`, { event: 'resumed', step, folder });
  return trainer;
}

/** What a step takes, in words. */
export function costText(cost: Trainer['cost'], { optimizer }: Pick<RunConfig, 'optimizer'>): string {
  if (cost === null) return `${optimizer} takes as many programs a step as it finds it needs`;
  return `${cost.dispatches} dispatches a step, arena ${(cost.arenaBytes / 2 ** 20).toFixed(1)} MiB`;
}

/** The same as JSON. */
export const costFigures = (cost: Trainer['cost']) =>
  cost === null ? {} : { dispatches: cost.dispatches, arenaBytes: cost.arenaBytes };
