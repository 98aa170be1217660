/** What sources give is what models of sequences take: names, sizes and types of every part of a batch. */
import { describe, expect, test } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { CounterRandom } from '../../src/data/random.js';
import { type SequenceSource, SequenceStream } from '../../src/data/sequences.js';
import { addingProblem, copyMemory, parity, temporalOrder } from '../../src/data/tasks.js';
import { Traffic } from '../../src/data/traffic.js';
import { SeriesWindows } from '../../src/data/windows.js';
import { SequenceModel, type SequenceModelConfig } from '../../src/model/sequence-model.js';
import { Builder } from '../../src/program/builder.js';
import { float, sizeOf } from '../../src/program/program.js';

const values = Float64Array.from({ length: 60 }, (_, i) => Math.sin(i));
const sources: [string, SequenceSource, SequenceModelConfig['loss']][] = [
  [
    'windows',
    new SeriesWindows({ values, columns: 2, targetColumn: 0, window: 5, horizon: 2 }),
    'mean-squared-error',
  ],
  ['adding', addingProblem({ seed: 1, steps: 20, varyLength: true }), 'mean-squared-error'],
  ['copy', copyMemory({ seed: 1, symbols: 3, length: 2, delay: 3 }), 'softmax-cross-entropy'],
  ['order', temporalOrder({ seed: 1, steps: 20, varyLength: true }), 'softmax-cross-entropy'],
  ['parity', parity({ seed: 1, steps: 6, perStep: true }), 'softmax-cross-entropy'],
  ['traffic', new Traffic({ seed: 1, days: 3 }), 'sigmoid-cross-entropy'],
];

describe('batches fit models', () => {
  test.each(sources)('%s', (_name, source, loss) => {
    const r = 3;
    const { steps, features, masked, target } = source;
    const model = new SequenceModel({
      ...{ cell: 'gru', features, hidden: 4, layers: 1, masked },
      ...{ outputs: target.size, perStep: target.perStep, loss },
    });
    const types = model.batchTypes(steps, r);
    const batch = new SequenceStream(source, { batch: r }).at(1);
    const given = batch as unknown as Record<string, Float32Array | Int32Array>;
    for (const [name, type] of Object.entries(types)) {
      expect(given[name], name).toBeInstanceOf(type.dtype === 'int' ? Int32Array : Float32Array);
      expect(given[name]!.length, name).toBe(sizeOf(type.shape));
    }
    expect('mask' in types).toBe(batch.mask !== undefined);

    // Under parameters of zero a model knows nothing of the inputs: classes cost their logarithm.
    const on = new Builder();
    const theta = on.input('theta', float(model.parameters.size));
    const parts = Object.fromEntries(
      Object.entries(types).map(([name, type]) => [name, on.input(name, type)]),
    );
    const program = on.build({ loss: model.forward(on, { theta, batch: parts, state: {} }).loss });
    const inputs = Object.fromEntries(
      Object.keys(types).map((name) => {
        const part = given[name]!;
        return [name, part instanceof Int32Array ? part : Float64Array.from(part)];
      }),
    );
    const zero = interpret(program, { ...inputs, theta: new Float64Array(model.parameters.size) }).loss![0]!;
    if (loss === 'softmax-cross-entropy') expect(zero).toBeCloseTo(Math.log(target.size), 6);
    if (loss === 'sigmoid-cross-entropy') expect(zero).toBeCloseTo(target.size * Math.LN2, 6);
    const initial = model.parameters.initial(new CounterRandom(1));
    expect(Number.isFinite(interpret(program, { ...inputs, theta: initial }).loss![0])).toBe(true);
  });
});
