import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generateKernel } from '../../../kernels/index.js';
import type {
  BufferSpec,
  GemmStage,
  PointwiseStage,
  Ref,
  Scalar,
  TimeStride,
} from '../../../kernels/stage.js';
import { annotate } from '../../../src/backend/webgpu/pipelines.js';
import type { WebGpuTensor } from '../../../src/backend/webgpu/tensor.js';
import type { WebGpuBackend } from '../../../src/backend/webgpu/webgpu-backend.js';
import { float, int } from '../../../src/program/program.js';
import type { LabelledStage, Schedule } from '../../../src/schedule/schedule.js';
import { expectClose, numbers, openBackend } from '../../kernels/gpu.js';
import { runSchedule } from '../../support/run-schedule.js';

let backend: WebGpuBackend;
beforeAll(async () => {
  backend = await openBackend();
});
afterAll(() => backend[Symbol.dispose]());

const ref = (
  buffer: number,
  strides: readonly number[],
  offset = 0,
  time: TimeStride | null = null,
): Ref => ({
  ...{ buffer, offset, strides, time },
});
const load = (from: Ref): Scalar => ({ kind: 'load', ref: from, gather: null });
const accumulator = (slot: number): Scalar => ({ kind: 'accumulator', slot });
const call = (fn: Extract<Scalar, { kind: 'call' }>['fn'], ...args: number[]): Scalar => ({
  ...{ kind: 'call', fn, args },
});
const labelled = (label: string, stage: LabelledStage['stage']): LabelledStage => ({
  kind: 'stage',
  label,
  stage,
});
const buffer = (name: string, length: number, dtype: 'float' | 'int' = 'float'): BufferSpec => ({
  ...{ name, dtype, length },
});

/** y = x + 1 through the arena, in two stages. */
function increment(length: number): Schedule {
  const copy = (from: Ref, to: Ref): PointwiseStage => ({
    ...{ kind: 'pointwise', shape: [length] },
    scalars: [load(from), { kind: 'constant', value: 0.5 }, call('add', 0, 1)],
    stores: [{ ref: to, value: 2 }],
  });
  return {
    buffers: [buffer('arena', length), buffer('x', length), buffer('y', length)],
    steps: [
      labelled('half = x + 1/2', copy(ref(1, [1]), ref(0, [1]))),
      labelled('y = half + 1/2', copy(ref(0, [1]), ref(2, [1]))),
    ],
  };
}

/**
 * An LSTM layer over time as one loop of one stage: per step a gemm with four slots, U h(t-1) plus the inputs x(t)
 * that a stage before the loop made, and the cell equations as its epilogue. h is a sequence in its tensor whose
 * place 0 holds the initial state; c is a ring of two in the arena.
 */
function lstm(batch: number, features: number, width: number, steps: number): Schedule {
  const gates = 4 * width;
  const [X, W, U, B, H, C] = [1, 2, 3, 4, 5, 6];
  const arena = { inputs: 0, cells: steps * batch * gates };
  const inputs: GemmStage = {
    ...{ kind: 'gemm', batch: 1, rows: steps * batch, columns: gates, slots: 1 },
    terms: [
      {
        depth: features,
        a: ref(X, [0, features, 1]),
        b: ref(W, [0, 1, features]),
        slots: [{ slot: 0, offset: 0 }],
      },
    ],
    scalars: [accumulator(0), load(ref(B, [0, 0, 1])), call('add', 0, 1)],
    stores: [{ ref: ref(0, [0, gates, 1], arena.inputs), value: 2 }],
  };
  const start: PointwiseStage = {
    ...{ kind: 'pointwise', shape: [batch, width] },
    scalars: [load(ref(C, [width, 1]))],
    stores: [{ ref: ref(0, [width, 1], arena.cells), value: 0 }],
  };
  const ring = (shift: number): TimeStride => ({ stride: batch * width, shift, ring: 2 });
  const slots = [0, 1, 2, 3];
  const step: GemmStage = {
    ...{ kind: 'gemm', batch: 1, rows: batch, columns: width, slots: 4 },
    terms: [
      {
        depth: width,
        a: ref(H, [0, width, 1], 0, { stride: batch * width, shift: 0, ring: 0 }),
        b: ref(U, [0, 1, width]),
        slots: slots.map((slot) => ({ slot, offset: slot * width * width })),
      },
    ],
    scalars: [
      ...slots.map(accumulator),
      ...slots.map((gate) =>
        load(
          ref(0, [0, gates, 1], arena.inputs + gate * width, { stride: batch * gates, shift: 0, ring: 0 }),
        ),
      ),
      ...slots.map((gate) => call('add', gate, 4 + gate)),
      ...[call('sigmoid', 8), call('sigmoid', 9), call('tanh', 10), call('sigmoid', 11)],
      load(ref(0, [0, width, 1], arena.cells, ring(0))),
      ...[
        call('mul', 13, 16),
        call('mul', 12, 14),
        call('add', 17, 18),
        call('tanh', 19),
        call('mul', 15, 20),
      ],
    ],
    stores: [
      { ref: ref(0, [0, width, 1], arena.cells, ring(1)), value: 19 },
      { ref: ref(H, [0, width, 1], 0, { stride: batch * width, shift: 1, ring: 0 }), value: 21 },
    ],
  };
  const end: PointwiseStage = {
    ...{ kind: 'pointwise', shape: [batch, width] },
    scalars: [load(ref(0, [width, 1], arena.cells + (steps % 2) * batch * width))],
    stores: [{ ref: ref(C, [width, 1]), value: 0 }],
  };
  return {
    buffers: [
      buffer('arena', arena.cells + 2 * batch * width),
      buffer('x', steps * batch * features),
      buffer('w', gates * features),
      buffer('u', gates * width),
      buffer('b', gates),
      buffer('h', (steps + 1) * batch * width),
      buffer('c', batch * width),
    ],
    steps: [
      labelled('inputs = W x + b', inputs),
      labelled('c(0)', start),
      { kind: 'loop', first: 0, count: steps, direction: 1, stages: [labelled('lstm step', step)] },
      labelled('c(T)', end),
    ],
  };
}

/** Tensors for every buffer but the arena, filled, and their contents after a run by the oracle. */
function bind(schedule: Schedule): {
  tensors: Record<string, WebGpuTensor>;
  expected: Record<string, Float64Array>;
} {
  const tensors: Record<string, WebGpuTensor> = {};
  const inputs: Record<string, number[]> = {};
  for (const [n, { name, length, dtype }] of schedule.buffers.slice(1).entries()) {
    inputs[name] = numbers(length, n + 1);
    tensors[name] = backend.tensor({ dtype, shape: [length] });
    tensors[name].write(inputs[name]);
  }
  return { tensors, expected: runSchedule(schedule, inputs) };
}

const dispose = (tensors: Record<string, WebGpuTensor>) => {
  for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
};

describe('runs', () => {
  it.each([
    [3, 5, 7, 9],
    [4, 8, 16, 6],
  ])(
    'an LSTM over time: batch %i, features %i, width %i, %i steps',
    async (batch, features, width, steps) => {
      const schedule = lstm(batch, features, width, steps);
      for (const [composition, dispatches] of [
        ['none', 3 + steps],
        ['all', 3], // the products of the inputs beside the state's copy, the loop, the state's copy back
      ] as const) {
        const { tensors, expected } = bind(schedule);
        using executable = await backend.compileSchedule(schedule, composition);
        expect(executable.dispatches).toBe(dispatches);
        executable.run(tensors);
        for (const [name, tensor] of Object.entries(tensors))
          expectClose(await tensor.read(), expected[name]!, 5e-6, name);
        dispose(tensors);
      }
    },
  );

  it('backwards in time, over several stages a step', async () => {
    const at = (buffer: number, shift: number) => ref(buffer, [1], 0, { stride: 3, shift, ring: 0 });
    const sum: PointwiseStage = {
      ...{ kind: 'pointwise', shape: [3] },
      scalars: [load(at(1, 1)), load(at(1, 0)), call('add', 0, 1)],
      stores: [{ ref: at(0, 0), value: 2 }],
    };
    const back: PointwiseStage = { ...sum, scalars: [load(at(0, 0))], stores: [{ ref: at(1, 0), value: 0 }] };
    const schedule: Schedule = {
      buffers: [buffer('arena', 15), buffer('x', 18)],
      steps: [
        {
          kind: 'loop',
          first: 4,
          count: 5,
          direction: -1,
          stages: [labelled('sum', sum), labelled('back', back)],
        },
      ],
    };
    const { tensors, expected } = bind(schedule);
    using executable = await backend.compileSchedule(schedule);
    executable.run(tensors);
    expectClose(await tensors.x!.read(), expected.x!, 1e-6);
    dispose(tensors);
  });

  it('give the same bits twice', async () => {
    const schedule = lstm(5, 3, 12, 20);
    using executable = await backend.compileSchedule(schedule);
    const outputs: (Float32Array | Int32Array)[] = [];
    for (let n = 0; n < 2; n++) {
      const { tensors } = bind(schedule);
      executable.run(tensors);
      outputs.push(await tensors.h!.read());
      dispose(tensors);
    }
    expect(outputs[1]).toEqual(outputs[0]);
  });

  it('tell the time of each stage', async () => {
    const schedule = lstm(3, 5, 7, 9);
    const { tensors } = bind(schedule);
    using executable = await backend.compileSchedule(schedule, 'none');
    const times = await executable.profile(tensors);
    dispose(tensors);
    if (!backend.device.gpu.features.has('timestamp-query')) {
      expect(times).toBeNull();
      return;
    }
    expect([...times!.keys()]).toEqual(['inputs = W x + b', 'c(0)', 'lstm step', 'c(T)']);
    for (const ms of times!.values()) expect(ms).toBeGreaterThanOrEqual(0);
    expect(times!.get('lstm step')).toBeGreaterThan(0);
  });

  it('compile equal stages once', async () => {
    const before = backend.pipelines.count;
    using one = await backend.compileSchedule(increment(77));
    const after = backend.pipelines.count;
    using two = await backend.compileSchedule(increment(77));
    // Both stages of the schedule differ in nothing but their buffers.
    expect(after - before).toBe(1);
    expect(backend.pipelines.count).toBe(after);
    expect(one.dispatches + two.dispatches).toBe(4);
  });

  it('leak nothing over 1,000 steps with tensors that come and go', async () => {
    const { device } = backend;
    await backend.finish();
    const idle = device.liveBuffers;
    const executable = await backend.compileSchedule(increment(33));
    const ready = device.liveBuffers;
    expect(ready).toBe(idle + 1); // the arena
    for (let n = 0; n < 1000; n++) {
      using x = backend.tensor(float(33));
      using y = backend.tensor(float(33));
      x.write(new Array(33).fill(n));
      executable.run({ x, y });
      expect(device.liveBuffers).toBe(ready + 2);
      if (n % 100 === 0) expect((await y.read())[32]).toBe(n + 1);
    }
    await backend.finish();
    expect(device.liveBuffers).toBe(ready);
    executable[Symbol.dispose]();
    executable[Symbol.dispose]();
    expect(device.liveBuffers).toBe(idle);
    expect(() => executable.run({})).toThrow('after its disposal');
  });
});

describe('refuses', () => {
  it('missing and ill-shaped tensors, and those of another backend', async () => {
    using executable = await backend.compileSchedule(increment(4));
    using x = backend.tensor(float(4));
    using long = backend.tensor(float(5));
    using whole = backend.tensor(int(4));
    const error = (where: string) => expect.objectContaining({ code: 'SHAPE', where });
    expect(() => executable.run({ x })).toThrow(error('y'));
    expect(() => executable.run({ x, y: long })).toThrow(error('y'));
    expect(() => executable.run({ x: whole, y: x })).toThrow(error('x'));
    const other = await openBackend();
    expect(() => executable.run({ x, y: other.tensor(float(4)) })).toThrow(error('y'));
    other[Symbol.dispose]();
  });

  it('an arena beyond the limits, before anything is made', async () => {
    const { device } = backend;
    const before = device.liveBuffers;
    const schedule = increment(4);
    const buffers = [
      buffer('arena', device.gpu.limits.maxStorageBufferBindingSize / 4 + 4),
      ...schedule.buffers.slice(1),
    ];
    await expect(backend.compileSchedule({ ...schedule, buffers })).rejects.toMatchObject({
      code: 'MEMORY',
      message: expect.stringContaining('the arena needs'),
    });
    expect(device.liveBuffers).toBe(before);
  });

  it('a dispatch that is not valid, naming its stage', async () => {
    using executable = await backend.compileSchedule({
      ...increment(4),
      steps: [
        ...increment(4).steps,
        labelled('y = x', {
          ...{ kind: 'pointwise', shape: [4] },
          scalars: [load(ref(1, [1]))],
          stores: [{ ref: ref(2, [1]), value: 0 }],
        }),
      ],
    });
    using x = backend.tensor(float(4));
    // One tensor under two names: the last stage would read and write it in one dispatch.
    executable.run({ x, y: x });
    await expect(backend.finish()).rejects.toMatchObject({ code: 'KERNEL', where: 'y = x (pointwise [4])' });
    await backend.finish(); // told once
  });

  it('a stage with more buffers than the device binds, naming both', async () => {
    const most = backend.device.kernelLimits.maxStorageBuffersPerShaderStage;
    const inputs = Array.from({ length: most }, (_, n) => n + 1);
    const stage: PointwiseStage = {
      ...{ kind: 'pointwise', shape: [4] },
      scalars: inputs.map((n) => load(ref(n, [1]))),
      stores: inputs.map((_, n) => ({ ref: ref(0, [1], 4 * n), value: n })),
    };
    const schedule: Schedule = {
      buffers: [buffer('arena', 4 * most), ...inputs.map((n) => buffer(`x${n}`, 4))],
      steps: [labelled('copies', stage)],
    };
    await expect(backend.compileSchedule(schedule)).rejects.toMatchObject({
      code: 'KERNEL',
      where: expect.stringMatching(/^copies \(pointwise \[4\]\): x1, x2, .*arena/),
    });
  });

  it('a shader that does not compile, with its numbered text', async () => {
    const { buffers, steps } = increment(4);
    const kernel = generateKernel((steps[0] as LabelledStage).stage, buffers);
    const broken = { ...kernel, code: kernel.code.replace('let s2', 'lett s2') };
    const failure = backend.pipelines.get(broken, 'half');
    await expect(failure).rejects.toMatchObject({
      code: 'KERNEL',
      message: expect.stringContaining("the shader of 'half'"),
      where: expect.stringMatching(/\n +\d+ {2} {2}lett s2 = s0 \+ s1;\n +\^ error: /),
    });
    expect(annotate('a\nb', [])).toBe('   1  a\n   2  b');
  });
});
