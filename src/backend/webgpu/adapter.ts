/** Finding a GPU and saying what it is. Runs in browsers and in Node; in Node the `GPU` comes from dawn.ts. */
import type { KernelLimits, SubgroupMatrix } from '../../../kernels/kernel.js';
import { KronogradError } from '../../errors.js';

/** What a person, or a bug report, wants to know of an adapter. */
export interface AdapterDescription {
  readonly vendor: string;
  readonly architecture: string;
  readonly device: string;
  readonly description: string;
  /** True for a CPU that plays GPU. */
  readonly isSoftware: boolean;
  readonly features: readonly string[];
  /** The least and the largest subgroup; null without subgroups. */
  readonly subgroups: KernelLimits['subgroups'];
  readonly subgroupMatrices: readonly SubgroupMatrix[];
  readonly limits: Readonly<Record<string, number>>;
}

/** Where to look for `GPU`: given, or the browser's. */
export function globalGpu(): GPU | undefined {
  return typeof navigator === 'undefined' ? undefined : navigator.gpu;
}

/**
 * The adapter to compute on: the fast one where a machine has two.
 * @throws KronogradError NO_ADAPTER without WebGPU or without an adapter.
 */
export async function requestAdapter(gpu: GPU | undefined): Promise<GPUAdapter> {
  const inNode = typeof process !== 'undefined' && process.versions?.node !== undefined;
  if (gpu === undefined)
    throw new KronogradError('NO_ADAPTER', 'there is no WebGPU here', {
      where: inNode ? 'Node' : 'navigator.gpu',
      fix: inNode
        ? 'npm install webgpu, or use the CPU backend'
        : 'use a browser with WebGPU (Chrome 113, Safari 26, Firefox 141 or later) on an https or localhost page',
    });
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (adapter === null)
    throw new KronogradError('NO_ADAPTER', 'WebGPU found no graphics adapter', {
      where: inNode ? 'the drivers that Dawn can load (Vulkan, Metal or Direct3D 12)' : 'navigator.gpu',
      fix: inNode
        ? 'install the GPU vendor’s driver with Vulkan support (on Debian: mesa-vulkan-drivers, or NVIDIA’s), or use the CPU backend'
        : 'enable hardware acceleration in the browser’s settings, or use the CPU backend',
    });
  return adapter;
}

const isSoftware = (info: GPUAdapterInfo): boolean =>
  info.isFallbackAdapter === true ||
  /swiftshader|llvmpipe|lavapipe|basic render/i.test(
    `${info.architecture} ${info.device} ${info.description}`,
  );

/** Not in the standard yet, and only Dawn's: behind `allow_unsafe_apis`. */
export const SUBGROUP_MATRIX = 'chromium-experimental-subgroup-matrix' as GPUFeatureName;

function matricesOf(info: GPUAdapterInfo): SubgroupMatrix[] {
  const { subgroupMatrixConfigs = [] } = info as { subgroupMatrixConfigs?: Iterable<SubgroupMatrix> };
  // The members are getters of the prototype.
  return Array.from(subgroupMatrixConfigs, ({ componentType, resultComponentType, M, N, K }) => ({
    componentType,
    resultComponentType,
    M,
    N,
    K,
  }));
}

/** The adapter's own words, features and limits. */
export function describeAdapter(adapter: GPUAdapter): AdapterDescription {
  const { info } = adapter;
  const { subgroupMinSize, subgroupMaxSize } = info;
  const limits: Record<string, number> = {};
  // The limits are getters of the prototype.
  for (const name in adapter.limits) {
    const value = adapter.limits[name as keyof GPUSupportedLimits];
    if (typeof value === 'number') limits[name] = value;
  }
  return {
    vendor: info.vendor,
    architecture: info.architecture,
    device: info.device,
    description: info.description,
    isSoftware: isSoftware(info),
    features: [...adapter.features].sort(),
    subgroups:
      adapter.features.has('subgroups') && subgroupMinSize !== undefined && subgroupMaxSize !== undefined
        ? { min: subgroupMinSize, max: subgroupMaxSize }
        : null,
    subgroupMatrices: adapter.features.has(SUBGROUP_MATRIX) ? matricesOf(info) : [],
    limits,
  };
}

/** One line, as a person would name the adapter. */
export const adapterName = ({ vendor, architecture, device, description }: AdapterDescription): string =>
  [...new Set([vendor, architecture, device, description])].filter((word) => word !== '').join(' ');

export const subgroupsInWords = ({ min, max }: NonNullable<KernelLimits['subgroups']>): string =>
  `subgroups of ${min === max ? min : `${min} to ${max}`}`;

export const subgroupMatricesInWords = (matrices: readonly SubgroupMatrix[]): string =>
  `subgroup matrices ${matrices
    .map((p) => `${p.M}x${p.N}x${p.K} ${p.componentType} -> ${p.resultComponentType}`)
    .join(', ')}`;
