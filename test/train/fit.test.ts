import { describe, expect, test } from 'vitest';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { createDawnBackend } from '../../src/backend/webgpu/dawn.js';
import type { TextBatch } from '../../src/data/batches.js';
import { type Checkpoint, encodeCheckpoint } from '../../src/train/checkpoint.js';
import type { TrainConfigInput } from '../../src/train/config.js';
import { type FitEvent, type FitOptions, fit } from '../../src/train/fit.js';
import { Trainer } from '../../src/train/trainer.js';
import { newTrainer, prepare } from './setup.js';

interface Saved {
  readonly kind: 'last' | 'best';
  readonly checkpoint: Checkpoint;
}

/** Fits, and keeps all that it told and saved, also when it fails. */
async function watch(trainer: Trainer, options: FitOptions = {}) {
  const events: FitEvent[] = [];
  const saved: Saved[] = [];
  const outcome = await fit(trainer, {
    onEvent: (event) => events.push(event),
    save: async (checkpoint, kind) => saved.push({ kind, checkpoint }),
    ...options,
  }).then(
    (result) => ({ result, error: undefined }),
    (error: unknown) => ({ result: undefined, error }),
  );
  return { ...outcome, events, saved };
}

const train = async (changes: TrainConfigInput, options?: FitOptions) => {
  using trainer = await newTrainer(new Float32Backend(), changes);
  return await watch(trainer, options); // awaited here: the trainer lives until then
};

const stepsOf = (saved: readonly Saved[], kind: Saved['kind']) =>
  saved.filter((each) => each.kind === kind).map(({ checkpoint }) => checkpoint.position.step);

const validations = (events: readonly FitEvent[]) => events.filter((event) => event.kind === 'validation');

describe('a whole run', () => {
  const run = train({ steps: 64, evaluateEvery: 25, saveEvery: 10 });

  test('tells every step once, in order, each with its loss', async () => {
    const steps = (await run).events.filter((event) => event.kind === 'step');
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 64 }, (_, i) => i + 1));
    expect(steps.every(({ loss, gradientNorm }) => loss > 0 && gradientNorm > 0)).toBe(true);
  });

  test('validates and saves at its intervals and at the end', async () => {
    const { events, saved } = await run;
    expect(validations(events).map(({ step }) => step)).toEqual([25, 50, 64]);
    expect(stepsOf(saved, 'last')).toEqual([10, 20, 30, 40, 50, 60, 64]);
  });

  test('learns, and says which was the best', async () => {
    const { events, saved, result } = await run;
    const losses = validations(events).map(({ validationLoss }) => validationLoss);
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    expect(result!.last).toMatchObject({ step: 64, validationLoss: losses.at(-1) });
    expect(stepsOf(saved, 'best')).toContain(result!.best!.step);
  });

  test('keeps its measurements in the checkpoints', async () => {
    const { history } = (await run).saved.at(-1)!.checkpoint;
    expect(history.map(({ step }) => step)).toEqual([25, 50, 64]);
    expect(history.every(({ loss, validationLoss }) => loss! > 0 && validationLoss! > 0)).toBe(true);
  });
});

test('a run restored from any checkpoint of another ends with its bits', async () => {
  const whole = await train({});
  const last = await encodeCheckpoint(whole.saved.at(-1)!.checkpoint);
  for (const { checkpoint } of whole.saved) {
    if (checkpoint.position.step === 60) continue;
    const { config, data } = await prepare();
    using trainer = await Trainer.restore(new Float32Backend(), checkpoint, config, data);
    const { saved } = await watch(trainer);
    expect(await encodeCheckpoint(saved.at(-1)!.checkpoint)).toEqual(last);
  }
});

test('a learning rate that fell on a plateau stays so in a restored run', async () => {
  // No validation is ever better by as much as the patience wants: the rate falls early and often.
  const changes = { schedule: 'plateau', plateauPatience: 0, lr: 3, optimizer: 'sgd', evaluateEvery: 5 };
  const whole = await train(changes);
  const constant = await train({ ...changes, schedule: 'constant' });
  const bits = async ({ saved }: typeof whole) => encodeCheckpoint(saved.at(-1)!.checkpoint);
  expect(whole.saved.at(-1)!.checkpoint.weights).not.toEqual(constant.saved.at(-1)!.checkpoint.weights);
  const { config, data } = await prepare(changes);
  const { checkpoint } = whole.saved.find((each) => each.checkpoint.position.step === 50)!;
  using trainer = await Trainer.restore(new Float32Backend(), checkpoint, config, data);
  expect(await bits(await watch(trainer))).toEqual(await bits(whole));
});

test('a run that is already complete does nothing', async () => {
  const whole = await train({});
  const { config, data } = await prepare();
  using trainer = await Trainer.restore(new Float32Backend(), whole.saved.at(-1)!.checkpoint, config, data);
  const again = await watch(trainer);
  expect(again).toMatchObject({ events: [], saved: [], result: whole.result });
});

test('epochs are as many steps as the text has batches', async () => {
  const { config, data } = await prepare({ epochs: 2 });
  expect(data.steps).toBe(2 * data.stream.batchesPerEpoch);
  expect(config.steps).toBeUndefined();
});

test('without a validation text there is no validation, and no best', async () => {
  const { result, events, saved } = await train({ validationFraction: 0, patience: 1 });
  expect(result).toEqual({ stepsDone: 60, stoppedEarly: false, last: null, best: null });
  expect(validations(events)).toEqual([]);
  expect(stepsOf(saved, 'best')).toEqual([]);
});

describe('early stop', () => {
  // Steps so long that they soon undo what they have learnt.
  const changes = { lr: 3, schedule: 'constant', clip: 0, optimizer: 'sgd', evaluateEvery: 5, patience: 2 };

  test('after as many validations without a better one as patience says', async () => {
    const { result, events, saved } = await train({ ...changes, steps: 1000 });
    expect(result).toMatchObject({ stoppedEarly: true });
    expect(result!.stepsDone).toBe(result!.best!.step + 2 * 5);
    expect(events.at(-1)).toEqual({ kind: 'earlyStop', best: result!.best });
    expect(stepsOf(saved, 'last').at(-1)).toBe(result!.stepsDone);
  });

  test('holds for a resumed run too', async () => {
    const first = await train({ ...changes, steps: 1000 });
    const { config, data } = await prepare({ ...changes, steps: 1000 });
    using trainer = await Trainer.restore(new Float32Backend(), first.saved.at(-1)!.checkpoint, config, data);
    expect((await watch(trainer)).result).toEqual(first.result);
  });
});

describe('abort', () => {
  test('stops after the current step, saves, and the run can go on to the same bits', async () => {
    const whole = await train({});
    const controller = new AbortController();
    const { config, data } = await prepare();
    async function* batches(): AsyncGenerator<TextBatch> {
      for await (const batch of data.stream.batches()) {
        if (batch.position === 16) controller.abort();
        yield batch;
      }
    }
    const stopped = await train({}, { signal: controller.signal, batches: batches() });
    expect(stopped.error).toMatchObject({ code: 'ABORTED', message: 'stopped after step 17' });
    expect(stepsOf(stopped.saved, 'last')).toEqual([10, 17]);

    using trainer = await Trainer.restore(
      new Float32Backend(),
      stopped.saved.at(-1)!.checkpoint,
      config,
      data,
    );
    const resumed = await watch(trainer);
    expect(await encodeCheckpoint(resumed.saved.at(-1)!.checkpoint)).toEqual(
      await encodeCheckpoint(whole.saved.at(-1)!.checkpoint),
    );
  });

  test('before the first step saves nothing', async () => {
    const { error, saved } = await train({}, { signal: AbortSignal.abort() });
    expect(error).toMatchObject({ code: 'ABORTED', message: 'stopped after step 0' });
    expect(saved).toEqual([]);
  });

  test('a timer gets its turn while a CPU backend trains', async () => {
    const { error } = await train({ steps: 1_000_000 }, { signal: AbortSignal.timeout(200) });
    expect(error).toMatchObject({ code: 'ABORTED' });
  });
});

describe('divergence', () => {
  const wild = { lr: 1e30, evaluateEvery: 1000 };

  test('is an error that says at which step and what to try', async () => {
    const { error, events } = await train(wild);
    expect(error).toMatchObject({
      code: 'DIVERGED',
      message: expect.stringMatching(/^the loss became \S+ at step 2$/),
      where: 'step 2',
      fix: expect.stringMatching(/--lr, now 1e\+30.*--clip, now 5/),
    });
    expect(events).toHaveLength(1);
  });

  test.each([
    ['at once', { saveEvery: 1 }],
    ['later', { saveEvery: 3 }],
  ])('is never saved, when a save is due %s', async (_when, changes) => {
    const { error, saved } = await train({ ...wild, ...changes });
    expect(error).toMatchObject({ code: 'DIVERGED' });
    expect(saved).toEqual([]);
  });

  test('NaN and infinite losses count too', async () => {
    const { error } = await train({ ...wild, lr: 1e300 });
    expect(error).toMatchObject({ code: 'DIVERGED', message: 'the loss became NaN at step 2' });
  });

  test('on the validation text counts too, and names the checkpoint to go back to', async () => {
    const good = await train({ steps: 10 });
    const changes = { lr: 1e30, evaluateEvery: 11, saveEvery: 11 };
    const { config, data } = await prepare(changes);
    using trainer = await Trainer.restore(new Float32Backend(), good.saved.at(-1)!.checkpoint, config, data);
    const { error, saved } = await watch(trainer);
    expect(error).toMatchObject({
      code: 'DIVERGED',
      message: expect.stringMatching(/^the validation loss became/),
      fix: expect.stringContaining('continue from the checkpoint of step 10'),
    });
    expect(saved).toEqual([]);
  });
});

test('a lost GPU ends the run with an error of its own; what was saved before is whole', async () => {
  const backend = await createDawnBackend();
  const trainer = await newTrainer(backend, { steps: 1000 });
  const { error, saved } = await watch(trainer, {
    onEvent: (event) => event.kind === 'step' && event.step === 15 && backend.device.gpu.destroy(),
  });
  expect(error).toMatchObject({ code: 'DEVICE_LOST', fix: expect.stringContaining('last checkpoint') });
  const { config, data } = trainer;
  backend[Symbol.dispose]();
  const { checkpoint } = saved.at(-1)!;
  using restored = await Trainer.restore(new Float32Backend(), checkpoint, config, data);
  expect(restored.stepsDone).toBeGreaterThanOrEqual(10);
});

test('what a save throws ends the run as it is', async () => {
  const full = new Error('disk full');
  const { error } = await train({}, { save: () => Promise.reject(full) });
  expect(error).toBe(full);
});
