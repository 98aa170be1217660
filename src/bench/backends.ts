/** The backends that the benchmarks time: those that run schedules. */
import type { Float32Backend } from '../backend/cpu/float32-backend.js';
import type { WebGpuBackend } from '../backend/webgpu/webgpu-backend.js';
import type { Program } from '../program/program.js';
import { schedule } from '../schedule/index.js';
import type { Schedule } from '../schedule/schedule.js';

export const BACKEND_NAMES = ['webgpu', 'cpu'] as const;
export type BackendName = (typeof BACKEND_NAMES)[number];

export type BenchBackend = Float32Backend | WebGpuBackend;

/** The schedule that a backend makes of a program. */
export const scheduleOn = (backend: BenchBackend, program: Program): Schedule =>
  'schedule' in backend ? backend.schedule(program) : schedule(program);

export interface OpenedBackend {
  readonly backend: BenchBackend;
  /** Whether it computes on a real GPU. */
  readonly gpu: boolean;
}
