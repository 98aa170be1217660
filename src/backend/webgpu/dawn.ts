/** WebGPU in Node: Dawn, from the optional peer dependency `webgpu`. Not for browsers. */
import { matrixKernels } from '../../../kernels/gemm_matrix.js';
import { KronogradError } from '../../errors.js';
import { waitAtRest } from './rest-node.js';
import { WebGpuBackend, type WebGpuOptions } from './webgpu-backend.js';

/**
 * Every kernel writes its workgroup memory before it reads it, so the zeros that WebGPU puts there first are for
 * nothing. On SwiftShader they are most of a shader's time to compile, and up to half of its time to run.
 */
const ALWAYS = ['disable_workgroup_init'] as const;

/**
 * Checks and features that WebGPU keeps from programs it cannot trust: no validation of calls, no bounds on what a kernel
 * reads and writes, half precision where the driver is said to have bugs, APIs that are not finished. What would be an
 * error with them may be a crash without.
 */
const UNSAFE_FAST = [
  'skip_validation',
  'disable_robustness',
  'vulkan_enable_f16_on_nvidia',
  'allow_unsafe_apis',
] as const;

export interface DawnOptions {
  /** Trades WebGPU's safety for speed. Off unless given: for programs that are known to be right, such as in benchmarks. */
  readonly unsafeFast?: boolean | undefined;
}

/** The toggles of Dawn that are on. */
export const dawnToggles = ({ unsafeFast = false }: DawnOptions = {}): readonly string[] =>
  unsafeFast ? [...ALWAYS, ...UNSAFE_FAST] : ALWAYS;

/** One for each set of toggles, for as long as the process lives: Dawn's objects must not outlive what made them. */
const loaded = new Map<string, GPU>();

/**
 * Loads Dawn, once for each choice of options.
 * @throws KronogradError NO_ADAPTER when the package is not installed or has no binary for this platform.
 */
export async function loadDawn(options: DawnOptions = {}): Promise<GPU> {
  try {
    const { create, globals } = await import('webgpu');
    // The constants (GPUBufferUsage and the like), where the standard has them.
    for (const [name, value] of Object.entries(globals))
      if (!(name in globalThis)) Object.defineProperty(globalThis, name, { value, configurable: true });
    const features = `enable-dawn-features=${dawnToggles(options).join()}`;
    const gpu = loaded.get(features) ?? create([features]);
    loaded.set(features, gpu);
    return gpu;
  } catch (cause) {
    throw new KronogradError('NO_ADAPTER', `Dawn cannot be loaded: ${(cause as Error).message}`, {
      where: 'the npm package `webgpu`',
      fix: 'npm install webgpu, or use the CPU backend',
      cause,
    });
  }
}

/** A backend on Dawn. @throws KronogradError NO_ADAPTER */
export async function createDawnBackend(
  options: DawnOptions & Pick<WebGpuOptions, 'composition' | 'tuning'> = {},
): Promise<WebGpuBackend> {
  const { unsafeFast = false, composition, tuning } = options;
  const note = unsafeFast ? 'unsafe-fast' : '';
  const toggles = dawnToggles({ unsafeFast });
  const all = { note, toggles, composition, tuning, matrixKernels, wait: waitAtRest };
  return WebGpuBackend.create(await loadDawn({ unsafeFast }), all);
}
