/** What is asked, measured and remembered, on a device that is none. */
import { describe, expect, it } from 'vitest';
import { tilesByTime } from '../../../../kernels/gemm_tile.js';
import { defaultLimits, generateKernel } from '../../../../kernels/index.js';
import { productKey } from '../../../../kernels/product_key.js';
import type { GemmStage } from '../../../../kernels/stage.js';
import type { Dispatch } from '../../../../src/backend/webgpu/tuning/stopwatch.js';
import { Tuner } from '../../../../src/backend/webgpu/tuning/tuner.js';
import { cells } from '../../../../src/cells/index.js';
import { Builder } from '../../../../src/program/builder.js';
import { float } from '../../../../src/program/program.js';
import { compose } from '../../../../src/schedule/compose.js';
import { countDispatches } from '../../../../src/schedule/composed.js';
import { schedule } from '../../../../src/schedule/index.js';
import type { Schedule } from '../../../../src/schedule/schedule.js';
import { cellDerivatives } from '../../../support/cell-programs.js';
import { FakeDevice, MemoryStore } from '../../../support/tuning.js';

/** Products [n, n] of the given sizes, one after the other's sum. */
function products(...sizes: number[]): Schedule {
  const on = new Builder();
  const outputs = sizes.map((n) => [
    `c${n}`,
    on.gemm(on.input(`a${n}`, float(n, n)), on.input(`b${n}`, float(n, n))),
  ]);
  return schedule(on.build(Object.fromEntries(outputs)));
}

const stagesOf = (plan: Schedule): GemmStage[] =>
  plan.steps.flatMap((step) => (step.kind === 'stage' && step.stage.kind === 'gemm' ? [step.stage] : []));

const lstm = () => schedule(cellDerivatives({ cell: cells.lstm!, input: 8, hidden: 16, layers: 1 }, 20, 8));

/** Every kernel takes 10 ms, but those with a line take 5. */
const favouring = (line: string) =>
  new FakeDevice('a', ({ kernel }) => (kernel.code.includes(line) ? 5 : 10));
const even = (name = 'a') => new FakeDevice(name, () => 10);

describe('the tile of a product', () => {
  const plan = products(256);
  const [stage] = stagesOf(plan);
  const tiles = tilesByTime(stage!, defaultLimits).slice(0, 6);

  it('is what was measured to be the fastest, and kernels are generated so', async () => {
    const last = tiles.at(-1)!.tile;
    const is = (name: string, value: number) => `const ${name} = ${value};`;
    const lines = [
      is('THREADS_X', last.threadsX),
      is('THREADS_Y', last.threadsY),
      is('ROWS_EACH', last.rowsEach),
      is('COLUMNS_EACH', last.columnsEach),
    ];
    const device = new FakeDevice('a', ({ kernel: { code } }) =>
      lines.every((line) => code.includes(line)) ? 5 : 10,
    );
    const { limits } = await new Tuner(device, { store: new MemoryStore() }).tune(plan, 'auto');
    expect(limits.tiles?.get(productKey(stage!))).toEqual(last);
  });

  it('is one that reads in place where that was measured to be the fastest', async () => {
    const isInPlace = (code: string) => !code.includes('var<workgroup>');
    const device = new FakeDevice('a', ({ kernel: { code } }) => (isInPlace(code) ? 5 : 10));
    const { limits } = await new Tuner(device, { store: new MemoryStore() }).tune(plan, 'auto');
    expect(limits.tiles?.get(productKey(stage!))).toMatchObject({ depth: 0 });
    expect(isInPlace(generateKernel(stage!, plan.buffers, limits).code)).toBe(true);
    expect(isInPlace(generateKernel(stage!, plan.buffers, defaultLimits).code)).toBe(false);
  });

  it('stays the rule’s where nothing is clearly faster', async () => {
    let first: string | undefined;
    const device = new FakeDevice('a', ({ kernel: { code } }) => (code === (first ??= code) ? 10 : 9.8));
    const { limits } = await new Tuner(device, { store: new MemoryStore() }).tune(plan, 'auto');
    expect(limits.tiles?.get(productKey(stage!))).toEqual(tiles[0]!.tile);
  });
});

describe('what a driver does not compile', () => {
  /** A device on which a kernel compiles only if it is the first, or if it is not. */
  const device = (isFirst: boolean) => {
    let first: string | undefined;
    return new FakeDevice('a', ({ kernel: { code } }) =>
      (code === (first ??= code)) === isFirst ? 10 : Number.POSITIVE_INFINITY,
    );
  };

  it('is out, but is an error where the rule chose it', async () => {
    const store = new MemoryStore();
    const { limits } = await new Tuner(device(true), { store }).tune(products(64), 'auto');
    const [stage] = stagesOf(products(64));
    expect(limits.tiles?.get(productKey(stage!))).toEqual(tilesByTime(stage!, defaultLimits)[0]!.tile);
    const refused = new Tuner(device(false), { store: new MemoryStore() }).tune(products(64), 'auto');
    await expect(refused).rejects.toMatchObject({ code: 'KERNEL' });
  });
});

describe('what is remembered', () => {
  const options = (store: MemoryStore, milliseconds?: number) => ({ store, milliseconds });

  it('is measured once for an adapter and a shape', async () => {
    const store = new MemoryStore();
    const first = even();
    const chosen = await new Tuner(first, options(store)).tune(products(64, 128), 'auto');
    expect(first.runs).toBeGreaterThan(0);
    expect(store.entries.size).toBe(2);
    const again = even();
    const known = await new Tuner(again, options(store)).tune(products(128, 64), 'auto');
    expect(again.runs).toBe(0);
    expect(new Map([...known.limits.tiles!].sort())).toEqual(new Map([...chosen.limits.tiles!].sort()));
    const other = even('b');
    await new Tuner(other, options(store)).tune(products(64), 'auto');
    expect(other.runs).toBeGreaterThan(0);
    expect(store.entries.size).toBe(3);
  });

  it('is measured again when it names nothing that is a candidate now', async () => {
    const store = new MemoryStore();
    await new Tuner(even(), options(store)).tune(products(64), 'auto');
    const [key] = store.entries.keys();
    store.entries.set(key!, 'as an earlier version called it');
    const device = even();
    await new Tuner(device, options(store)).tune(products(64), 'auto');
    expect(device.runs).toBeGreaterThan(0);
    expect(store.entries.get(key!)).toMatch(/invocations of/);
  });

  it('with no time is used, and nothing is measured', async () => {
    const store = new MemoryStore();
    await new Tuner(even(), options(store)).tune(products(64), 'auto');
    const device = even();
    const { limits } = await new Tuner(device, options(store, 0)).tune(products(64, 128), 'auto');
    expect(device.runs).toBe(0);
    expect([...limits.tiles!.keys()]).toEqual(stagesOf(products(64)).map((stage) => productKey(stage)));
  });

  it('grows from time to time when the time is short, the longest first', async () => {
    const store = new MemoryStore();
    const sizes = [64, 256, 128];
    for (const count of [1, 2, 3, 3]) {
      const { limits } = await new Tuner(even(), options(store, 1)).tune(products(...sizes), 'auto');
      expect(store.entries.size).toBe(count);
      expect(limits.tiles!.size).toBe(count);
      if (count === 1) expect([...limits.tiles!.keys()][0]).toMatch(/256/);
    }
  });

  it('tells each measurement', async () => {
    const told: unknown[] = [];
    const tuner = new Tuner(favouring('const TILE_DEPTH = 32;'), options(new MemoryStore()), (each) =>
      told.push(each),
    );
    await tuner.tune(products(96), 'auto');
    expect(told).toEqual([
      {
        what: expect.stringMatching(/^gemm \[1, 96, 96\], depth 96, N4 N4, then 1$/),
        rule: expect.any(Number),
        best: expect.any(Number),
        choice: expect.stringMatching(/deep$/),
      },
    ]);
  });

  it('takes schedules in turn', async () => {
    const device = even();
    const store = new MemoryStore();
    const tuner = new Tuner(device, options(store));
    await Promise.all([tuner.tune(products(64), 'auto'), tuner.tune(products(64), 'auto')]);
    const alone = even();
    await new Tuner(alone, options(new MemoryStore())).tune(products(64), 'auto');
    expect(device.runs).toBe(alone.runs);
  });
});

describe('a loop', () => {
  const isSequence = ({ kernel }: Dispatch) => kernel.code.includes('const CHUNK');

  it('is one task where that was measured to be faster, else its steps apart', async () => {
    const plan = lstm();
    // So that the rules expect about the same of both.
    const cheap = { ...defaultLimits, dispatchCost: 100 };
    const dispatches: number[] = [];
    for (const [sequence, step] of [
      [1, 10],
      [1000, 1],
    ] as const) {
      const device = new FakeDevice('a', (each) => (isSequence(each) ? sequence : step), cheap);
      const tuning = { store: new MemoryStore(), milliseconds: 1e9 };
      const { limits, loops } = await new Tuner(device, tuning).tune(plan, 'auto');
      expect(loops.size).toBeGreaterThan(2); // forward, backward, and their tangents
      for (const task of loops.values()) expect(task?.kind).toBe(sequence < step ? 'sequence' : undefined);
      dispatches.push(countDispatches(compose(plan, limits, 'auto', loops)));
    }
    expect(dispatches[1]! - dispatches[0]!).toBeGreaterThan(2 * 19);
  });

  it.each(['none', 'all'] as const)(
    'is not measured where composition %s leaves no choice',
    async (composition) => {
      const device = even();
      const { loops } = await new Tuner(device, { store: new MemoryStore() }).tune(lstm(), composition);
      expect(loops.size).toBe(0);
    },
  );
});
