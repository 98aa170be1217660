/** The backends that the benchmarks time: those that run schedules. */
import type { Float32Backend } from '../backend/cpu/float32-backend.js';
import type { WebGpuBackend } from '../backend/webgpu/webgpu-backend.js';

export const BACKEND_NAMES = ['webgpu', 'cpu'] as const;
export type BackendName = (typeof BACKEND_NAMES)[number];

export type BenchBackend = Float32Backend | WebGpuBackend;

export interface OpenedBackend {
  readonly backend: BenchBackend;
  /** Whether it computes on a real GPU. */
  readonly gpu: boolean;
}
