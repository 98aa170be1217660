/** A program tuned on this machine's adapter: the same results, measured once. */
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { createDawnBackend } from '../../../../src/backend/webgpu/dawn.js';
import type { WebGpuBackend } from '../../../../src/backend/webgpu/webgpu-backend.js';
import { cells } from '../../../../src/cells/index.js';
import { KronogradError } from '../../../../src/errors.js';
import { recurrent, recurrentParameters, stateShapes } from '../../../../src/model/recurrent.js';
import { Builder } from '../../../../src/program/builder.js';
import { float, int, type Program } from '../../../../src/program/program.js';
import { keys } from '../../../support/cell-programs.js';
import { expectClose, randomInputs } from '../../../support/numbers.js';
import { MemoryStore } from '../../../support/tuning.js';

/** A layer over time: a product before the loop, and one in it. */
function layer(): Program {
  const config = { cell: cells.lstm!, input: 3, hidden: 12, layers: 1 };
  const on = new Builder();
  const inputs = (shapes: object) =>
    Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => [name, on.input(name, float(...shape))]),
    );
  const parameters = inputs(recurrentParameters(config));
  const { output } = recurrent(on, config, {
    x: on.input('x', float(4, 5, config.input)),
    state: inputs(stateShapes(config, 5)),
    parameter: (name) => parameters[name]!,
    key: on.input('key', int(2)),
  });
  return on.build({ output });
}

const program = layer();

async function run(backend: WebGpuBackend): Promise<ArrayLike<number>> {
  const inputs = randomInputs(program, 7, keys);
  using executable = await backend.compile(program);
  const named = executable.schedule.buffers.slice(1);
  const tensors = Object.fromEntries(
    named.map(({ name, dtype, length }) => [name, backend.tensor({ dtype, shape: [length] })]),
  );
  for (const [name, data] of Object.entries(inputs)) tensors[name]?.write(data);
  executable.run(tensors);
  const output = await tensors.output!.read();
  for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
  return output;
}

/** Counts what is measured: whatever is measured is set. */
class CountingStore extends MemoryStore {
  count = 0;

  override set(key: string, value: string): Promise<void> {
    this.count++;
    return super.set(key, value);
  }
}

const store = new CountingStore();
let untuned: WebGpuBackend;
let tuned: WebGpuBackend;
beforeAll(async () => {
  untuned = await createDawnBackend();
  tuned = await createDawnBackend({ tuning: { store, milliseconds: 60_000 } });
});
afterAll(() => {
  untuned[Symbol.dispose]();
  tuned[Symbol.dispose]();
});

it('gives what it gives untuned, measures it once, and leaves no memory behind', async () => {
  const wanted = await run(untuned);
  const found = await run(tuned);
  expectClose(found, wanted, 1e-6);
  const measured = store.count;
  expect(measured).toBeGreaterThan(0);
  expect([...store.entries.keys()].some((key) => /\| gemm \[1, 20, /.test(key))).toBe(true);
  expect([...store.entries.keys()].some((key) => /\| 4 steps, 4 timed, of gemm/.test(key))).toBe(true);
  expect(await run(tuned)).toEqual(found);
  // As in another process, that only uses what is known.
  using resumed = await createDawnBackend({ tuning: { store, milliseconds: 0 } });
  expect(await run(resumed)).toEqual(found);
  expect(store.count).toBe(measured);
  expect(tuned.device.liveBuffers).toBe(untuned.device.liveBuffers);
});

it('goes by rule where there is no room to measure', async () => {
  const empty = new MemoryStore();
  using full = await createDawnBackend({ tuning: { store: empty } });
  const allocate = full.device.allocate.bind(full.device);
  vi.spyOn(full.device, 'allocate').mockImplementation((bytes, usage, label) => {
    if (label.startsWith('scratch')) throw new KronogradError('MEMORY', 'full');
    return allocate(bytes, usage, label);
  });
  expect(await run(full)).toEqual(await run(untuned));
  expect(empty.entries.size).toBe(0);
});

it('hides no failure of before', async () => {
  tuned.device.fail(new KronogradError('MEMORY', 'of a tensor'));
  await expect(tuned.compile(program)).rejects.toMatchObject({ code: 'MEMORY', message: 'of a tensor' });
});
