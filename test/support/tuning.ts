/** Tuning without a GPU and without a disk. */

import { defaultLimits, type KernelLimits } from '../../kernels/kernel.js';
import type { BufferSpec } from '../../kernels/stage.js';
import type { Dispatch } from '../../src/backend/webgpu/tuning/stopwatch.js';
import type { TuningStore } from '../../src/backend/webgpu/tuning/store.js';
import type { TunedDevice } from '../../src/backend/webgpu/tuning/tuner.js';
import { KronogradError } from '../../src/errors.js';

/** A store in memory whose entries can be looked at. */
export class MemoryStore implements TuningStore {
  readonly entries = new Map<string, string>();

  async get(key: string): Promise<string | undefined> {
    return this.entries.get(key);
  }

  async set(key: string, value: string): Promise<void> {
    this.entries.set(key, value);
  }
}

/**
 * A device whose dispatches take the milliseconds that a function says, and on which no other time passes. A kernel
 * that takes infinitely long does not compile.
 */
export class FakeDevice implements TunedDevice {
  /** Calls of timers so far. */
  runs = 0;
  #now = 0;

  constructor(
    readonly name: string,
    private readonly cost: (dispatch: Dispatch) => number,
    readonly limits: KernelLimits = defaultLimits,
  ) {}

  now(): number {
    return this.#now;
  }

  clock(_schedule: { readonly buffers: readonly BufferSpec[] }) {
    return {
      prepare: async (dispatches: readonly Dispatch[]) => {
        const once = dispatches.reduce((sum, each) => sum + this.cost(each), 0);
        if (once === Number.POSITIVE_INFINITY) throw new KronogradError('KERNEL', 'does not compile');
        return async (repeats: number) => {
          this.runs++;
          this.#now += repeats * once;
          return repeats * once;
        };
      },
      [Symbol.dispose]() {},
    };
  }
}
