/** Batches of training as curvature takes them. */
import type { CurvatureBatch } from '../curvature/batch-products.js';
import { refused, requireInteger } from '../ranges.js';
import type { RunConfig } from './run-config.js';
import type { BatchOf, ConfigOf, TrainingData } from './training-data.js';

/** One batch, whole, from a state of zeros unless one is given. Its weight is 1. */
export function curvatureBatch<Data extends TrainingData>(
  data: Data,
  config: ConfigOf<Data>,
  batch: BatchOf<Data>,
  state: CurvatureBatch['state'] = {},
): CurvatureBatch {
  const steps = data.unroll(config);
  const { batch: samples } = config as RunConfig;
  return { parts: data.parts(batch, steps), steps, samples, state, weight: 1 };
}

/**
 * The first batches of an epoch, each from a state of zeros and counting the same: their loss is the mean of theirs.
 * @throws KronogradError OPTION for more than an epoch has
 */
export function firstBatches<Data extends TrainingData>(
  data: Data,
  config: ConfigOf<Data>,
  count: number,
): CurvatureBatch[] {
  const { batchesPerEpoch } = data.stream;
  requireInteger(count, 'batches', { min: 1 });
  if (count > batchesPerEpoch) throw refused(count, 'batches', `at most ${batchesPerEpoch}: an epoch`);
  return Array.from({ length: count }, (_, position) => ({
    ...curvatureBatch(data, config, data.stream.at(position) as BatchOf<Data>),
    weight: 1 / count,
  }));
}
