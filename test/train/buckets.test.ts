/** Batches cut behind their longest sequences: what is saved, and that nothing else changes. */
import { describe, expect, test } from 'vitest';
import type { Backend, Executable } from '../../src/backend/backend.js';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { CounterRandom } from '../../src/data/random.js';
import { SequenceSet, type SequenceSource } from '../../src/data/sequences.js';
import { fit } from '../../src/train/fit.js';
import { resolveSequenceConfig, type SequenceTrainConfigInput } from '../../src/train/sequence-config.js';
import { SequenceData } from '../../src/train/sequence-data.js';
import { Trainer } from '../../src/train/trainer.js';
import { backends } from '../support/backends.js';
import { expectClose } from '../support/numbers.js';

const T = 24;
const SMALL = {
  ...{ cell: 'gru', hidden: 4, batch: 3, steps: 8, lr: 0.02, schedule: 'constant' },
  ...{ evaluateEvery: 8, saveEvery: 8 },
} satisfies SequenceTrainConfigInput;

/** Batches of 3 whose longest sequences have 1, 5, 6 and 24 steps; 5 and 6 share a length of 6. */
function ragged(): SequenceSource {
  const lengths = [1, 1, 1, 5, 2, 3, 1, 6, 6, 24, 2, 20];
  const random = new CounterRandom(4);
  return new SequenceSet(
    lengths.map((length, i) => ({
      inputs: Float64Array.from({ length: 2 * length }, () => random.normal()),
      target: i % 2,
    })),
    { features: 2, classes: 2, steps: T },
  );
}

/** A class at every step, of the same lengths. */
function perStep(): SequenceSource {
  const set = ragged();
  return {
    ...{ count: set.count, steps: T, features: 2, masked: true },
    target: { kind: 'classes', size: 2, perStep: true },
    write(index, slot) {
      set.write(index, { ...slot, targets: new Int32Array(slot.batch) });
      for (let t = 0; t < T; t++) {
        const at = t * slot.batch + slot.place;
        if (slot.mask![at] === 1) slot.targets[at] = slot.inputs[2 * at]! > 0 ? 1 : 0;
      }
    },
  };
}

/** Counts the dispatches that are run. */
class Counting implements Backend {
  compiled = 0;
  dispatched = 0;
  readonly name;
  readonly description;
  readonly capacity;
  readonly halves;

  constructor(readonly inner: Backend) {
    this.name = inner.name;
    this.description = inner.description;
    this.capacity = inner.capacity;
    this.halves = inner.halves;
  }

  tensor(...type: Parameters<Backend['tensor']>) {
    return this.inner.tensor(...type);
  }

  async compile(...program: Parameters<Backend['compile']>): Promise<Executable> {
    const executable = await this.inner.compile(...program);
    this.compiled += 1;
    return {
      dispatches: executable.dispatches,
      arenaBytes: executable.arenaBytes,
      run: (tensors) => {
        this.dispatched += executable.dispatches;
        executable.run(tensors);
      },
      [Symbol.dispose]: () => executable[Symbol.dispose](),
    };
  }

  finish() {
    return this.inner.finish();
  }

  [Symbol.dispose](): void {
    this.inner[Symbol.dispose]();
  }
}

async function start(backend: Backend, training: SequenceSource, changes: SequenceTrainConfigInput = {}) {
  const config = resolveSequenceConfig({ ...SMALL, ...changes });
  const sets = { training, validation: training, identity: { name: 'ragged' } };
  return Trainer.create(backend, config, new SequenceData(sets, config));
}

async function train(trainer: Trainer<SequenceData>, steps: number, prepared: boolean): Promise<void> {
  for (let i = 0; i < steps; i++) {
    const batch = trainer.data.stream.at(trainer.nextBatch);
    if (prepared) await trainer.prepare(batch);
    await trainer.step(batch);
  }
}

describe('a batch cut behind its longest sequence', () => {
  test.each<[string, SequenceSource, SequenceTrainConfigInput]>([
    ['to one', ragged(), {}],
    [
      'to one, both directions, two layers with dropout',
      ragged(),
      { bidirectional: true, layers: 2, dropout: 0.3 },
    ],
    ['to one, with attention', ragged(), { network: 'attention' }],
    ['to one, with noise inside of the cell', ragged(), { zoneout: 0.2, recurrentDropout: 0.2 }],
    ['to one, with a window that looks ahead', ragged(), { cell: 'augmented-lstm' }],
    ['at every step, both directions', perStep(), { bidirectional: true }],
    [
      'at every step, in segments with a carried state',
      perStep(),
      { segmentLength: 10, segmentState: 'carried' },
    ],
  ])('learns the same: %s', async (_, source, changes) => {
    using whole = await start(new Float64Backend(), source, changes);
    using cut = await start(new Float64Backend(), source, changes);
    await train(whole, 8, false);
    await train(cut, 8, true);
    expectClose(await cut.parameters(), await whole.parameters(), 1e-12, 'parameters');
    const losses = async (of: typeof cut) => (await of.losses()).map(({ loss }) => loss);
    expectClose(await losses(cut), await losses(whole), 1e-12, 'losses');
    const { state } = await cut.checkpoint();
    for (const [name, { data }] of (await whole.checkpoint()).state)
      expectClose(state.get(name)!.data, data, 1e-12, name);
  });

  test('takes the dispatches of its steps, and programs only for the lengths that come up', async () => {
    using backend = new Counting(new Float32Backend());
    using trainer = await start(backend, ragged());
    await train(trainer, 4, false);
    const full = backend.dispatched / 4;
    expect(backend.compiled).toBe(1);
    backend.dispatched = 0;
    // An epoch has every sequence once: count its steps in time, rounded up to multiples of T / 8.
    let steps = 0;
    const used = new Set<number>();
    for (let position = 4; position < 8; position++) {
      const { longest } = trainer.data.stream.at(position);
      const length = 3 * Math.ceil(longest / 3);
      used.add(length).add(T);
      steps += length;
    }
    await train(trainer, 4, true);
    expect(backend.compiled).toBe(used.size);
    expect(used.size).toBeGreaterThan(1);
    // Each step left out saves one dispatch forwards and one backwards; a pipeline may take one more.
    expect(backend.dispatched).toBeLessThanOrEqual(4 * (full + 1) - 2 * (4 * T - steps));
  });

  test('gives the same evaluation, one program for what it needs', async () => {
    const short = new SequenceSet(
      Array.from({ length: 3 }, (_, i) => ({ inputs: Float64Array.of(1, i, 2, -i), target: i % 2 })),
      { features: 2, classes: 2, steps: T },
    );
    using backend = new Counting(new Float64Backend());
    using trainer = await start(backend, ragged());
    const before = backend.compiled;
    const loss = await trainer.evaluate(short);
    expect(backend.compiled).toBe(before + 1);
    // The same sequences among longer ones.
    const exact = new SequenceSet(
      Array.from({ length: 3 }, (_, i) => ({ inputs: Float64Array.of(1, i, 2, -i), target: i % 2 })),
      { features: 2, classes: 2 },
    );
    expect(await trainer.evaluate(exact)).toBeCloseTo(loss, 12);
  });

  test.each(['the CPU in float32', 'WebGPU'])('%s: resumes with the bits of one run', async (name) => {
    using backend = await backends[name]!();
    const changes = { cell: 'rnn', steps: 5 };
    using whole = await start(backend, ragged(), changes);
    await fit(whole);
    using first = await start(backend, ragged(), changes);
    await train(first, 3, true);
    using second = await Trainer.restore(backend, await first.checkpoint(), first.config, first.data);
    await fit(second);
    expect(await second.parameters()).toEqual(await whole.parameters());
    using uncut = await start(backend, ragged(), changes);
    await train(uncut, 5, false);
    expectClose(await uncut.parameters(), await whole.parameters(), 1e-4, 'parameters');
  });
});

test('sequences of one length are never masked, unless those for validation are', async () => {
  const one = new SequenceSet(
    Array.from({ length: 6 }, (_, i) => ({ inputs: Float64Array.of(i, 1), target: i % 2 })),
    { features: 1, classes: 2 },
  );
  const many = new SequenceSet(
    [
      { inputs: Float64Array.of(1), target: 1 },
      { inputs: Float64Array.of(1, 2), target: 0 },
    ],
    { features: 1, classes: 2 },
  );
  const config = resolveSequenceConfig(SMALL);
  const dataOf = (validation: SequenceSource | null) =>
    new SequenceData({ training: one, validation, identity: { name: 'one' } }, config);
  expect('mask' in dataOf(null).model(config).batchTypes(2, 3)).toBe(false);
  using trainer = await Trainer.create(new Float64Backend(), config, dataOf(many));
  using plain = await Trainer.create(new Float64Backend(), config, dataOf(null));
  await train(trainer, 3, true);
  await train(plain, 3, true);
  expectClose(await trainer.parameters(), await plain.parameters(), 1e-12, 'parameters');
  // A model that has been made without a mask refuses them.
  await expect(plain.evaluate(many)).rejects.toMatchObject({ code: 'SHAPE', where: 'evaluation' });
});
