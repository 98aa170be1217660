/** Optimizers against their definitions, written once more as plain loops. */
import { describe, expect, test } from 'vitest';
import { type Data, interpret } from '../../src/backend/cpu/interpret.js';
import { adam } from '../../src/optim/adam.js';
import { clipByGlobalNorm, clipByValue, type Optimizer } from '../../src/optim/optimizer.js';
import { type RmsPropOptions, rmsProp } from '../../src/optim/rmsprop.js';
import { sgd } from '../../src/optim/sgd.js';
import { Builder } from '../../src/program/builder.js';
import { numbers } from '../../src/program/functions.js';
import { float } from '../../src/program/program.js';

const START = [1, -2, 0.5];
const RATE = 0.1;
/** A gradient that changes from step to step, as that of any loss does. */
const gradientAt = (theta: readonly number[], step: number) =>
  theta.map((x, i) => x + Math.sin(step * (i + 1)));

/** What elements have of their own, instead of RATE and of what the optimizer was made with. */
interface Own {
  readonly rates: readonly number[];
  readonly weightDecays: readonly number[];
}

/** theta after some steps of an optimizer. */
function run(optimizer: Optimizer, steps: number, own?: Own, rate = RATE): number[] {
  const size = START.length;
  const names = Object.keys(optimizer.scalars(numbers, { step: 1, learningRate: rate }));
  const on = new Builder();
  const inputs = (list: readonly string[], shape: readonly number[]) =>
    Object.fromEntries(list.map((name) => [name, on.input(name, float(...shape))]));
  const after = optimizer.update(on, {
    theta: on.input('theta', float(size)),
    gradient: on.input('gradient', float(size)),
    slots: inputs(optimizer.slots, [size]),
    scalars: { ...inputs(names, []), ...(own && { stepSize: on.input('stepSizes', float(size)) }) },
    weightDecays: own && on.input('weightDecays', float(size)),
  });
  const program = on.build(
    Object.fromEntries(
      Object.entries({ theta: after.theta, ...after.slots }).map(([name, value]) => [
        name,
        { value, updates: name },
      ]),
    ),
  );
  let state: Record<string, Data> = { theta: Float64Array.from(START) };
  for (const slot of optimizer.slots) state[slot] = new Float64Array(size);
  for (let step = 1; step <= steps; step++) {
    const scalars = Object.fromEntries(
      Object.entries(optimizer.scalars(numbers, { step, learningRate: rate })).map(([name, x]) => [
        name,
        Float64Array.of(x),
      ]),
    );
    const gradient = Float64Array.from(gradientAt(Array.from(state.theta!), step));
    const vectors = own && {
      stepSizes: Float64Array.from(own.rates, (each) => (each / rate) * scalars.stepSize![0]!),
      weightDecays: Float64Array.from(own.weightDecays),
    };
    state = interpret(program, { ...state, ...scalars, gradient, ...vectors });
  }
  return Array.from(state.theta!);
}

function expectNumbers(actual: readonly number[], expected: readonly number[]): void {
  for (const [i, x] of expected.entries()) expect(actual[i]).toBeCloseTo(x, 12);
}

/** `torch.optim.RMSprop`, line by line from its documentation. */
function reference(options: RmsPropOptions, steps: number): number[] {
  const { alpha = 0.99, epsilon = 1e-8, weightDecay = 0, momentum = 0, centered = false } = options;
  let theta = START;
  const v = START.map(() => 0);
  const mean = START.map(() => 0);
  const b = START.map(() => 0);
  for (let step = 1; step <= steps; step++) {
    const gradient = gradientAt(theta, step);
    theta = theta.map((x, i) => {
      const g = gradient[i]! + weightDecay * x;
      v[i] = alpha * v[i]! + (1 - alpha) * g * g;
      mean[i] = alpha * mean[i]! + (1 - alpha) * g;
      const variance = centered ? v[i]! - mean[i]! ** 2 : v[i]!;
      b[i] = momentum * b[i]! + g / (Math.sqrt(variance) + epsilon);
      return x - RATE * b[i]!;
    });
  }
  return theta;
}

describe('RMSProp', () => {
  test.each<[string, RmsPropOptions]>([
    ['plain', {}],
    ['with weight decay', { weightDecay: 0.3 }],
    ['with momentum', { momentum: 0.9, alpha: 0.9 }],
    ['centered', { centered: true, epsilon: 1e-3 }],
    ['with everything', { centered: true, momentum: 0.5, weightDecay: 0.1 }],
  ])('%s', (_, options) => {
    expectNumbers(run(rmsProp(options), 5), reference(options, 5));
  });
});

describe('elements with a learning rate and a weight decay of their own', () => {
  test.each<[string, (weightDecay: number) => Optimizer]>([
    ['SGD', (weightDecay) => sgd({ weightDecay })],
    ['Nesterov', (weightDecay) => sgd({ weightDecay, momentum: 0.9, nesterov: true })],
    ['RMSProp', (weightDecay) => rmsProp({ weightDecay })],
    ['Adam', (weightDecay) => adam({ weightDecay })],
    ['AdamW', (weightDecay) => adam({ weightDecay, decoupled: true })],
  ])('%s: each goes as if all were like it', (_, optimizer) => {
    const rates = [0.1, 0.02, 0];
    const weightDecays = [0.3, 0, 0.2];
    const alone = rates.map((rate, i) => run(optimizer(weightDecays[i]!), 4, undefined, rate)[i]!);
    // What the optimizer was made with does not count.
    expectNumbers(run(optimizer(0.7), 4, { rates, weightDecays }), alone);
    expect(alone[2]).toBe(START[2]);
  });
});

test.each([
  [0, [3, -0.2, -4]],
  [0.5, [0.5, -0.2, -0.5]],
])('clipping by the value %d', (limit, expected) => {
  const on = new Builder();
  const clipped = clipByValue(on, on.input('g', float(3)), limit);
  const { result } = interpret(on.build({ result: clipped }), { g: Float64Array.of(3, -0.2, -4) });
  expect(Array.from(result!)).toEqual(expected);
});

test.each([
  [0, 1],
  [10, 1],
  [2.5, 2.5 / (5 + 1e-6)],
])('clipping by the global norm %d: the norm before it, and the gradient scaled by %d', (limit, scale) => {
  const on = new Builder();
  const { gradient, norm } = clipByGlobalNorm(on, on.input('g', float(3)), limit);
  const result = interpret(on.build({ gradient, norm: on.reshape(norm, [1]) }), {
    g: Float64Array.of(3, 0, -4),
  });
  expectNumbers(Array.from(result.norm!), [5]);
  expectNumbers(
    Array.from(result.gradient!),
    [3, 0, -4].map((x) => x * scale),
  );
});
