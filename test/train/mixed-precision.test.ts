/** Training in mixed precision: loss scaling as equations, runs that go on to the bit, and what they learn. */
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import type { Backend } from '../../src/backend/backend.js';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { interpret } from '../../src/backend/cpu/interpret.js';
import { createDawnBackend } from '../../src/backend/webgpu/dawn.js';
import { CounterRandom } from '../../src/data/random.js';
import type { KronogradError } from '../../src/errors.js';
import { LanguageModel } from '../../src/model/language-model.js';
import { FIRST_ORDER, type FirstOrderName, optimizerNamed } from '../../src/optim/index.js';
import { numbers } from '../../src/program/functions.js';
import { decodeCheckpoint } from '../../src/train/checkpoint.js';
import { resolveTrainConfig, type TrainConfigInput } from '../../src/train/config.js';
import { fit } from '../../src/train/fit.js';
import { resolveSequenceConfig } from '../../src/train/sequence-config.js';
import { type Precision, stepScalars, trainingStep } from '../../src/train/step-program.js';
import { Trainer } from '../../src/train/trainer.js';
import { learnText } from '../support/learning.js';
import { relativeError } from '../support/numbers.js';
import { advance, bitsOf, newTrainer } from './setup.js';

const MIXED = { precision: 'mixed' } as const satisfies TrainConfigInput;
const [T, r, RING] = [5, 3, 4];
const model = new LanguageModel({ cell: 'lstm', vocabulary: 6, hidden: 7, layers: 2, embedding: 'one-hot' });

type State = Record<string, Float64Array | Int32Array>;

/** The first state of a training step, as the interpreter takes it, with loss scaling in the given state. */
function begin(
  name: FirstOrderName,
  scaling: readonly number[],
  { clip = 1, weightDecay = 0.01, precision = 'mixed' as Precision } = {},
) {
  const options = {
    ...{ batch: r, unroll: T, optimizer: optimizerNamed(name, weightDecay), clip, dropout: 0 },
    ...{ ringLength: RING, precision },
  };
  const program = trainingStep(model, options);
  const zeros: State = Object.fromEntries(
    program.inputs.map(({ name, value: { type } }) => {
      const size = type.shape.reduce((n, d) => n * d, 1);
      return [
        name,
        type.dtype === 'int'
          ? Int32Array.from({ length: size }, (_, i) => (i * 5 + 1) % 6)
          : new Float64Array(size),
      ];
    }),
  );
  const theta = model.parameters.initial(new CounterRandom(4));
  const state: State = { ...zeros, theta, 'optimizer.scaling': Float64Array.from(scaling) };
  const step = (from: State, at: number): State => {
    const scalars = Float64Array.from(stepScalars(options, { step: at, learningRate: 0.1 }));
    return { ...from, ...interpret(program, { ...from, scalars }) } as State;
  };
  return { state, step, slots: options.optimizer.slots.map((slot) => `optimizer.${slot}`) };
}

const scalingOf = (state: State) => [...state['optimizer.scaling']!];

describe.each(FIRST_ORDER)('a step of %s', (name) => {
  it('is skipped when the gradient overflows: all but the scale, the state and what is measured stays', () => {
    const { state, step, slots } = begin(name, [2 ** 60, 7, 12, 2]);
    const first = step(
      { ...state, ...Object.fromEntries(slots.map((slot) => [slot, state.theta!.map(Math.abs)])) },
      15,
    );
    for (const key of ['theta', ...slots])
      expect(first[key]).toEqual(key === 'theta' ? state.theta : state.theta!.map(Math.abs));
    expect(scalingOf(first)).toEqual([2 ** 59, 0, 12, 3]);
    expect(first['state.h']!.some((x) => x !== 0)).toBe(true);
    expect([first.scales![2], first.skips![2]]).toEqual([2 ** 60, 3]);
    expect(Number.isFinite(first.norms![2])).toBe(false);
    expect(first.losses![2]).toBeCloseTo(Math.log(6), 1);
  });

  it('does not count it as an update', () => {
    const { state, step, slots } = begin(name, [2 ** 60, 0, 0, 0]);
    const skipped = step(state, 1);
    const again = { ...skipped, 'state.h': state['state.h']!, 'state.c': state['state.c']! };
    const late = step({ ...again, 'optimizer.scaling': Float64Array.of(2 ** 10, 0, 0, 1) }, 2);
    const early = step({ ...state, 'optimizer.scaling': Float64Array.of(2 ** 10, 0, 0, 0) }, 1);
    for (const key of ['theta', ...slots]) expect(late[key]).toEqual(early[key]);
    expect(scalingOf(late)).toEqual([2 ** 10, 1, 1, 1]);
    expect(late.theta).not.toEqual(state.theta);
  });
});

describe('the scale', () => {
  const after = (scaling: readonly number[]) => {
    const { state, step } = begin('sgd', scaling);
    return scalingOf(step(state, 1));
  };

  it('doubles after 2000 finite gradients in a row, not before', () => {
    expect(after([2 ** 10, 1998, 5000, 1])).toEqual([2 ** 10, 1999, 5001, 1]);
    expect(after([2 ** 10, 1999, 5000, 1])).toEqual([2 ** 11, 0, 5001, 1]);
  });

  it('halves until gradients are finite, and then lets steps count', () => {
    const { state, step } = begin('adam', [2 ** 40, 0, 0, 0]);
    let at = state;
    for (let n = 1; n <= 40; n++) at = step(at, n);
    const [scale, , updates, skipped] = scalingOf(at) as [number, number, number, number];
    expect(updates + skipped).toBe(40);
    expect(skipped).toBeGreaterThan(5);
    expect(scale).toBe(2 ** (40 - skipped));
    expect(at.norms!.every(Number.isFinite)).toBe(true);
  });

  it('makes no difference to a gradient that neither overflows nor vanishes', () => {
    const gradients = [2 ** 8, 2 ** 12].map((scale) => {
      const { state, step } = begin('sgd', [scale, 0, 0, 0], { clip: 0 });
      return step(state, 1).theta!.map((x, i) => x - state.theta![i]!);
    });
    // Halves below 2^-14 are coarser, and more of them are there with the smaller scale.
    expect(relativeError(gradients[0]!, gradients[1]!)).toBeLessThan(2e-5);
  });

  it('keeps derivatives that halves alone would lose', () => {
    /** How a recurrent weight of the first layer moves under a head so small that little reaches it. */
    const change = (precision: Precision, scale: number) => {
      const { state, step } = begin('sgd', [scale, 0, 0, 0], { clip: 0, weightDecay: 0, precision });
      const theta = Float64Array.from(state.theta!);
      const head = model.parameters.part(theta, 'head.weight');
      head.forEach((x, i) => {
        head[i] = x * 1e-5;
      });
      const moved = step({ ...state, theta }, 1).theta!;
      return model.parameters.part(
        Float64Array.from(moved, (x, i) => x - theta[i]!),
        'lstm.weight_hh_l0',
      );
    };
    const wanted = change('float32', 1);
    expect(Math.hypot(...wanted)).toBeGreaterThan(0);
    expect(Math.hypot(...change('mixed', 1))).toBe(0);
    const error = relativeError(change('mixed', 2 ** 16), wanted);
    console.log(`with a scale of 2^16, ${error.toExponential(1)} of the largest`);
    // The head itself is of halves that have lost some of their bits.
    expect(error).toBeLessThan(0.05);
  });
});

it.each([0, 2, 40])(
  'corrects the bias of Adam by the updates made, here %i, and not by the steps',
  (updates) => {
    const { state, step } = begin('adam', [2 ** 10, 0, updates, 5], { weightDecay: 0 });
    const moved = step(state, updates + 6).theta!;
    // From slots of zero, m / (1 - b1^t) over the root of v / (1 - b2^t), of the learning rate 0.1.
    const t = updates + 1;
    const wanted = ((0.1 * 0.1) / (1 - 0.9 ** t)) * Math.sqrt((1 - 0.999 ** t) / 0.001);
    const largest = Math.max(...moved.map((x, i) => Math.abs(x - state.theta![i]!)));
    expect(largest / wanted).toBeCloseTo(1, 4);
  },
);

it('corrects the bias of Adam as its paper says, also in float32', () => {
  const { scalars } = optimizerNamed('adam', 0);
  const float32 = {
    call: (...[fn, ...x]: Parameters<typeof numbers.call>) => Math.fround(numbers.call(fn, ...x)),
    constant: Math.fround,
  };
  for (const step of [1, 2, 3, 10, 100, 5000, 1e6]) {
    const exact = [1e-3 / (1 - 0.9 ** step), Math.sqrt(1 - 0.999 ** step), 1 - 0.9 ** step];
    const at = { step, learningRate: 1e-3 };
    expect(relativeError(Object.values(scalars(numbers, at)), exact)).toBeLessThan(1e-14);
    Object.values(scalars(float32, at)).forEach((x, i) =>
      expect(Math.abs(x / exact[i]! - 1)).toBeLessThan(5e-7),
    );
  }
});

const backends: [string, () => Promise<Backend>][] = [
  ['cpu', async () => new Float32Backend()],
  ['webgpu', () => createDawnBackend()],
];

describe.each(backends)('on %s', (where, open) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await open();
  });
  afterAll(() => backend[Symbol.dispose]());

  test('a restored run gives the bits of one that never stopped, skipped steps included', async () => {
    const begun = async () => {
      const trainer = await newTrainer(backend, MIXED);
      const { optimizer, ...saved } = await decodeCheckpoint(await bitsOf(trainer), 'test');
      trainer[Symbol.dispose]();
      // So large that the first steps are skipped.
      const tensors = new Map(optimizer.tensors);
      const data = Float32Array.of(2 ** 26, 0, 0, 0);
      tensors.set('scaling', { dtype: 'F32', shape: [4], data });
      const { config } = trainer;
      return Trainer.restore(
        backend,
        { ...saved, optimizer: { ...optimizer, tensors } },
        config,
        trainer.data,
      );
    };
    using whole = await begun();
    advance(whole, 21);
    using first = await begun();
    advance(first, 9);
    const saved = await decodeCheckpoint(await bitsOf(first), 'test');
    advance(first, 2);
    using second = await Trainer.restore(backend, saved, first.config, first.data);
    advance(second, 12);
    expect(await bitsOf(second)).toEqual(await bitsOf(whole));
    const losses = await whole.losses();
    const { lossScale, skippedSteps } = losses.at(-1)!;
    expect(skippedSteps).toBeGreaterThan(0);
    expect(lossScale).toBe(2 ** (26 - skippedSteps!));
    expect(losses.filter(({ gradientNorm }) => !Number.isFinite(gradientNorm))).toHaveLength(skippedSteps!);
  });

  test('a tiny text is learnt as well as in float32', async () => {
    const [plain, mixed] = [await learnText(backend, {}), await learnText(backend, MIXED)];
    console.log(
      `${where}: the loss went to ${plain.last.toFixed(4)} in float32, ${mixed.last.toFixed(4)} mixed`,
    );
    expect(mixed.first).toBeCloseTo(plain.first, 3);
    expect(Math.abs(mixed.last / plain.last - 1)).toBeLessThan(0.05);
  });
});

describe('a run that comes to nothing is reported', () => {
  /** After a step, with weights and scale as given. */
  async function altered(
    change: (name: string, data: ArrayLike<number>) => ArrayLike<number>,
    scale: number,
  ) {
    const backend = new Float32Backend();
    using trainer = await newTrainer(backend, { ...MIXED, layers: 1, batch: 1, unroll: 1 });
    advance(trainer, 1);
    const { weights, optimizer, state: _, ...saved } = await decodeCheckpoint(await bitsOf(trainer), 'test');
    const changed = new Map(
      [...weights].map(([name, { shape, data }]) => {
        return [
          name,
          { dtype: 'F32' as const, shape, data: Float32Array.from(change(name, data as Float32Array)) },
        ];
      }),
    );
    const tensors = new Map(optimizer.tensors);
    tensors.set('scaling', { dtype: 'F32', shape: [4], data: Float32Array.of(scale, 0, 1, 0) });
    const state = new Map(
      ['h', 'c'].map((name) => [
        name,
        { dtype: 'F32' as const, shape: [1, 1, 8], data: new Float32Array(8) },
      ]),
    );
    const checkpoint = { ...saved, weights: changed, state, optimizer: { ...optimizer, tensors } };
    return Trainer.restore(backend, checkpoint, trainer.config, trainer.data);
  }

  test('where the loss is not finite', async () => {
    using trainer = await altered((_, data) => Array.from(data, () => 1e5), 2 ** 16);
    const error = await fit(trainer).catch((e: KronogradError) => e);
    expect(error).toMatchObject({
      code: 'DIVERGED',
      message: expect.stringContaining('the loss became NaN'),
      fix: expect.stringContaining('--precision float32'),
    });
  });

  test('where the gradient is not, though nothing is scaled any more', async () => {
    // Errors of the head so large that halves overflow on their way down, under a state that is still small.
    const change = (name: string, data: ArrayLike<number>) => {
      if (name === 'head.weight') return Array.from(data, (_, i) => (i % 3 === 0 ? 6e4 : -6e4));
      return name === 'head.bias' ? Array.from(data, (_, i) => (i === 0 ? 5 : 0)) : Array.from(data, () => 0);
    };
    using trainer = await altered(change, 1);
    const error = await fit(trainer).catch((e: KronogradError) => e);
    expect(error).toMatchObject({
      code: 'DIVERGED',
      message: expect.stringMatching(/the gradient became \w+, without any scale/),
    });
  });
});

describe('options', () => {
  it.each([resolveTrainConfig, resolveSequenceConfig])('are float32 or mixed', (resolve) => {
    expect(resolve({}).precision).toBe('float32');
    expect(resolve(MIXED).precision).toBe('mixed');
    expect(() => resolve({ precision: 'half' })).toThrowError(/precision/);
  });

  it.each(['hf', 'lbfgs', 'kfac'])('of %s do not go with it', (optimizer) => {
    expect(() => resolveTrainConfig({ ...MIXED, optimizer })).toThrowError(
      expect.objectContaining({ code: 'OPTION', fix: expect.stringContaining('optimizer of first order') }),
    );
  });

  it('of a saved run cannot change it', async () => {
    const backend = new Float32Backend();
    using trainer = await newTrainer(backend, {});
    const saved = await decodeCheckpoint(await bitsOf(trainer), 'test');
    const wanted = { ...trainer.config, precision: 'mixed' as const };
    await expect(Trainer.restore(backend, saved, wanted, trainer.data)).rejects.toMatchObject({
      code: 'CHECKPOINT',
      message: expect.stringContaining('precision'),
    });
    // What was saved before there was a choice.
    const { precision: _, ...config } = saved.config;
    using old = await Trainer.restore(backend, { ...saved, config }, trainer.config, trainer.data);
    expect(old.stepsDone).toBe(0);
  });
});
