/** A device for a tuner. */
import type { Device } from '../device.js';
import { Stopwatch } from './stopwatch.js';
import type { TuningOptions } from './store.js';
import { type TunedDevice, Tuner } from './tuner.js';

/** @param name of the adapter and of how it is used. */
export const tunedDevice = (device: Device, name: string): TunedDevice => ({
  name,
  limits: device.kernelLimits,
  clock: ({ buffers }) => new Stopwatch(device, buffers),
  now: () => performance.now(),
});

/** @param name as above. */
export const tunerOf = (device: Device, name: string, options: TuningOptions): Tuner =>
  new Tuner(tunedDevice(device, name), options);
