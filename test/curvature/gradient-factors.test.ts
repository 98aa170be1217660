/** The factors of a gradient, multiplied and summed, are the gradient: for every cell, model and kind of parameter. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { cells } from '../../src/cells/index.js';
import { type GradientFactors, gradientFactors } from '../../src/curvature/gradient-factors.js';
import { batchInputs } from '../../src/model/batch-inputs.js';
import { FeedForwardModel } from '../../src/model/feedforward-model.js';
import { LanguageModel } from '../../src/model/language-model.js';
import type { Model } from '../../src/model/model.js';
import { SequenceModel } from '../../src/model/sequence-model.js';
import { gradient } from '../../src/program/adjoint.js';
import { Builder } from '../../src/program/builder.js';
import { float, sizeOf, type Type, type Value } from '../../src/program/program.js';

/** Smooth numbers, or ids below 3. */
const numbers = (name: string, { dtype, shape }: Type) =>
  dtype === 'int'
    ? Int32Array.from({ length: sizeOf(shape) }, (_, i) => (i * 5 + 1) % 3)
    : Float64Array.from({ length: sizeOf(shape) }, (_, i) =>
        name === 'mask' ? 1 : 0.6 * Math.sin(1.7 * i + name.length),
      );

/** sum over n of left_n right_n' */
function product(on: Builder, { left, right }: GradientFactors): Value {
  if (left.kind === 'one-hot') return on.scatterAdd(left.value, right.value, left.size, 0);
  if (right.kind === 'one-hot') return on.scatterAdd(right.value, left.value, right.size, 1);
  return on.gemm(left.value, right.value, { transA: true });
}

/** The largest difference between gradients and the products of their factors, with the largest gradient. */
function disagreement(model: Model, T: number, r: number): { difference: number; largest: number } {
  const on = new Builder();
  const theta = on.input('theta', float(model.parameters.size));
  const { loss } = model.forward(on, { theta, ...batchInputs(on, model, { steps: T, samples: r }) });
  const { specs } = model.parameters;
  const views = specs.map(({ name }) => model.parameters.view(on, theta, name));
  const gradients = gradient(on, loss, views);
  const products = gradients.map((g, i) => {
    const parts = gradientFactors(on, g, specs[i]!.name).map((factors) => product(on, factors!));
    return on.concat(
      parts.map((v) => on.reshape(v, [sizeOf(v.type.shape)])),
      0,
    );
  });
  const program = on.build({
    ...Object.fromEntries(gradients.map((g, i) => [`gradient ${i}`, g])),
    ...Object.fromEntries(products.map((g, i) => [`product ${i}`, g])),
  });
  const data = Object.fromEntries(program.inputs.map(({ name, value }) => [name, numbers(name, value.type)]));
  const out = interpret(program, data);
  let [difference, largest] = [0, 0];
  for (const i of specs.keys()) {
    const [g, p] = [out[`gradient ${i}`]!, out[`product ${i}`]!];
    expect(p.length).toBe(g.length);
    g.forEach((x, k) => {
      difference = Math.max(difference, Math.abs(x - p[k]!));
      largest = Math.max(largest, Math.abs(x));
    });
  }
  return { difference, largest };
}

const expectAgreement = (model: Model, T: number, r: number) => {
  const { difference, largest } = disagreement(model, T, r);
  expect(largest).toBeGreaterThan(1e-3);
  expect(difference).toBeLessThan(1e-13 * Math.max(1, largest));
};

const task = { outputs: 2, perStep: false, loss: 'half-squared-error' } as const;

describe.each(Object.keys(cells))('%s', (cell) => {
  test.each([
    [4, 3],
    [5, 1],
  ])('of sequences, T = %d, r = %d', (T, r) => {
    expectAgreement(new SequenceModel({ cell, features: 3, hidden: 4, layers: 2, ...task }), T, r);
  });

  test.each(['one-hot', 2] as const)('of characters, embedding %s', (embedding) => {
    expectAgreement(new LanguageModel({ cell, vocabulary: 3, hidden: 4, layers: 1, embedding }), 3, 2);
  });
});

test.each([
  ['bidirectional, masked, at every step', { bidirectional: true, masked: true, perStep: true }],
  ['projected', { projection: 2 }],
  ['with attention', { attention: true, perStep: true }],
  ['of one-hot steps', { oneHot: true }],
])('an LSTM %s', (_, options) => {
  expectAgreement(
    new SequenceModel({ cell: 'lstm', features: 3, hidden: 4, layers: 2, ...task, ...options }),
    5,
    3,
  );
});

test('networks of any size', () => {
  const size = fc.integer({ min: 1, max: 5 });
  const sizes = fc.record({
    T: size,
    r: size,
    features: size,
    hidden: size,
    outputs: size,
    layers: fc.constantFrom(1, 2),
  });
  const cell = fc.constantFrom('rnn', 'gru', 'lstm', 'peephole-lstm', 'layer-norm-lstm');
  fc.assert(
    fc.property(sizes, cell, fc.boolean(), ({ T, r, ...rest }, cell, perStep) => {
      const model = new SequenceModel({ cell, ...rest, perStep, loss: 'mean-squared-error' });
      const { difference, largest } = disagreement(model, T, r);
      expect(difference).toBeLessThan(1e-13 * Math.max(1, largest));
    }),
    { numRuns: 30 },
  );
});

test('a feed-forward network', () => {
  const sizes = { steps: 2, features: 3, hidden: [5, 4], activation: 'tanh' } as const;
  expectAgreement(new FeedForwardModel({ ...sizes, ...task }), 2, 7);
});

describe('what is not used linearly is refused', () => {
  test.each<[string, readonly number[], (on: Builder, x: Value, w: Value) => Value]>([
    ['the square of a matrix', [3, 3], (on, x, w) => on.linear(x, on.mul(w, w))],
    ['a matrix times itself', [3, 3], (on, x, w) => on.linear(x, on.gemm(w, w))],
    ['a number', [], (on, x, w) => on.mul(x, w)],
  ])('%s', (_, shape, use) => {
    const on = new Builder();
    const w = on.input('w', float(...shape));
    const loss = on.sumAll(on.call('tanh', use(on, on.input('x', float(2, 3)), w)));
    const [g] = gradient(on, loss, [w]);
    expect(() => gradientFactors(on, g!, 'w')).toThrow(
      expect.objectContaining({ code: 'PROGRAM', where: 'w' }),
    );
  });
});
