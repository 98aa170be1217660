/** Every backend that a test can be run on, opened afresh. */
import type { Backend } from '../../src/backend/backend.js';
import { Float32Backend } from '../../src/backend/cpu/float32-backend.js';
import { Float64Backend } from '../../src/backend/cpu/float64-backend.js';
import { createDawnBackend } from '../../src/backend/webgpu/dawn.js';
import { ScheduleBackend } from './schedule-backend.js';

export const backends: Readonly<Record<string, () => Promise<Backend>>> = {
  'the float64 oracle': async () => new Float64Backend(),
  'the stages in float64': async () => new ScheduleBackend(),
  'the CPU in float32': async () => new Float32Backend(),
  WebGPU: () => createDawnBackend(),
};
