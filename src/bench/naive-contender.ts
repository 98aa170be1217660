/** The naive loop as a contender. */
import { type Contender, ownPeakRssBytes } from './contender.js';
import type { Work } from './work.js';

/** @param makeStep A work's `naive`. */
export function naiveContender(makeStep: NonNullable<Work['naive']>): Contender {
  const start = performance.now();
  const step = makeStep();
  let loss = step();
  const firstStepMs = performance.now() - start;
  return {
    engine: 'naive loop',
    backend: 'js',
    adapter: 'CPU, plain JavaScript, one thread',
    features: null,
    facts: {
      dispatches: null,
      submits: null,
      arenaBytes: null,
      firstStepMs,
      firstStepFrom: 'compile start',
    },
    async run(steps) {
      const begin = performance.now();
      for (let n = 0; n < steps; n++) loss = step();
      return performance.now() - begin;
    },
    loss: () => Promise.resolve(loss),
    peakRssBytes: ownPeakRssBytes,
    [Symbol.dispose]() {},
  };
}
