import { describe, expect, it, vi } from 'vitest';
import { Device, type Wait } from '../../../src/backend/webgpu/device.js';
import { waitAtRest } from '../../../src/backend/webgpu/rest-node.js';

/** Turns of the event loop, and milliseconds, until a promise is settled. */
async function turnsUntil(promise: Promise<unknown>): Promise<{ turns: number; elapsed: number }> {
  const begin = performance.now();
  let turns = 0;
  let isOpen = true;
  const turn = () => {
    turns++;
    if (isOpen) setImmediate(turn);
  };
  setImmediate(turn);
  await promise.catch(() => {});
  isOpen = false;
  return { turns, elapsed: performance.now() - begin };
}

const after = (milliseconds: number) =>
  new Promise<string>((resolve) => setTimeout(() => resolve('done'), milliseconds));

describe('waiting at rest', () => {
  it('gives what the promise gives', async () => {
    expect(await waitAtRest(Promise.resolve(7))).toBe(7);
    await expect(waitAtRest(Promise.reject(new Error('lost')))).rejects.toThrow('lost');
  });

  it('rests half a millisecond in every turn, however many wait', async () => {
    const { turns, elapsed } = await turnsUntil(Promise.all([1, 2, 3].map(() => waitAtRest(after(60)))));
    expect(turns).toBeGreaterThan(3);
    expect(turns).toBeLessThanOrEqual(elapsed / 0.5 + 3);
  });

  it('rests no longer than somebody waits', async () => {
    await waitAtRest(after(5));
    await after(1); // the turn that notices
    const wait = vi.spyOn(Atomics, 'wait');
    await turnsUntil(after(20));
    expect(wait).not.toHaveBeenCalled();
    wait.mockRestore();
  });
});

describe('a device', () => {
  const deviceOf = (vendor: string, description: string, wait: Wait) =>
    Device.request(
      {
        info: { vendor, architecture: '', device: '', description },
        features: new Set(),
        limits: {},
        requestDevice: async () => ({
          features: new Set(),
          limits: {},
          lost: new Promise(() => {}),
          addEventListener: () => {},
        }),
      } as unknown as GPUAdapter,
      { wait },
    );

  it('is waited for at rest when it is a CPU that plays GPU', async () => {
    let waits = 0;
    const wait: Wait = (promise) => {
      waits++;
      return promise;
    };
    const software = await deviceOf('mesa', 'llvmpipe', wait);
    expect(await software.until(after(1))).toBe('done');
    expect(waits).toBe(1);
    const gpu = await deviceOf('nvidia', 'H200', wait);
    expect(await gpu.until(after(1))).toBe('done');
    expect(waits).toBe(1);
  });
});
