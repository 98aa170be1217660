/** What a generator makes of a stage, and what it may know of the device. */
import type { MatrixKernels } from './gemm_matrix.js';
import type { ProductTile } from './product.js';
import type { BufferSpec } from './stage.js';

/** A shader with its sizes baked in, and how to dispatch it. Equal `code` means an equal pipeline. */
export interface Kernel {
  /** WGSL with the entry point `main`. */
  readonly code: string;
  readonly workgroups: readonly [x: number, y: number, z: number];
  /** The buffer at each binding of group 0: indices into `Schedule.buffers`. */
  readonly bindings: readonly Binding[];
  /** Whether a uniform `{ t: i32 }` with a dynamic offset follows at binding `bindings.length`. */
  readonly usesTime: boolean;
  readonly flops: number;
  /** Read and written, each distinct element once. */
  readonly bytes: number;
}

export interface Binding {
  readonly buffer: number;
  readonly access: 'read' | 'read_write';
}

/** Extensions of WGSL that a shader may ask for, as its `enable` directive names them. */
export type Extension = 'f16' | 'subgroups' | 'chromium_experimental_subgroup_matrix';

/** The limits of a device that shape its kernels; names as in `GPUSupportedLimits`. */
export interface KernelLimits {
  readonly maxComputeInvocationsPerWorkgroup: number;
  readonly maxComputeWorkgroupStorageSize: number;
  readonly maxComputeWorkgroupsPerDimension: number;
  readonly maxStorageBuffersPerShaderStage: number;
  /** Invocations that run at once when the device is busy: small outputs get small tiles until this is reached. */
  readonly parallelInvocations: number;
  /** Those of them that one core runs, and so one workgroup. */
  readonly coreInvocations: number;
  /**
   * What a dispatch costs beyond its work, in an invocation's multiply-adds: to be started, and to wait until the last
   * workgroup of the one before is done. Some microseconds on a GPU.
   */
  readonly dispatchCost: number;
  /**
   * What an invocation pays to read a number from storage where workgroup memory is no nearer, as on a CPU that plays GPU, in
   * multiply-adds. Null on a GPU: what several invocations need is copied into workgroup memory first.
   */
  readonly directRead: number | null;
  /** Whether shaders know 16-bit floats: buffers of halves then have 2 bytes an element, else 4. */
  readonly halves: boolean;
  /** The least and the largest size that a subgroup may have; null without subgroups. */
  readonly subgroups: { readonly min: number; readonly max: number } | null;
  /** The products that a subgroup can do as one instruction. */
  readonly subgroupMatrices: readonly SubgroupMatrix[];
  /** The kernels made of them, where they were given: browsers have no such products yet, and load no such kernels. */
  readonly matrixKernels: MatrixKernels | null;
  /** Tiles that were measured to be the fastest for a product with a dispatch to itself, by `productKey`. */
  readonly tiles?: ReadonlyMap<string, ProductTile>;
}

/** A product C[M, N] += A[M, K] B[K, N] of a whole subgroup, as `GPUSubgroupMatrixConfig` describes it. */
export interface SubgroupMatrix {
  /** Of A and B: 'f16', 'f32', ... */
  readonly componentType: string;
  /** Of C. */
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** What WebGPU promises everywhere, and a mid-range GPU. */
export const defaultLimits: KernelLimits = {
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeWorkgroupsPerDimension: 65535,
  maxStorageBuffersPerShaderStage: 8,
  parallelInvocations: 16384,
  coreInvocations: 256,
  dispatchCost: 4000,
  directRead: null,
  halves: false,
  subgroups: null,
  subgroupMatrices: [],
  matrixKernels: null,
};

/** The limits as they matter to a schedule: matrix kernels are for halves. */
export const limitsFor = (buffers: readonly BufferSpec[], limits: KernelLimits): KernelLimits =>
  buffers.some(({ dtype }) => dtype === 'half') ? limits : { ...limits, matrixKernels: null };
