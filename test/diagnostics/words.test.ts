/** Gates, lags and verdicts. */
import { describe, expect, it } from 'vitest';
import { cells } from '../../src/cells/index.js';
import { gateStatistics } from '../../src/diagnostics/gates.js';
import { meanByLag, takenSteps } from '../../src/diagnostics/lags.js';
import { VERDICT, verdictOn } from '../../src/diagnostics/verdict.js';
import { tracedLayer } from './traced-layer.js';

describe('gates', () => {
  it('are counted where the steps are taken', () => {
    const { trace } = tracedLayer({ cell: cells.gru!, T: 2, lengths: [2, 1] });
    // [T, r, features] = [2, 2, 2]; the second sample's second step is held.
    const z = Float64Array.from([0.01, 0.5, 0.96, 0.99, 0.04, 0.05, 0, 0]);
    expect(gateStatistics(trace, { z })).toEqual({
      z: { mean: (0.01 + 0.5 + 0.96 + 0.99 + 0.04 + 0.05) / 6, shut: 2 / 6, open: 2 / 6 },
    });
  });
});

describe('lags', () => {
  it('count from the end of each sequence', () => {
    const { trace } = tracedLayer({ cell: cells.gru!, T: 3, lengths: [3, 1] });
    expect(takenSteps(trace)).toEqual([[2, 1, 0], [0]]);
    expect(meanByLag(trace, Float64Array.from([1, 10, 2, 20, 3, 30]))).toEqual([6.5, 2, 1]);
  });

  it('count from the beginning of time in a reverse layer, whose padding comes first', () => {
    const { trace } = tracedLayer({ cell: cells.gru!, T: 3, lengths: [3, 1], direction: -1 });
    expect(takenSteps(trace)).toEqual([[2, 1, 0], [2]]);
  });
});

describe('verdicts', () => {
  it('say how much remains', () => {
    const signals = Array.from({ length: 41 }, (_, k) => 5 * 0.83 ** k);
    const verdict = verdictOn('layer 0', signals);
    expect(verdict.kind).toBe('vanishing');
    expect(verdict.perStep).toBeCloseTo(0.83, 12);
    expect(verdict.text).toBe(
      'layer 0: error signals shrink by 0.83 per step; after 40 steps 5.8e-4 of them remain: vanishing',
    );
  });

  it('say how much is gained', () => {
    const verdict = verdictOn('layer 1', [1, 30, 900]);
    expect(verdict).toMatchObject({ kind: 'exploding', remaining: 900 });
    expect(verdict.text).toBe(
      'layer 1: error signals grow by 30 per step; after 2 steps they are 900 times as large: exploding',
    );
  });

  it('tell of what no number holds', () => {
    for (const last of [Number.POSITIVE_INFINITY, Number.NaN])
      expect(verdictOn('layer 0', [1, 1e30, last])).toEqual({
        ...{ kind: 'exploding', perStep: null, remaining: null },
        text: 'layer 0: error signals are beyond all numbers after 2 steps: exploding',
      });
  });

  it('change at the thresholds that are stated', () => {
    expect(verdictOn('', [1, VERDICT.vanishing]).kind).toBe('kept');
    expect(verdictOn('', [1, VERDICT.vanishing * 0.999]).kind).toBe('vanishing');
    expect(verdictOn('', [1, VERDICT.exploding]).kind).toBe('kept');
    expect(verdictOn('', [1, VERDICT.exploding * 1.001]).kind).toBe('exploding');
  });

  it('know when there is nothing to follow', () => {
    expect(verdictOn('layer 0', [0, 0])).toMatchObject({ kind: 'no error', perStep: null, remaining: null });
    expect(verdictOn('layer 0', [1])).toMatchObject({ kind: 'one step', remaining: null });
    expect(verdictOn('layer 0', [1, 0])).toMatchObject({ kind: 'vanishing', remaining: 0, perStep: 0 });
  });
});
