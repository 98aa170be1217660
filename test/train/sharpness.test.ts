import { describe, expect, test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { eigenvaluesOf, toDense } from '../../src/curvature/dense.js';
import { hessianOperator } from '../../src/curvature/model-operator.js';
import { VectorSpace } from '../../src/curvature/vector-space.js';
import { encodeCheckpoint } from '../../src/train/checkpoint.js';
import { curvatureBatch, firstBatches } from '../../src/train/curvature-batches.js';
import { type FitEvent, fit } from '../../src/train/fit.js';
import { Trainer } from '../../src/train/trainer.js';
import { newTrainer, prepare } from './setup.js';

const small = { hidden: 3, layers: 1, batch: 2, unroll: 3, steps: 7 } as const;

describe('the sharpness of the loss', () => {
  test('is the largest eigenvalue of the dense Hessian, at the carried state and before the update', async () => {
    const backend = new Float64Backend();
    const { config, data } = await prepare(small, 'abcab cba'.repeat(20));
    using trainer = await Trainer.create(backend, config, data);
    const { model } = trainer;
    const events: FitEvent[] = [];
    const exact = new Map<number, number>();
    await fit(trainer, {
      curvatureEvery: 3,
      onEvent: (event) => events.push(event),
      batches: (async function* () {
        for await (const batch of data.stream.batches()) {
          const step = trainer.stepsDone + 1;
          if (step === 3 || step === 6) {
            const { state } = await trainer.checkpoint();
            const before = batch.resetsState
              ? []
              : [...state].map(([name, { data }]) => [name, data] as const);
            using space = new VectorSpace(backend);
            using theta = space.vector(model.parameters.size);
            theta.write(await trainer.parameters());
            const batches = [curvatureBatch(data, config, batch, Object.fromEntries(before))];
            using operator = hessianOperator(space, { model, theta, batches });
            exact.set(step, eigenvaluesOf(await toDense(operator)).at(-1)!);
          }
          yield batch;
        }
      })(),
    });
    const told = events.filter((event) => event.kind === 'curvature');
    expect(told.map(({ step }) => step)).toEqual([3, 6]);
    for (const { step, eigenvalue, error, products } of told) {
      expect(Math.abs(eigenvalue - exact.get(step)!)).toBeLessThanOrEqual(error);
      expect(error).toBeLessThanOrEqual(0.011 * eigenvalue);
      expect(products).toBeGreaterThan(1);
    }
  });

  test('changes no bit of the training', async () => {
    const files = async (curvatureEvery: number | undefined) => {
      const settings = { ...small, layers: 2, dropout: 0.3, clipAccumulations: 0.1 };
      using trainer = await newTrainer(new Float32Backend(), settings);
      await fit(trainer, { curvatureEvery });
      return encodeCheckpoint(await trainer.checkpoint());
    };
    expect(await files(2)).toEqual(await files(undefined));
  });
});

test('first batches count the same, and are refused where an epoch has fewer', async () => {
  using trainer = await newTrainer(new Float32Backend(), small);
  const { data, config } = trainer;
  const batches = firstBatches(data, config, 4);
  expect(batches.map(({ weight }) => weight)).toEqual([0.25, 0.25, 0.25, 0.25]);
  expect(batches[1]!.parts.characters).toEqual(data.stream.at(1).inputs);
  const { batchesPerEpoch } = data.stream;
  expect(() => firstBatches(data, config, batchesPerEpoch + 1)).toThrow(
    expect.objectContaining({ code: 'OPTION' }),
  );
});
