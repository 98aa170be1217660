/** What the commands that train and time know of the tuner. */
import { TuningFile } from '../backend/webgpu/tuning/file-store-node.js';
import type { TuningOptions } from '../backend/webgpu/tuning/store.js';
import type { CommandContext } from './program.js';

/** Of `--no-tune`. */
export const NO_TUNE_MEANING = 'choose kernels by rule, without measuring which are the fastest on this GPU';

/** The user's cache of measurements; what is wrong with it is told on standard error. */
export const openTuningFile = ({ stderr }: Pick<CommandContext, 'stderr'>): Promise<TuningFile> =>
  TuningFile.open({ warn: (message) => void stderr.write(`${message}\n`) });

/** @param tune False where `--no-tune` was given. */
export async function tuningOf(
  tune: boolean,
  context: Pick<CommandContext, 'stderr'>,
  options: Omit<TuningOptions, 'store'> = {},
): Promise<TuningOptions | undefined> {
  return tune ? { ...options, store: await openTuningFile(context) } : undefined;
}
