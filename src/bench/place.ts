/** What something was measured on, as every result records it. */
import type { KernelLimits, SubgroupMatrix } from '../../kernels/kernel.js';
import type { Backend } from '../backend/backend.js';
import { subgroupMatricesInWords, subgroupsInWords } from '../backend/webgpu/adapter.js';
import { WebGpuBackend } from '../backend/webgpu/webgpu-backend.js';

export interface Place {
  readonly backend: string;
  /** As a person would name it. */
  readonly adapter: string;
  /** Null where it is no device of ours. */
  readonly features: Features | null;
}

/** Optional features of a device that its kernels are generated with. */
export interface Features {
  /** Whether shaders know 16-bit floats. */
  readonly halves: boolean;
  readonly subgroups: KernelLimits['subgroups'];
  readonly subgroup_matrices: readonly SubgroupMatrix[];
  /** Of Dawn, that are on. */
  readonly toggles: readonly string[];
}

export const placeOf = (backend: Backend): Place => ({
  backend: backend.name,
  adapter: backend.description,
  features: backend instanceof WebGpuBackend ? featuresOf(backend) : null,
});

function featuresOf({ device, toggles }: WebGpuBackend): Features {
  const { halves, subgroups, subgroupMatrices } = device.kernelLimits;
  return { halves, subgroups, subgroup_matrices: subgroupMatrices, toggles };
}

/** The adapter with its features. */
export function placeInWords({ adapter, features }: Place): string {
  if (features === null) return adapter;
  const { halves, subgroups, subgroup_matrices } = features;
  const words = [
    ...(halves ? ['f16'] : []),
    ...(subgroups === null ? [] : [subgroupsInWords(subgroups)]),
    ...(subgroup_matrices.length === 0 ? [] : [subgroupMatricesInWords(subgroup_matrices)]),
  ];
  return `${adapter} (${words.join(', ') || 'no optional features'})`;
}
