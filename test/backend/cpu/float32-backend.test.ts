import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { Float32Backend } from '../../../src/backend/cpu/float32-backend.js';
import { type Block, Memory } from '../../../src/backend/cpu/memory.js';
import { KronogradError } from '../../../src/errors.js';
import type { Schedule } from '../../../src/schedule/schedule.js';
import { ref } from './harness.js';

const negate = (length: number, arena = 1000): Schedule => ({
  buffers: [
    { name: 'arena', dtype: 'float', length: arena },
    ...['b1', 'b2'].map((name) => ({ name, dtype: 'float' as const, length })),
  ],
  steps: [
    {
      kind: 'stage',
      label: 'negate',
      stage: {
        kind: 'pointwise',
        shape: [length],
        scalars: [
          { kind: 'load', ref: ref(1, [1]), gather: null },
          { kind: 'call', fn: 'neg', args: [0] },
        ],
        stores: [{ ref: ref(2, [1]), value: 1 }],
      },
    },
  ],
});

const codeOf = (run: () => unknown): string | undefined => {
  try {
    run();
    return undefined;
  } catch (error) {
    expect(error).toBeInstanceOf(KronogradError);
    return (error as KronogradError).code;
  }
};

describe('tensors', () => {
  test('read what was written, in the precision of the backend', async () => {
    const backend = new Float32Backend();
    const floats = backend.tensor({ dtype: 'float', shape: [3] });
    const ints = backend.tensor({ dtype: 'int', shape: [2] });
    expect(await floats.read()).toEqual(new Float32Array(3));
    floats.write([0.1, 2, Number.NaN]);
    ints.write([-1, 2 ** 31 - 1]);
    expect(await floats.read()).toEqual(Float32Array.of(0.1, 2, Number.NaN));
    expect(await ints.read()).toEqual(Int32Array.of(-1, 2 ** 31 - 1));
  });

  test('keep their contents when the memory grows', async () => {
    const backend = new Float32Backend();
    const first = backend.tensor({ dtype: 'float', shape: [3] });
    first.write([1, 2, 3]);
    backend.tensor({ dtype: 'float', shape: [1000, 1000] });
    expect(await first.read()).toEqual(Float32Array.of(1, 2, 3));
  });

  test('refuse data of another length, and any use after their disposal', async () => {
    const tensor = new Float32Backend().tensor({ dtype: 'float', shape: [3] });
    expect(codeOf(() => tensor.write([1, 2]))).toBe('SHAPE');
    tensor[Symbol.dispose]();
    tensor[Symbol.dispose]();
    expect(codeOf(() => tensor.write([1, 2, 3]))).toBe('OPTION');
    await expect(tensor.read()).rejects.toMatchObject({ code: 'OPTION' });
  });

  test('that do not fit are refused with the numbers', () => {
    const backend = new Float32Backend();
    const huge = { dtype: 'float' as const, shape: [2 ** 30] };
    expect(() => backend.tensor(huge)).toThrow(/4294967296 bytes are needed and 0 are in use/);
    expect(codeOf(() => backend.tensor(huge))).toBe('MEMORY');
    expect(backend.bytesInUse).toBe(0);
  });
});

describe('executables', () => {
  test('run on the tensors bound by name, other ones in each run', async () => {
    const backend = new Float32Backend();
    const executable = await backend.compileSchedule(negate(5));
    for (const scale of [1, 2]) {
      const b1 = backend.tensor({ dtype: 'float', shape: [5] });
      const b2 = backend.tensor({ dtype: 'float', shape: [5] });
      b1.write([1, 2, 3, 4, 5].map((x) => scale * x));
      executable.run({ b1, b2 });
      expect([...(await b2.read())]).toEqual([-1, -2, -3, -4, -5].map((x) => scale * x));
    }
    expect(executable.dispatches).toBe(1);
    expect(executable.arenaBytes).toBeGreaterThanOrEqual(4000);
  });

  test('refuse tensors that are missing, of another shape, type or backend', async () => {
    const backend = new Float32Backend();
    const executable = await backend.compileSchedule(negate(5));
    const float = (length: number, of = backend) => of.tensor({ dtype: 'float', shape: [length] });
    const b1 = float(5);
    expect(codeOf(() => executable.run({ b1 }))).toBe('SHAPE');
    expect(codeOf(() => executable.run({ b1, b2: float(6) }))).toBe('SHAPE');
    expect(codeOf(() => executable.run({ b1, b2: backend.tensor({ dtype: 'int', shape: [5] }) }))).toBe(
      'SHAPE',
    );
    expect(codeOf(() => executable.run({ b1, b2: float(5, new Float32Backend()) }))).toBe('SHAPE');
  });

  test.each([
    ['their arena', negate(5, 2 ** 30)],
    ['a tensor', negate(2 ** 30)],
    ['all of it together', negate(2 ** 28, 2 ** 29 + 1)],
  ])('that cannot fit are refused before they are compiled: %s', async (_, schedule) => {
    using compile = vi.spyOn(WebAssembly, 'compile');
    const backend = new Float32Backend();
    const needed = schedule.buffers.reduce((sum, { length }) => sum + 4 * length, 0);
    await expect(backend.compileSchedule(schedule)).rejects.toMatchObject({
      code: 'MEMORY',
      message: expect.stringContaining(`${needed} bytes are needed`),
    });
    expect(compile).not.toHaveBeenCalled();
    expect(backend.bytesInUse).toBe(0);
  });

  test('free their memory once, and refuse to run afterwards', async () => {
    const backend = new Float32Backend();
    const before = backend.bytesInUse;
    const executable = await backend.compileSchedule(negate(5));
    expect(backend.bytesInUse).toBeGreaterThan(before);
    executable[Symbol.dispose]();
    executable[Symbol.dispose]();
    expect(backend.bytesInUse).toBe(before);
    expect(codeOf(() => executable.run({}))).toBe('OPTION');
  });
});

test('a backend refuses new work after its disposal', async () => {
  const backend = new Float32Backend();
  backend[Symbol.dispose]();
  backend[Symbol.dispose]();
  expect(codeOf(() => backend.tensor({ dtype: 'float', shape: [1] }))).toBe('OPTION');
  await expect(backend.compileSchedule(negate(1))).rejects.toMatchObject({ code: 'OPTION' });
});

test('memory: blocks never overlap, are zeroed, and all of it comes back', () =>
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 200_000 }), fc.nat(9))), (requests) => {
      const memory = new Memory();
      const live: Block[] = [];
      for (const [bytes, victim] of requests) {
        const block = memory.allocate(bytes);
        expect(block.length).toBeGreaterThanOrEqual(bytes);
        const contents = new Uint8Array(memory.memory.buffer, block.address, block.length);
        expect(contents.every((byte) => byte === 0)).toBe(true);
        contents.fill(1);
        live.push(block);
        if (victim < live.length) memory.free(live.splice(victim, 1)[0]!);
        const sorted = [...live].sort((a, b) => a.address - b.address);
        sorted.slice(1).forEach((next, k) => {
          expect(sorted[k]!.address + sorted[k]!.length).toBeLessThanOrEqual(next.address);
        });
      }
      for (const block of live) memory.free(block);
      expect(memory.used).toBe(0);
      // Nothing is left in pieces: all that there is fits in one block again.
      const whole = memory.memory.buffer.byteLength;
      memory.allocate(whole - 64);
      expect(memory.memory.buffer.byteLength).toBe(whole);
    }),
    { numRuns: 50 },
  ));
