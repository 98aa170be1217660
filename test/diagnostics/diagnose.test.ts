/** Whole models: on every backend, in both ways of finding norms, and what is refused. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { CounterRandom } from '../../src/data/random.js';
import { diagnosisChart } from '../../src/diagnostics/chart.js';
import { diagnose } from '../../src/diagnostics/diagnose.js';
import { type DiagnosisProblem, traceModel } from '../../src/diagnostics/model-trace.js';
import { diagnosisLines } from '../../src/diagnostics/report.js';
import { FeedForwardModel } from '../../src/model/feedforward-model.js';
import { LanguageModel } from '../../src/model/language-model.js';
import type { Model } from '../../src/model/model.js';
import { SequenceModel, type SequenceModelConfig } from '../../src/model/sequence-model.js';
import { sizeOf } from '../../src/program/program.js';
import { backends } from '../support/backends.js';
import { expectClose } from '../support/numbers.js';

const oracle = new Float64Backend();

/** A model at a random point on a random batch; classes below 3. */
function problem(model: Model, T: number, r: number, given: Record<string, number[]> = {}): DiagnosisProblem {
  const random = new CounterRandom(5);
  const parts = Object.fromEntries(
    Object.entries(model.batchTypes(T, r)).map(([name, { dtype, shape }]) => [
      name,
      given[name] ??
        Array.from({ length: sizeOf(shape) }, () => (dtype === 'int' ? random.integer(3) : random.normal())),
    ]),
  );
  const theta = model.parameters.initial(random).map((x) => 1.5 * x);
  return { model, theta, batch: { parts, steps: T, samples: r } };
}

const text = (config: { cell: string; layers: number; embedding: number | 'one-hot' }) =>
  problem(new LanguageModel({ vocabulary: 3, hidden: 5, ...config }), 6, 2);

const sequence = (config: Partial<SequenceModelConfig>) =>
  new SequenceModel({
    ...{ cell: 'rnn', features: 2, hidden: 3, layers: 1, outputs: 2, perStep: true },
    loss: 'half-squared-error',
    ...config,
  });

const masks = { mask: [1, 1, 1, 1, 1, 0, 1, 0], weight: [0.1, 0.2, 0.3, 0.4, 0.5, 0, 0.7, 0] };

describe('errors at the output of a layer', () => {
  it('are those of the head', async () => {
    const given = problem(sequence({}), 4, 2);
    const { layers } = await traceModel(oracle, given);
    const { trace, byOutput } = layers[0]!;
    const { parameters } = given.model;
    const theta = Float64Array.from(given.theta);
    const W = parameters.part(theta, 'head.weight');
    const b = parameters.part(theta, 'head.bias');
    const { targets, weight } = given.batch.parts as Record<string, number[]>;
    const expected = Array.from({ length: 8 }, (_, row) => {
      const h = Array.from(trace.states.h!.slice((row + 2) * 3, (row + 3) * 3));
      const error = [0, 1].map(
        (c) =>
          weight![row]! * (b[c]! + h.reduce((o, x, i) => o + W[c * 3 + i]! * x, 0) - targets![row * 2 + c]!),
      );
      return [0, 1, 2].map((i) => error[0]! * W[i]! + error[1]! * W[3 + i]!);
    });
    expectClose(byOutput.loss, expected.flat(), 1e-12);
    expectClose(
      byOutput.lastLoss,
      expected.flatMap((row, i) => (i < 6 ? [0, 0, 0] : row)),
      1e-12,
    );
  });

  it.each([
    ['in two layers', { layers: 2 }],
    ['with attention', { attention: true }],
    ['both ways', { bidirectional: true, layers: 2 }],
  ] as const)('of the last step are those of a loss that counts no other, %s', async (_, config) => {
    const model = sequence({ ...config, masked: true });
    const all = problem(model, 4, 2, masks);
    // The second sequence ends at its second step.
    const counting = (...places: number[]) => {
      const weight = masks.weight.map((w, i) => (places.includes(i) ? w : 0));
      return traceModel(oracle, { ...all, batch: { ...all.batch, parts: { ...all.batch.parts, weight } } });
    };
    const [ours, last, first] = [await traceModel(oracle, all), await counting(6, 3), await counting(0, 1)];
    ours.layers.forEach(({ trace, byOutput }, i) => {
      const theirs = trace.name.endsWith('reverse') ? first : last;
      expectClose(byOutput.lastLoss, theirs.layers[i]!.byOutput.loss, 1e-12);
    });
  });
});

describe('a diagnosis', () => {
  it('names layers and directions, and follows each in its own direction of time', async () => {
    const given = problem(sequence({ bidirectional: true, layers: 2, masked: true }), 4, 2, masks);
    const { layers, loss } = await diagnose(oracle, given);
    expect(loss).toBeGreaterThan(0);
    expect(layers.map(({ name }) => name)).toEqual([
      'layer 0',
      'layer 0, reverse',
      'layer 1',
      'layer 1, reverse',
    ]);
    for (const { byLag, errorSignals } of layers) {
      expect(byLag.errorSignal).toHaveLength(4);
      expect(byLag.errorSignal.every((norm) => norm > 0)).toBe(true);
      expect(byLag.product).toHaveLength(5);
      // Lag 0 is the last step taken: by both samples in a reverse layer, at the mask's end in a forward one.
      const { lastLoss } = errorSignals;
      expect(byLag.errorSignal[3]).toBe(lastLoss[0]);
    }
    const [forwards, reverse] = [layers[2]!, layers[3]!];
    expect(reverse.byLag.errorSignal[0]).toBeCloseTo(
      (reverse.errorSignals.lastLoss[6]! + reverse.errorSignals.lastLoss[7]!) / 2,
      12,
    );
    expect(forwards.byLag.errorSignal[0]).toBeCloseTo(
      (forwards.errorSignals.lastLoss[6]! + forwards.errorSignals.lastLoss[3]!) / 2,
      12,
    );
  });

  it('is the same where BPTT computes its steps again', async () => {
    const of = async (recompute: boolean) => {
      const model = sequence({ cell: 'gru', bidirectional: true, masked: true, recompute });
      const mask = Array.from({ length: 18 }, (_, i) => (i % 2 === 1 && i > 8 ? 0 : 1));
      return diagnose(oracle, problem(model, 9, 2, { mask, weight: mask }));
    };
    const [again, stored] = [await of(true), await of(false)];
    again.layers.forEach((layer, i) => {
      expectClose(layer.errorSignals.loss, stored.layers[i]!.errorSignals.loss, 1e-12);
      expectClose(layer.errorSignals.lastLoss, stored.layers[i]!.errorSignals.lastLoss, 1e-12);
      expectClose(layer.products.largest, stored.layers[i]!.products.largest, 1e-12);
    });
  });

  it('sees errors vanish, stay and explode', async () => {
    const kinds = async (w: number, cell: string) => {
      const model = sequence({ cell, features: 1, hidden: 2, perStep: false });
      const T = 12;
      const given = problem(model, T, 1, { inputs: new Array<number>(T).fill(0.1) });
      const theta = Float64Array.from(given.theta);
      const set = (name: string, numbers: number[]) =>
        model.parameters.part(theta, `${cell}.${name}_l0`).set(numbers);
      set('weight_hh', [w, 0, 0, w]);
      set('weight_ih', [1, 1]);
      set('bias_ih', [0, 0]);
      set('bias_hh', [0, 0]);
      const [layer] = (await diagnose(oracle, { ...given, theta })).layers;
      return layer!;
    };
    const kept = await kinds(1, 'rnn-relu');
    expect(kept.verdict).toMatchObject({ kind: 'kept', perStep: 1, remaining: 1 });
    expect(kept.growthRate).toBeCloseTo(0, 12);
    const vanishing = await kinds(0.5, 'rnn-relu');
    expect(vanishing.verdict.kind).toBe('vanishing');
    expect(vanishing.verdict.remaining).toBeCloseTo(0.5 ** 11, 12);
    expect(vanishing.growthRate).toBeCloseTo(Math.log(0.5), 12);
    expect(vanishing.certificates!.certificates[0]).toMatchObject({ proves: 'vanishing', holds: true });
    const exploding = await kinds(2, 'rnn-relu');
    expect(exploding.verdict.kind).toBe('exploding');
    expect(exploding.certificates!.certificates.at(-1)).toMatchObject({ proves: 'exploding', holds: true });
    expect(exploding.byLag.product.at(-1)).toBeCloseTo(2 ** 12, 8);
  });

  it('of a large state has norms alone, the same ones', async () => {
    const given = text({ cell: 'lstm', layers: 1, embedding: 4 });
    const [dense] = (await diagnose(oracle, given)).layers;
    const [large] = (await diagnose(oracle, given, { denseState: 9 })).layers;
    expect([dense!.isDense, large!.isDense]).toEqual([true, false]);
    expect(large).toMatchObject({ steps: { smallest: null }, products: { smallest: null }, carousel: null });
    expectClose(large!.products.largest, dense!.products.largest, 1e-3);
    expect(dense!.carousel).not.toBeNull();
    expect(large!.byLag.errorSignal).toEqual(dense!.byLag.errorSignal);
    expect(diagnosisLines({ loss: 1, steps: 6, samples: 2, layers: [large!] }).join('\n')).toContain(
      'by power iteration, sigma_min is not computed for a state of 10',
    );
    const plain = await diagnose(oracle, problem(sequence({}), 4, 2), { denseState: 2 });
    const names = plain.layers[0]!.certificates!.certificates.map(({ name }) => name);
    // A power iteration is from below: it certifies nothing.
    expect(names).not.toContain('on the run');
  });

  it('is told in lines and drawn', async () => {
    const diagnosis = await diagnose(oracle, text({ cell: 'gru', layers: 2, embedding: 'one-hot' }));
    const lines = diagnosisLines(diagnosis);
    expect(
      lines.filter((line) => /^layer [01] \(gru\): error signals .* per step; after 5 steps/.test(line)),
    ).toHaveLength(2);
    expect(lines.some((line) => /gates +r 0\.\d+, \d+ % shut, \d+ % open; z/.test(line))).toBe(true);
    const svg = diagnosisChart(diagnosis, 'flow');
    expect(svg.match(/<path [^>]*fill="none"/g)!.length).toBeGreaterThanOrEqual(4);
    expect(svg).toContain('layer 1: |dE/ds| of the last loss');
  });
});

describe.each(Object.entries(backends))('a diagnosis on %s', (_, open) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await open();
  });
  afterAll(() => backend[Symbol.dispose]());

  it.each([
    ['lstm', 1, 4],
    ['standard-rnn', 2, 'one-hot'],
  ] as const)('of a language model of %s is that of the oracle', async (cell, layers, embedding) => {
    const given = text({ cell, layers, embedding });
    const [ours, theirs] = [await diagnose(backend, given), await diagnose(oracle, given)];
    expect(ours.loss).toBeCloseTo(theirs.loss, 5);
    ours.layers.forEach((layer, i) => {
      const other = theirs.layers[i]!;
      expectClose(layer.errorSignals.loss, other.errorSignals.loss, 1e-4, 'signals of the loss');
      expectClose(layer.errorSignals.lastLoss, other.errorSignals.lastLoss, 1e-4, 'signals of the last loss');
      expectClose(layer.steps.largest, other.steps.largest, 1e-5, 'steps');
      expectClose(layer.products.largest, other.products.largest, 1e-5, 'products');
      for (const gate of Object.keys(other.gates))
        expect(layer.gates[gate]!.mean).toBeCloseTo(other.gates[gate]!.mean, 5);
    });
  });

  it('by power iteration too', async () => {
    const given = text({ cell: 'gru', layers: 1, embedding: 4 });
    const [ours] = (await diagnose(backend, given, { denseState: 1 })).layers;
    const [theirs] = (await diagnose(oracle, given)).layers;
    expectClose(ours!.steps.largest, theirs!.steps.largest, 1e-2, 'steps');
    expectClose(ours!.products.largest, theirs!.products.largest, 1e-2, 'products');
  });
});

describe('what cannot be diagnosed', () => {
  it('a network without recurrent layers', async () => {
    const model = new FeedForwardModel({
      ...{ steps: 4, features: 2, hidden: [3], activation: 'tanh', outputs: 2, perStep: false },
      loss: 'half-squared-error',
    });
    await expect(diagnose(oracle, problem(model, 4, 2))).rejects.toMatchObject({ code: 'OPTION' });
  });

  it('parts that do not fit', async () => {
    const given = problem(sequence({}), 4, 2, { inputs: [1, 2, 3] });
    await expect(diagnose(oracle, given)).rejects.toMatchObject({
      code: 'SHAPE',
      message: "'inputs' of the batch has 3 elements and should have [4,2,2]",
    });
  });

  it('a state that is not finite, and it says where', async () => {
    const inputs = new Array<number>(16).fill(1);
    inputs[9] = Number.NaN;
    const given = problem(sequence({}), 4, 2, { inputs });
    await expect(diagnose(oracle, given)).rejects.toMatchObject({
      code: 'DATA',
      message: 'the state is NaN after 3 steps',
      where: "layer 0, state 'h'",
    });
  });

  it('a batch of nothing but padding', async () => {
    const given = problem(sequence({ masked: true }), 4, 2, { ...masks, mask: new Array(8).fill(0) });
    await expect(diagnose(oracle, given)).rejects.toMatchObject({ code: 'DATA' });
  });

  it('a loss that is not finite', async () => {
    const given = problem(sequence({}), 4, 2);
    const targets = Array.from(given.batch.parts.targets!).fill(Number.POSITIVE_INFINITY);
    const batch = { ...given.batch, parts: { ...given.batch.parts, targets } };
    await expect(diagnose(oracle, { ...given, batch })).rejects.toMatchObject({ code: 'DATA' });
  });
});
