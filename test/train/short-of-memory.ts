/** Room for a training step that computes its steps in time again, and none for one that stores them. */
import { expect } from 'vitest';
import type { Capacity } from '../../src/backend/backend.js';
import { schedule } from '../../src/schedule/index.js';
import { configuredStep } from '../../src/train/configured-step.js';
import type { RunConfig } from '../../src/train/run-config.js';
import type { TrainingData } from '../../src/train/training-data.js';

/** Bytes of the largest buffer of a step. */
function largestBuffer(config: RunConfig, data: TrainingData): number {
  const { buffers } = schedule(configuredStep(config, data).program);
  return Math.max(...buffers.map(({ length }) => 4 * length));
}

/** Bytes that a buffer takes of either, and what lies between. */
export function scarcity(config: RunConfig, data: TrainingData) {
  const stored = largestBuffer({ ...config, recompute: false }, data);
  const again = largestBuffer({ ...config, recompute: true }, data);
  expect(again).toBeLessThan(0.9 * stored);
  return { stored, again, between: Math.floor((stored + again) / 2) };
}

/** Where a buffer can have no more than so many bytes. */
export const buffersOf = (buffer: number): Capacity => ({ buffer, total: Number.POSITIVE_INFINITY });
